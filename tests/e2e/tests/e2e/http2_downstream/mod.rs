//! HTTP/2 towards clients: how a connection begins, what bounds it, and how it
//! ends.

mod beginning;
mod bounds;
mod counts;
mod goodbye;
mod overload;
mod stalls;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, TempDir, until};

/// To `origin` over HTTP/1.1, from clients that may speak both.
fn config(origin: &Origin) -> ConfigBuilder {
    ConfigBuilder::to(origin.address())
        .in_cluster("upstream_protocol", json!("Http1"))
        .in_proxy("downstream_protocol", json!("Auto"))
}

/// The same with options of HTTP/2.
fn with(origin: &Origin, options: Value) -> ConfigBuilder {
    config(origin).in_proxy("http2_protocol_options", options)
}

/// The value of a series of the listener; 0 if nothing counted yet.
fn series(proxy: &Proxy, name: &str) -> i64 {
    let text = proxy.admin_get("/metrics").text();
    let wanted = format!("{name}{{listener=\"main\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&wanted)).map_or(0, |value| value.parse::<f64>().unwrap() as i64)
}

/// A second access log, which says what the first does not.
struct Said(TempDir);

impl Said {
    fn new() -> Self {
        Said(TempDir::new())
    }

    fn in_config(&self, config: ConfigBuilder) -> ConfigBuilder {
        let format = "%path% %protocol% %bytes_received% %bytes_sent%";
        config.in_listener("access_logs", json!([{"log_path": self.0.join("said.log"), "log_format": format}]))
    }

    /// What it says of the request for `path`.
    fn of(&self, path: &str) -> String {
        until(path, || {
            let text = std::fs::read_to_string(self.0.join("said.log")).ok()?;
            text.lines().find_map(|line| line.strip_prefix(path)?.strip_prefix(' ')).map(str::to_owned)
        })
    }
}
