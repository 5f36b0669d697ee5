//! Whoever sits between two peers can end their connection: what was cut must
//! not look whole.

use std::io::{Read, Write};
use std::net::Shutdown;

use serde_json::json;
use sidegate_harness::{Call, Client, ConfigBuilder, Origin, PATIENCE, Proxy, Reply, Spoken, until};

use super::raw::{self, Goes, Shown};
use super::{Ca, dial};

fn front(ca: &Ca, host: std::net::SocketAddr) -> Proxy {
    let context = json!({"status": true, "ca_cert": ca.pem, "server_name": "back.test"});
    let config = ConfigBuilder::to(host).in_cluster("tls_context", context);
    let config = config.in_cluster("upstream_protocol", json!("Http1"));
    Proxy::start(&config.in_proxy("downstream_protocol", json!("Auto")))
}

#[test]
fn a_response_that_was_cut_does_not_look_whole() {
    let ca = Ca::new("ca");
    let (chain, key) = ca.issue("back.test", |_| {});
    let config = raw::server(Shown::new(&chain, &key));
    let ways = [Goes::WithCloseNotify, Goes::WithoutCloseNotify, Goes::WithReset];
    for (reply, whole) in [
        // Its length says that it is not all, however the host goes.
        ("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf of it", [false; 3]),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf of it\r\n", [false; 3]),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf", [false; 3]),
        // Only how the host goes says whether it is all.
        ("HTTP/1.1 200 OK\r\n\r\nhalf of it", [true, false, false]),
        ("HTTP/1.0 200 OK\r\n\r\nhalf of it", [true, false, false]),
        // All of it is there, so that nothing hangs on how the host goes.
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nall of it!", [true, true, true]),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nall of it!\r\n0\r\n\r\n", [true, true, true]),
    ] {
        for (goes, whole) in ways.into_iter().zip(whole) {
            // A reset may overtake what was sent before it.
            let certain = goes != Goes::WithReset || !whole;
            for spoken in [Spoken::Http1, Spoken::Http2] {
                let (host, _told) = raw::host(config.clone(), 4, reply, goes);
                let proxy = front(&ca, host);
                let answer = Client::connect(spoken, proxy.address()).try_call(&Call::get("/"));
                let good = answer.as_ref().is_ok_and(|answer| answer.status() == 200);
                assert!(!certain || good == whole, "{reply:?} {goes:?} {spoken:?}: {answer:?}");
            }
        }
    }
}

#[test]
fn a_head_that_was_cut_is_none() {
    let ca = Ca::new("ca");
    let (chain, key) = ca.issue("back.test", |_| {});
    for goes in [Goes::WithCloseNotify, Goes::WithoutCloseNotify] {
        let reply = "HTTP/1.1 200 OK\r\nServer: ";
        let (host, _told) = raw::host(raw::server(Shown::new(&chain, &key)), 4, reply, goes);
        assert_eq!(front(&ca, host).get("/").status(), 502, "{goes:?}");
    }
}

#[test]
fn a_request_that_was_cut_does_not_look_whole() {
    let ca = Ca::new("ca");
    let origin = Origin::http(|_| Reply::ok("x"));
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).in_chain("tls_context", ca.context("a.test")));
    let mut rounds = 0;
    for body in ["Content-Length: 20\r\n\r\nhalf of it", "Transfer-Encoding: chunked\r\n\r\na\r\nhalf of it\r\n"] {
        for announced in [true, false] {
            let mut client = dial(&ca.client(&[]), proxy.address(), "a.test");
            client.sock.set_read_timeout(Some(PATIENCE)).unwrap();
            write!(client, "POST / HTTP/1.1\r\nHost: a\r\n{body}").unwrap();
            rounds += 1;
            // What there is has gone through.
            until("the first half at the origin", || (origin.seen().len() == rounds).then_some(()));
            if announced {
                client.conn.send_close_notify();
                client.conn.complete_io(&mut client.sock).unwrap();
            }
            client.sock.shutdown(Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            let _ = client.read_to_end(&mut answer);
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{body:?} {announced}: {}", String::from_utf8_lossy(&answer));
        }
    }
    assert!(origin.seen().iter().all(|seen| !seen.complete));
}
