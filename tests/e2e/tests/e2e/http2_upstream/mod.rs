//! HTTP/2 towards hosts.

mod connections;
mod conversion;
mod faults;
mod limits;

use serde_json::json;
use sidegate_harness::{ConfigBuilder, H2Origin, Proxy, ProxyOptions};

/// Everything to a host that speaks HTTP/2.
fn to(origin: &H2Origin) -> ConfigBuilder {
    ConfigBuilder::to(origin.address()).in_cluster("upstream_protocol", json!("Http2"))
}

/// With one worker: each has connections of its own.
#[track_caller]
fn start(config: &ConfigBuilder) -> Proxy {
    Proxy::start_with(config, &ProxyOptions { workers: Some(1), ..ProxyOptions::default() })
}

fn metric(proxy: &Proxy, name: &str) -> f64 {
    proxy.metric(&format!("{name}{{cluster=\"origin\"}}")).unwrap_or_default()
}
