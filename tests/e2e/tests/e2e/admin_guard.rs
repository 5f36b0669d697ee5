//! Who may change something through the admin server.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Signal, Wire};

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
fn a_wrong_token_is_refused_from_loopback_too() {
    let (_origin, proxy) = with_admin("127.0.0.1", Some("s3cret"));
    for (fields, allowed) in [
        ("", true),
        ("Authorization: Bearer wrong\r\n", false),
        ("Authorization: Bearer s3cre\r\n", false),
        ("Authorization: Bearer s3cretx\r\n", false),
        ("Authorization: Bearer \r\n", false),
        ("Authorization: s3cret\r\n", false),
        ("Authorization: Bearer s3cret\r\n", true),
    ] {
        let status = change(&proxy, fields);
        assert_eq!(status == 200, allowed, "{fields:?}: {status}");
        assert!([200, 401, 403].contains(&status), "{fields:?}: {status}");
    }
    assert_eq!(proxy.admin_get("/ready").status(), 200, "reading needs no token");
}

#[test]
fn web_pages_may_not_change_anything() {
    let (_origin, proxy) = with_admin("127.0.0.1", None);
    assert_eq!(change(&proxy, "Origin: http://evil.test\r\n"), 403);
    let rebound = Wire::connect(proxy.admin())
        .send(format!(
            "POST /api/v1/update_loglevel HTTP/1.1\r\nHost: evil.test\r\nContent-Length: {}\r\n\r\n{CHANGE}",
            CHANGE.len()
        ))
        .response();
    assert_eq!(rebound.status(), 403, "a name that was made to point here");
}

#[test]
fn pages_under_foreign_names_see_probes_alone() {
    let origin = Origin::echo();
    let admin = json!({
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "hosts": ["sidegate.example"],
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).top("admin", admin));
    let ask = |path: &str, host: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        Wire::connect(proxy.admin()).send(request).response().status()
    };
    for path in ["/ready", "/live", "/metrics", "/stats/prometheus"] {
        assert_eq!(ask(path, "rebound.test"), 200, "{path}");
    }
    for path in ["/", "/api/v1/config_dump", "/api/v1/stats", "/api/v1/modules", "/api/v1/version"] {
        assert_eq!(ask(path, "rebound.test:80"), 403, "{path}");
        for own in [&*proxy.admin().to_string(), "localhost:1", "[::1]:80", "sidegate.example", "SIDEGATE.example.:80"]
        {
            assert_eq!(ask(path, own), 200, "{path} for {own}");
        }
        for doubtful in ["[::1]evil", "127.0.0.1:80@evil", "127.0.0.1:", "localhost:+80", "a b", ""] {
            assert_eq!(ask(path, doubtful), 400, "{path} for {doubtful:?}");
        }
    }
}

#[test]
fn requests_with_two_lengths_are_refused() {
    let (_origin, proxy) = with_admin("127.0.0.1", None);
    for lengths in
        ["Content-Length: 9\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 9\r\n"]
    {
        let request =
            format!("POST /api/v1/enable_log HTTP/1.1\r\nHost: localhost\r\n{lengths}\r\n6\r\nstdout\r\n0\r\n\r\n");
        let mut wire = Wire::connect(proxy.admin());
        assert_eq!(wire.send(request).response().status(), 400, "{lengths:?}");
        wire.expect_close();
    }
}

#[test]
fn the_silent_do_not_keep_probes_waiting() {
    let (_origin, proxy) = with_admin("127.0.0.1", None);
    let mut silent: Vec<Wire> = (0..64).map(|_| Wire::connect(proxy.admin())).collect();
    for half in silent.iter_mut().skip(1).step_by(2) {
        half.send("GET /ready HT");
    }
    assert_eq!(proxy.admin_get("/ready").status(), 200);
    silent[0].expect_close();
    let last = &mut silent[63];
    last.send("TP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(last.response().status(), 200, "one had to go, and not the last");
}

#[test]
fn half_a_head_does_not_keep_the_process() {
    let (_origin, mut proxy) = with_admin("127.0.0.1", None);
    let mut open: Vec<Wire> = ["", "GET /ready HTTP/1.1\r\nHo", "GET /ready HTTP/1.1\r\nHost: a\r\n"]
        .iter()
        .map(|half| {
            let mut wire = Wire::connect(proxy.admin());
            wire.send("GET /ready HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(wire.response().status(), 200);
            wire.send(half);
            wire
        })
        .collect();
    proxy.signal(Signal::TERM);
    for wire in &mut open {
        // Had it been waited for, the answer would be 408.
        wire.expect_close();
    }
    assert!(proxy.wait_exit().success());
}

#[test]
fn other_machines_may_only_read_unless_they_send_the_token() {
    let Some(address) = address_beyond_loopback() else {
        eprintln!("skipped: this machine has no address beyond loopback");
        return;
    };
    let call = |proxy: &Proxy, method: &str, path: &str, fields: &str, body: &str| -> u16 {
        let target = SocketAddr::new(address.into(), proxy.admin().port());
        let length = body.len();
        Wire::connect(target)
            .send(format!(
                "{method} {path} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
            ))
            .response()
            .status()
    };
    let token = "Authorization: Bearer s3cret\r\n";
    let (_origin, proxy) = with_admin("0.0.0.0", None);
    assert_eq!(call(&proxy, "GET", "/ready", "", ""), 200);
    for fields in ["", token, "X-Forwarded-For: 127.0.0.1\r\n"] {
        assert_eq!(call(&proxy, "POST", "/api/v1/update_loglevel", fields, CHANGE), 403, "{fields:?}");
    }
    let (_origin, proxy) = with_admin("0.0.0.0", Some("s3cret"));
    assert_eq!(call(&proxy, "POST", "/api/v1/update_loglevel", "", CHANGE), 403);
    assert_eq!(call(&proxy, "POST", "/api/v1/update_loglevel", token, CHANGE), 200);
}

#[test]
fn a_unix_socket_may_change() {
    let origin = Origin::echo();
    let dir = sidegate_harness::TempDir::new();
    let path = dir.join("admin.sock");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let shared = json!({"address": {"unix": path, "mode": "0666"}});
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).top("admin", shared));
    assert_eq!(mode(), 0o666, "as configured, whatever the umask is");
    drop(proxy);
    let config = ConfigBuilder::to(origin.address()).top("admin", json!({"address": {"unix": path}}));
    let proxy = Proxy::start(&config);
    assert_eq!(mode(), 0o600);
    assert_eq!(proxy.admin_text(), format!("unix:{}", path.display()));
    let body = sidegate_harness::run(
        std::process::Command::new("curl").args(["-q", "-sS", "--unix-socket"]).arg(&path).args([
            "--max-time",
            "15",
            "-w",
            "%{http_code}",
            "-d",
            CHANGE,
            "http://admin/api/v1/update_loglevel",
        ]),
    );
    assert!(body.stdout.ends_with("200"), "{body:?}");
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
