//! Heads, bodies and trailers of both directions in a module's hands.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Framing, Origin, Proxy, Reply};

use super::probe;
use crate::support::chunked;

fn origin() -> Origin {
    Origin::http(|_| {
        let reply = Reply::new(201).body("the answer").chunked().header("X-Drop", "1").header("X-Keep", "1");
        reply.trailer("X-End", "1").trailer("X-Drop", "1")
    })
}

const HEAD: &str = "POST /path?q=1 HTTP/1.1\r\nHost: a.test\r\nX-Multi: one\r\nX-Multi: two\r\nX-Drop: 1\r\n";

#[test]
fn a_module_changes_every_part_of_both_messages() {
    for mode in ["stream", "whole"] {
        let origin = origin();
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(probe("edit", &json!({"body": mode}))));
        let mut client = proxy.connect();
        for _ in 0..2 {
            client.send(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n"));
            let got = client.send(chunked(b"hello", 2, "X-Sum: 7\r\nX-Drop: 1\r\n")).response_to("POST");

            let seen = origin.last();
            let head = &seen.head;
            assert_eq!((head.method(), head.target()), ("PATCH", "/changed?q=2"), "{mode}");
            assert_eq!(head.get("host"), Some("changed.test"), "{mode}");
            assert_eq!(head.get("x-host-is-authority"), Some("true"), "{mode}");
            let names = head.get("x-seen").unwrap();
            assert!(names.starts_with("host,x-multi,x-multi,x-drop"), "{mode}: {names}");
            assert_eq!(names.matches("host").count(), 1, "{mode}: {names}");
            assert_eq!(head.all("x-multi"), ["one+two", "added"], "{mode}");
            assert_eq!(head.get("x-facts"), Some("POST /path q=1 http HTTP/1.1 main 127.0.0.1"), "{mode}");
            assert!(!head.has("x-drop"), "{mode}");
            assert_eq!(seen.body, b"HELLO", "{mode}");
            let trailer = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            assert_eq!(seen.trailers, [trailer("x-sum", "7"), trailer("x-trailers", "2")], "{mode}");

            assert_eq!((got.status(), got.text().as_str()), (202, "THE ANSWER"), "{mode}");
            assert_eq!(got.head.all("x-answer"), ["one", "two"], "{mode}");
            assert!(got.header("x-keep").is_some() && got.header("x-drop").is_none(), "{mode}");
            assert!(got.header("x-seen").unwrap().contains("x-drop"), "{mode}");
            let trailers = (got.trailer("x-end"), got.trailer("x-of-request"), got.trailer("x-drop"));
            assert_eq!(trailers, (Some("1"), Some("2"), None), "{mode}");
        }
    }
}

#[test]
pub(crate) fn the_host_owns_the_framing_of_what_was_changed() {
    for mode in ["stream", "whole"] {
        let origin = Origin::http(|_| Reply::ok("the answer"));
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(probe("edit", &json!({"body": mode}))));
        let got = proxy.exchange(format!("{HEAD}Content-Length: 5\r\n\r\nhello"));
        assert_eq!(got.text(), "THE ANSWER!", "{mode}");
        let seen = origin.last();
        assert_eq!(seen.body, b"HELLO", "{mode}");
        // Held as a whole, the new length is known; in pieces it is not.
        let known = |framing, length| match mode {
            "whole" => assert_eq!(framing, Framing::Length(length)),
            _ => assert_eq!(framing, Framing::Chunked),
        };
        known(seen.framing, 5);
        known(got.framing, 11);
    }
}
