//! What rude HTTP/2 clients send against the real process: it is refused, it is
//! counted, it costs little, and others are served meanwhile.

mod floods;
mod heads;
mod honest;
mod memory;
mod responses;
mod streams;

use sidegate_harness::{Call, Client, ConfigBuilder, Frames, H2Client, Origin, Pair, Proxy, ProxyOptions, Spoken};

/// HTTP/2 to clients, HTTP/1.1 to hosts.
const TO_H1: Pair = Pair { down: Spoken::Http2, up: Spoken::Http1 };
/// HTTP/2 on both sides.
const TO_H2: Pair = Pair { down: Spoken::Http2, up: Spoken::Http2 };

/// A proxy with one worker, so that a worker that was brought to its knees is
/// felt by everybody.
fn proxy(config: &ConfigBuilder) -> Proxy {
    Proxy::start_with(config, &ProxyOptions { workers: Some(1), ..ProxyOptions::default() })
}

/// An echoing origin that speaks HTTP/1.1, and a proxy before it.
fn echo() -> (Origin, Proxy) {
    TO_H1.run(|| {
        let origin = Origin::echo();
        let proxy = proxy(&ConfigBuilder::to(origin.address()).adding_nothing());
        (origin, proxy)
    })
}

/// Panics unless a client that keeps the rules is served.
#[track_caller]
fn assert_serves(proxy: &Proxy, why: &str) {
    assert_eq!(Client::connect(Spoken::Http2, proxy.address()).call(&Call::get("/honest")).status(), 200, "{why}");
}

/// Value of a family's series for the listener; 0 if there is none.
fn metric(proxy: &Proxy, family: &str) -> f64 {
    let page = proxy.admin_get("/stats/prometheus").text();
    let series = format!("{family}{{listener=\"main\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or(0.0)
}

/// A connection of the test's own frames.
#[track_caller]
fn rude(proxy: &Proxy) -> Frames {
    Frames::connect(proxy.address())
}

/// A connection that keeps the rules.
#[track_caller]
fn honest(proxy: &Proxy) -> H2Client {
    H2Client::connect(proxy.address())
}
