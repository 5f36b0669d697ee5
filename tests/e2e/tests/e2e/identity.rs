//! Headers that tell the origin who asks.

use std::collections::BTreeSet;

use sidegate_harness::{ConfigBuilder, Origin, Proxy, Seen};

fn through(policies: &[(&str, &str)], fields: &str) -> Seen {
    let origin = Origin::echo();
    let mut config = ConfigBuilder::to(origin.address());
    for (name, policy) in policies {
        config = config.forwarding(name, policy);
    }
    let proxy = Proxy::start(&config);
    assert_eq!(proxy.get_with("/", fields).status(), 200);
    origin.last()
}

#[test]
pub(crate) fn x_forwarded_for_follows_its_policy() {
    let spoofed = "X-Forwarded-For: 1.1.1.1\r\n";
    for (policy, sent, wanted) in [
        (None, "", "127.0.0.1"),
        (None, spoofed, "1.1.1.1, 127.0.0.1"),
        (Some("append"), "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\n", "1.1.1.1, 2.2.2.2, 127.0.0.1"),
        (Some("replace"), spoofed, "127.0.0.1"),
        (Some("replace"), "", "127.0.0.1"),
        (Some("remove"), spoofed, ""),
        (Some("pass"), spoofed, "1.1.1.1"),
        (Some("pass"), "", ""),
    ] {
        let policies: Vec<_> = policy.map(|policy| ("x_forwarded_for", policy)).into_iter().collect();
        let seen = through(&policies, sent);
        assert_eq!(seen.head.all("x-forwarded-for").join(", "), wanted, "{policy:?} with {sent:?}");
    }
}

#[test]
pub(crate) fn other_spellings_of_the_client_do_not_get_past_a_strict_policy() {
    for policy in ["replace", "remove"] {
        let seen = through(&[("x_forwarded_for", policy)], "X_Forwarded_For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n");
        for (name, value) in &seen.head.fields {
            assert!(!value.contains("6.6.6.6"), "{policy}: {name}: {value} reached the origin");
        }
    }
}

#[test]
fn connection_cannot_be_used_to_strip_what_the_proxy_adds() {
    let seen = through(
        &[],
        "Connection: authorization, x-forwarded-for, x-request-id\r\nAuthorization: secret\r\nX-Forwarded-For: 6.6.6.6\r\n",
    );
    assert_eq!(seen.head.all("authorization"), [""; 0]);
    assert_eq!(seen.head.all("x-forwarded-for"), ["127.0.0.1"]);
    assert!(seen.head.has("x-request-id"));
}

#[test]
pub(crate) fn x_request_id_follows_its_policy() {
    let sent = "X-Request-Id: from-client\r\n";
    assert_eq!(through(&[], sent).head.all("x-request-id"), ["from-client"]);
    assert_eq!(through(&[("x_request_id", "keep")], sent).head.all("x-request-id"), ["from-client"]);
    assert_eq!(through(&[("x_request_id", "pass")], sent).head.all("x-request-id"), ["from-client"]);
    assert_eq!(through(&[("x_request_id", "pass")], "").head.all("x-request-id"), [""; 0]);
    for policy in ["keep", "make"] {
        let head = through(&[("x_request_id", policy)], "").head;
        assert!(head.get("x-request-id").is_some_and(|id| id.len() >= 16), "{policy}: {head:?}");
    }
    let made = through(&[("x_request_id", "make")], sent).head;
    assert_eq!(made.all("x-request-id").len(), 1);
    assert_ne!(made.get("x-request-id"), Some("from-client"));
}

#[test]
fn request_ids_are_unique_and_the_ones_logged() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    for _ in 0..4 {
        let mut client = proxy.connect();
        for _ in 0..5 {
            assert_eq!(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response().status(), 200);
        }
    }
    let sent: BTreeSet<String> =
        origin.seen().iter().map(|seen| seen.head.get("x-request-id").unwrap().to_owned()).collect();
    assert_eq!(sent.len(), 20);
    for id in &sent {
        proxy.access_line(id, |line| line.request_id == *id);
    }
}
