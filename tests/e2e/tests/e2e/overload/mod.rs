//! What the proxy does when something runs short.

mod flood;
mod limits;
mod memory;
mod pace;
mod reload;

use sidegate_harness::Proxy;

/// A figure of the overload manager: its name without `sidegate_overload_`,
/// with its labels if it has any.
#[track_caller]
fn figure(proxy: &Proxy, name: &str) -> usize {
    let page = proxy.admin_get("/stats/prometheus").text();
    let start = format!("sidegate_overload_{name}");
    let line = page.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("no {start} in\n{page}"));
    line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() as usize
}

/// Labels of a figure.
fn with(label: &str, value: &str) -> String {
    format!("{{{label}=\"{value}\"}}")
}
