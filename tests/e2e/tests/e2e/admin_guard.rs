//! Who may change something through the admin server.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Message, Origin, Proxy, Wire};

const CHANGE: &str = r#"{"log_path":"stdout","log_level":"DEBUG"}"#;

fn with_admin(address: &str, token: Option<&str>) -> (Origin, Proxy) {
    let origin = Origin::echo();
    let mut admin = json!({"address": {"socket_address": {"address": address, "port_value": 0}}});
    if let Some(token) = token {
        admin["token"] = json!(token);
    }
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).top("admin", admin));
    (origin, proxy)
}

fn change(proxy: &Proxy, fields: &str) -> u16 {
    proxy.admin_call("POST", "/api/v1/update_loglevel", fields, CHANGE).status()
}

#[test]
fn without_a_token_loopback_may_change() {
    let (_origin, proxy) = with_admin("127.0.0.1", None);
    assert_eq!(change(&proxy, ""), 200);
}

#[test]
fn with_a_token_it_must_be_sent_from_loopback_too() {
    let (_origin, proxy) = with_admin("127.0.0.1", Some("s3cret"));
    for (fields, allowed) in [
        ("", false),
        ("Authorization: Bearer wrong\r\n", false),
        ("Authorization: Bearer s3cre\r\n", false),
        ("Authorization: Bearer s3cretx\r\n", false),
        ("Authorization: Bearer \r\n", false),
        ("Authorization: s3cret\r\n", false),
        ("Authorization: Bearer s3cret\r\n", true),
    ] {
        let status = change(&proxy, fields);
        assert_eq!(status == 200, allowed, "{fields:?}: {status}");
        assert!(status == 200 || status == 401 || status == 403, "{fields:?}: {status}");
    }
    assert_eq!(proxy.admin_get("/ready").status(), 200, "reading needs no token");
}

#[test]
fn other_machines_may_only_read() {
    let Some(address) = address_beyond_loopback() else {
        eprintln!("skipped: this machine has no address beyond loopback");
        return;
    };
    let (_origin, proxy) = with_admin("0.0.0.0", None);
    let target = SocketAddr::new(address.into(), proxy.admin().port());
    let call = |method: &str, path: &str, body: &str| -> Message {
        Wire::connect(target)
            .send(format!(
                "{method} {path} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
            .response()
    };
    assert_eq!(call("GET", "/ready", "").status(), 200);
    assert_eq!(call("POST", "/api/v1/update_loglevel", CHANGE).status(), 403);
}

#[test]
fn no_admin_is_served_without_configuration() {
    let origin = Origin::echo();
    let dir = sidegate_harness::TempDir::new();
    let mut config = ConfigBuilder::to(origin.address()).build(dir.path());
    config.as_object_mut().unwrap().remove("admin");
    let file = dir.write("config.json", config.to_string());
    let proxy = Proxy::run(dir, &file, &sidegate_harness::ProxyOptions::default());
    assert_eq!(proxy.get("/").status(), 200);
    let ports = listening_ports(proxy.pid());
    assert_eq!(ports, [proxy.address().port()], "listening sockets of the process");
}

/// An own address of this machine that is not loopback; finding it sends
/// nothing.
fn address_beyond_loopback() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    match socket.local_addr().ok()? {
        SocketAddr::V4(address) if !address.ip().is_loopback() && !address.ip().is_unspecified() => {
            TcpListener::bind((*address.ip(), 0)).ok().map(|_| *address.ip())
        }
        _ => None,
    }
}

/// Ports on which a process listens.
fn listening_ports(pid: u32) -> Vec<u16> {
    let inodes: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned))
        .collect();
    let mut ports = Vec::new();
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words[3] == "0A" && inodes.iter().any(|inode| inode == words[9]) {
                ports.push(u16::from_str_radix(words[1].rsplit_once(':').unwrap().1, 16).unwrap());
            }
        }
    }
    ports
}
