//! The admin interface, pages of metrics and logs change as well.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Message, Proxy, Wire, until};

use super::{said, saying};
use crate::support::refusing_address;

fn get(address: std::net::SocketAddr, path: &str) -> Message {
    Wire::connect(address)
        .send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
        .response()
}

fn admin(port: u16, more: Value) -> Value {
    let mut admin = json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}});
    for (key, value) in more.as_object().unwrap() {
        admin[key] = value.clone();
    }
    admin
}

#[test]
fn the_admin_interface_moves_and_still_answers_who_asked() {
    let mut proxy = Proxy::start(&saying("x"));
    for _ in 0..3 {
        let (old, new) = (proxy.admin(), refusing_address());
        proxy.write(&saying("x").top("admin", admin(new.port(), json!({}))));
        let answer = proxy.order("/api/v1/config/reload");
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_eq!(answer.json()["changes"]["process"].as_array().map(Vec::len), Some(1), "{}", answer.text());
        proxy.admin_moved_to(new);
        assert_eq!(proxy.admin_get("/ready").status(), 200);
        assert!(std::net::TcpStream::connect(old).is_err(), "the old one is closed");
    }
}

#[test]
fn who_may_change_things_changes() {
    let mut proxy = Proxy::start(&saying("x"));
    proxy.reload(&saying("x").top("admin", admin(0, json!({"token": "one"}))));
    let with = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let ask = |proxy: &Proxy, token: &str| proxy.admin_call("POST", "/api/v1/config/reload", &with(token), "").status();
    assert_eq!((ask(&proxy, "one"), ask(&proxy, "two")), (200, 403));
    proxy.write(&saying("x").top("admin", admin(0, json!({"token": "two"}))));
    assert_eq!(ask(&proxy, "one"), 200);
    assert_eq!((ask(&proxy, "one"), ask(&proxy, "two")), (403, 200));
}

#[test]
fn pages_of_metrics_come_change_and_go() {
    let page = |port: u16, endpoint: &str| {
        saying("x")
            .top("metrics", json!({"sinks": [{"type": "prometheus", "config": {"port": port, "endpoint": endpoint}}]}))
    };
    let mut proxy = Proxy::start(&saying("x"));
    let at = refusing_address();
    proxy.reload(&page(at.port(), "/one"));
    assert_eq!(get(at, "/one").status(), 200);
    proxy.reload(&page(at.port(), "/two"));
    assert_eq!((get(at, "/one").status(), get(at, "/two").status()), (404, 200));
    let elsewhere = refusing_address();
    proxy.reload(&page(elsewhere.port(), "/two"));
    assert_eq!(get(elsewhere, "/two").status(), 200);
    assert!(std::net::TcpStream::connect(at).is_err());
    proxy.reload(&saying("x"));
    assert!(std::net::TcpStream::connect(elsewhere).is_err());
}

#[test]
fn logs_go_elsewhere() {
    let mut proxy = Proxy::start(&saying("x"));
    let (process, access) = (proxy.dir().join("process.log"), proxy.dir().join("other.log"));
    let config: ConfigBuilder = saying("x")
        .in_server("default_log_path", json!(process))
        .in_server("default_log_level", json!("DEBUG"))
        .in_listener("access_logs", json!([{"log_path": access, "log_format": "%request_path%"}]));
    proxy.reload(&config);
    assert_eq!(said(proxy.address()), "x");
    let read = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
    until("a line of the new access log", || read(&access).contains('/').then_some(()));
    until("a line of the new process log", || read(&process).contains("configuration taken").then_some(()));
    let levels = proxy.admin_get("/api/v1/get_loglevel").json();
    assert_eq!(levels[process.to_str().unwrap()], "DEBUG", "{levels}");
    // What was set by hand stays until the file says another level.
    let body = json!({"log_path": process, "log_level": "WARN"}).to_string();
    assert_eq!(proxy.admin_call("POST", "/api/v1/update_loglevel", "", &body).status(), 200);
    proxy.reload(&config.in_server("graceful_timeout", json!("7s")));
    assert_eq!(proxy.admin_get("/api/v1/get_loglevel").json()[process.to_str().unwrap()], "WARN");
}
