//! Hosts that do not speak TLS as it is meant.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};

use serde_json::json;
use sidegate_harness::{ConfigBuilder, PATIENCE, Proxy};

use super::{Ca, With, failed};

/// What a host does once it has read some of the hello.
#[derive(Debug, Clone)]
enum Then {
    /// Sends this, and closes.
    Close(Vec<u8>),
    /// Sends this, and nothing more.
    Stall(Vec<u8>),
    /// Sends this without end.
    Repeat(Vec<u8>),
}

fn host(then: Then) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let _ = stream.read(&mut [0; 4096]);
            match &then {
                Then::Close(bytes) => {
                    let _ = stream.write_all(bytes);
                    let _ = stream.shutdown(Shutdown::Write);
                }
                Then::Stall(bytes) => {
                    let _ = stream.write_all(bytes);
                }
                // Bounded, should nobody ever close.
                Then::Repeat(bytes) => {
                    let _ = (0..10_000_000 / bytes.len()).try_for_each(|_| stream.write_all(bytes));
                }
            }
            // Until the proxy has closed.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    address
}

#[test]
fn hosts_that_speak_something_else_are_bad_gateways() {
    let ca = Ca::new("ca");
    // The first half of a ServerHello.
    let half = [&[0x16, 3, 3, 0, 0x7a, 2, 0, 0, 0x76, 3, 3][..], &[7; 40]].concat();
    let alert = |level: u8, description: u8| vec![21, 3, 3, 0, 2, level, description];
    for (then, reason) in [
        (Then::Close(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec()), "clear_text"),
        (Then::Close(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), "protocol"),
        (Then::Close(vec![0; 64]), "protocol"),
        (Then::Close(vec![0x16, 3, 3, 0xff, 0xff, 2]), "too_large"),
        // A ClientHello of its own.
        (Then::Close(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00".to_vec()), "protocol"),
        (Then::Close(Vec::new()), "truncated"),
        (Then::Close(half.clone()), "truncated"),
        // handshake_failure.
        (Then::Close(alert(2, 40)), "alert"),
        // close_notify, which ends a connection that never began.
        (Then::Close(alert(1, 0)), "truncated"),
        (Then::Stall(Vec::new()), "timeout"),
        (Then::Stall(half), "timeout"),
        // user_canceled, as a warning.
        (Then::Repeat(alert(1, 90)), "flood"),
        (Then::Repeat(vec![0x14, 3, 3, 0, 1, 1]), "protocol"),
        (Then::Repeat(vec![0x16, 3, 3, 0, 0]), "protocol"),
    ] {
        let context = json!({"status": true, "ca_cert": ca.pem, "server_name": "back.test"});
        let config = ConfigBuilder::to(host(then.clone()))
            .in_cluster("tls_context", context)
            .in_cluster("connect_timeout", json!("500ms"))
            .in_server("default_log_level", json!("DEBUG"));
        let proxy = Proxy::start(&config);
        let status = proxy.get("/").status();
        assert!(matches!(status, 502 | 504), "{then:?}: {status}");
        failed(&proxy, With::Hosts, reason);
    }
}
