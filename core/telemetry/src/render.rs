//! Metrics as text and JSON.

mod global;
mod json;
mod process;
mod prometheus;

#[cfg(test)]
mod tests;

use sidegate_api::Metrics;

pub use self::json::{stats_flat, stats_json};
pub use self::process::process_text;
pub use self::prometheus::prometheus;

/// All of `metrics` and the process's own figures, in Prometheus' text format
/// (content type `text/plain; version=0.0.4`).
pub fn exposition(metrics: &Metrics, version: &str) -> String {
    let mut text = process_text(version);
    text.push_str(&prometheus(&metrics.read()));
    text
}
