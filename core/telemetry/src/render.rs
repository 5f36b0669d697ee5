//! Metrics as text and JSON.
//!
//! Whatever is shown is made in pieces, when they are asked for: with many
//! hosts a page is far larger than what it is made of, and making it takes
//! seconds of the control thread, which has more to do. A piece may be empty.

mod flat;
mod help;
mod json;
mod page;
mod percentile;
mod process;
mod prometheus;
mod stats;

#[cfg(test)]
mod tests;

pub use self::flat::{StatsLines, stats_lines};
pub use self::json::{StatsJson, stats_json};
pub use self::page::{Page, PageOptions, ProcessFigures, page};
pub use self::percentile::Percentile;
pub use self::prometheus::PageFormat;
pub use self::stats::{Stats, StatsMatcher, collect};

/// A piece ends with the line that makes it so long, in bytes: a fraction of a
/// millisecond's work.
const PIECE: usize = 64 * 1024;

/// A piece also ends after so many owners, or series, of which nothing may be
/// shown.
const STEPS: usize = 2048;

/// Makes a piece of `step`s, which append to the text and say whether there is
/// more. `None` once there is nothing more.
fn piece(has_more: &mut bool, mut step: impl FnMut(&mut String) -> bool) -> Option<String> {
    if !*has_more {
        return None;
    }
    let mut text = String::new();
    for _ in 0..STEPS {
        *has_more = step(&mut text);
        if !*has_more || text.len() >= PIECE {
            break;
        }
    }
    Some(text)
}
