//! Requests that would say one thing in HTTP/2 and another once they are
//! converted: none reaches a host in another meaning.

use sidegate_harness::{Ending, Frame, Origin, Seen, block, flag};

use super::{assert_serves, echo, rude};

type Fields<'a> = &'a [(&'a [u8], &'a [u8])];

/// What must become of a head.
#[derive(Debug, Clone, Copy)]
enum Expect {
    /// RST_STREAM, GOAWAY or a status of 400 and above; no host sees any of it.
    Refused,
    /// The host gets this request line and these fields, sorted.
    Forwarded(&'static [&'static str]),
    /// One or the other.
    Either(&'static [&'static str]),
}
use Expect::{Either, Forwarded, Refused};

struct Case {
    name: &'static str,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    expect: Expect,
}

/// The usual four pseudo fields, and more.
fn with(name: &'static str, more: Fields<'_>, expect: Expect) -> Case {
    let own: Fields<'_> = &[(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")];
    raw(name, &[own, more].concat(), expect)
}

/// The usual four pseudo fields, one of them with another value.
fn pseudo(name: &'static str, field: &str, value: &[u8], expect: Expect) -> Case {
    let mut case = with(name, &[], expect);
    for (known, old) in &mut case.fields {
        if known == field.as_bytes() {
            *old = value.to_vec();
        }
    }
    case
}

fn raw(name: &'static str, fields: Fields<'_>, expect: Expect) -> Case {
    Case { name, fields: fields.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect(), expect }
}

const PLAIN: &[&str] = &["GET / HTTP/1.1", "host: a"];

/// Sends each head on a connection of its own, and looks at what the host saw.
#[track_caller]
fn run(cases: &[Case]) {
    let (origin, proxy) = echo();
    let mut wrong = Vec::new();
    for case in cases {
        let before = origin.count();
        let mut client = rude(&proxy);
        client.send(&Frame::headers(1, flag::END_STREAM, block(&case.fields)));
        let ending = client.ending(1);
        // An answer to a later request says that nothing of this one is on the way any more.
        assert_serves(&proxy, case.name);
        let seen: Vec<Seen> = origin.seen().split_off(before);
        let seen: Vec<&Seen> = seen.iter().filter(|seen| seen.head.target() != "/honest").collect();
        if let Err(why) = judge(case.expect, &ending, &seen) {
            wrong.push(format!("- {}: {ending:?}: {why}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} heads went wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn judge(expect: Expect, ending: &Ending, seen: &[&Seen]) -> Result<(), String> {
    let refused = match ending {
        Ending::Answered(status) => *status >= 400,
        Ending::Reset(_) | Ending::GoneAway(_) => true,
        Ending::Closed => return Err("closed without a word".to_owned()),
    };
    match (expect, refused) {
        (Refused | Either(_), true) if seen.is_empty() => Ok(()),
        (Refused | Either(_), true) => Err(format!("refused, yet forwarded: {seen:?}")),
        (Forwarded(wanted) | Either(wanted), false) => match seen {
            [one] if one.head.canonical() == wanted => Ok(()),
            other => Err(format!("forwarded as {:?}", other.iter().map(|s| s.head.canonical()).collect::<Vec<_>>())),
        },
        _ => Err("not as expected".to_owned()),
    }
}

#[test]
fn values_and_names() {
    run(&[
        with("plain", &[(b"x", b"y")], Forwarded(&["GET / HTTP/1.1", "host: a", "x: y"])),
        with("CR LF in a value", &[(b"x", b"y\r\nz: 1")], Refused),
        with("CR in a value", &[(b"x", b"y\rz")], Refused),
        with("LF in a value", &[(b"x", b"y\nz: 1")], Refused),
        with("NUL in a value", &[(b"x", b"y\0z")], Refused),
        with("a request in a value", &[(b"x", b"y\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n")], Refused),
        with("a blank before a value", &[(b"x", b" y")], Either(&["GET / HTTP/1.1", "host: a", "x: y"])),
        with("a tab behind a value", &[(b"x", b"y\t")], Either(&["GET / HTTP/1.1", "host: a", "x: y"])),
        with("DEL in a value", &[(b"x", b"y\x7fz")], Refused),
        with("upper case in a name", &[(b"X", b"y")], Refused),
        with("CR LF in a name", &[(b"x\r\nz", b"y")], Refused),
        with("a colon in a name", &[(b"x:z", b"y")], Refused),
        with("a blank in a name", &[(b"x z", b"y")], Refused),
        with("NUL in a name", &[(b"x\0", b"y")], Refused),
        with("a name that is no ASCII", &["ä".as_bytes()].map(|name| (name, b"y" as &[u8])), Refused),
        with("an empty name", &[(b"", b"y")], Refused),
        with("an empty value", &[(b"x", b"")], Forwarded(&["GET / HTTP/1.1", "host: a", "x: "])),
        with("transfer-encoding in disguise", &[(b"transfer_encoding", b"chunked")], Either(PLAIN)),
        with("content-length in disguise", &[(b"content_length", b"5")], Either(PLAIN)),
    ]);
}

#[test]
fn pseudo_fields() {
    let own = |names: &[(&'static [u8], &'static [u8])]| names.to_vec();
    run(&[
        raw("no :method", &own(&[(b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]), Refused),
        raw("no :scheme", &own(&[(b":method", b"GET"), (b":authority", b"a"), (b":path", b"/")]), Refused),
        raw("no :path", &own(&[(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a")]), Refused),
        raw("no :authority", &own(&[(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]), Refused),
        raw(
            "host in the place of :authority",
            &own(&[(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b"host", b"a")]),
            Forwarded(PLAIN),
        ),
        raw(
            "a pseudo field behind a plain one",
            &own(&[(b":method", b"GET"), (b":scheme", b"http"), (b"x", b"y"), (b":authority", b"a"), (b":path", b"/")]),
            Refused,
        ),
        with(":path twice", &[(b":path", b"/other")], Refused),
        with(":method twice", &[(b":method", b"POST")], Refused),
        with(":authority twice", &[(b":authority", b"b")], Refused),
        with(":scheme twice", &[(b":scheme", b"https")], Refused),
        with(":status in a request", &[(b":status", b"200")], Refused),
        with("a pseudo field that is not known", &[(b":x", b"y")], Refused),
        with(":protocol", &[(b":protocol", b"websocket")], Refused),
        pseudo("an empty :method", ":method", b"", Refused),
        pseudo("a request line in :method", ":method", b"GET /smuggled HTTP/1.1\r\nx: y\r\n\r\nGET", Refused),
        pseudo("a blank in :method", ":method", b"GET /smuggled", Refused),
        pseudo("CONNECT with a path", ":method", b"CONNECT", Refused),
        raw("CONNECT", &own(&[(b":method", b"CONNECT"), (b":authority", b"a:443")]), Refused),
        raw("CONNECT to nobody", &own(&[(b":method", b"CONNECT")]), Refused),
        pseudo("an empty :path", ":path", b"", Refused),
        pseudo("a :path without a slash", ":path", b"x", Refused),
        pseudo("a blank in :path", ":path", b"/ HTTP/1.1", Refused),
        pseudo("CR LF in :path", ":path", b"/ HTTP/1.1\r\nhost: b\r\n\r\nGET /smuggled", Refused),
        pseudo("NUL in :path", ":path", b"/\0", Refused),
        pseudo("a tab in :path", ":path", b"/\tx", Refused),
        pseudo("a fragment in :path", ":path", b"/#x", Either(&["GET / HTTP/1.1", "host: a"])),
        pseudo("an asterisk in :path", ":path", b"*", Refused),
        pseudo("an absolute :path", ":path", b"http://b/", Refused),
        pseudo("a :path that is an authority", ":path", b"//b/x", Either(&["GET /b/x HTTP/1.1", "host: a"])),
        pseudo("dots in :path", ":path", b"/x/../y", Either(&["GET /y HTTP/1.1", "host: a"])),
        pseudo("an empty :authority", ":authority", b"", Refused),
        pseudo("a user in :authority", ":authority", b"b@a", Refused),
        pseudo("a path in :authority", ":authority", b"a/x", Refused),
        pseudo("a blank in :authority", ":authority", b"a b", Refused),
        pseudo("two in :authority", ":authority", b"a,b", Refused),
        pseudo("CR LF in :authority", ":authority", b"a\r\nx: y", Refused),
        pseudo("a port that is none in :authority", ":authority", b"a:x", Refused),
        with("host that is :authority", &[(b"host", b"a")], Forwarded(PLAIN)),
        with("host that is not :authority", &[(b"host", b"b")], Refused),
        with("host twice", &[(b"host", b"a"), (b"host", b"b")], Refused),
        with("an empty host", &[(b"host", b"")], Refused),
        pseudo("a request line in :scheme", ":scheme", b"http://b/ HTTP/1.1\r\nx: y\r\n", Refused),
        pseudo("a slash in :scheme", ":scheme", b"http://b", Refused),
    ]);
}

#[test]
fn fields_of_a_connection() {
    run(&[
        with("connection", &[(b"connection", b"close")], Refused),
        with("connection that names a field", &[(b"connection", b"x"), (b"x", b"y")], Refused),
        with("keep-alive", &[(b"keep-alive", b"timeout=5")], Refused),
        with("proxy-connection", &[(b"proxy-connection", b"close")], Refused),
        with("transfer-encoding", &[(b"transfer-encoding", b"chunked")], Refused),
        with("transfer-encoding: identity", &[(b"transfer-encoding", b"identity")], Refused),
        with("upgrade", &[(b"upgrade", b"websocket")], Refused),
        with("te: gzip", &[(b"te", b"gzip")], Refused),
        with("te: trailers and more", &[(b"te", b"trailers, gzip")], Refused),
        with("http2-settings", &[(b"http2-settings", b"AAMAAABk")], Either(PLAIN)),
    ]);
}

#[test]
fn lengths_that_lie() {
    run(&[
        with("a length without a body", &[(b"content-length", b"5")], Refused),
        with(
            "a length of nothing",
            &[(b"content-length", b"0")],
            Either(&["GET / HTTP/1.1", "content-length: 0", "host: a"]),
        ),
        with("a length that is no number", &[(b"content-length", b"+0")], Refused),
        with("a negative length", &[(b"content-length", b"-1")], Refused),
        with("a length in hexadecimal", &[(b"content-length", b"0x0")], Refused),
        with("two lengths", &[(b"content-length", b"0"), (b"content-length", b"5")], Refused),
        with("a list of lengths", &[(b"content-length", b"0, 0")], Either(PLAIN)),
        with("a length above 64 bits", &[(b"content-length", b"18446744073709551616")], Refused),
    ]);
}

/// A body whose length is not the announced one never looks whole to the host.
#[test]
fn bodies_that_are_not_as_long_as_they_say() {
    for (announced, body) in [("5", "abc"), ("3", "abcde"), ("0", "abc")] {
        let (origin, proxy) = echo();
        let mut client = rude(&proxy);
        client.request(1, 0, "POST", "/", &[("content-length", announced)]);
        client.send(&Frame::data(1, flag::END_STREAM, body));
        match client.ending(1) {
            Ending::Reset(_) | Ending::GoneAway(_) | Ending::Answered(400..) => {}
            other => panic!("{announced} for {body:?}: {other:?}"),
        }
        assert_serves(&proxy, announced);
        let whole = |origin: &Origin| origin.seen().iter().any(|seen| seen.complete && seen.head.method() == "POST");
        assert!(!whole(&origin), "{announced} for {body:?}: {:?}", origin.seen());
    }
}

/// What stands in trailers is never part of a head.
#[test]
fn trailers() {
    for (name, value) in [
        ("x\r\ny", "z"),
        ("x", "y\r\nz: 1"),
        ("transfer-encoding", "chunked"),
        ("content-length", "5"),
        ("host", "b"),
        ("authorization", "secret"),
        ("connection", "close"),
        (":path", "/other"),
        (":method", "DELETE"),
    ] {
        let (origin, proxy) = echo();
        let mut client = rude(&proxy);
        client.request(1, 0, "POST", "/", &[]);
        client.send(&Frame::data(1, 0, "abc"));
        client.send(&Frame::headers(1, flag::END_STREAM, block(&[(name, value), ("x-good", "1")])));
        let ending = client.ending(1);
        assert_serves(&proxy, name);
        for seen in origin.seen().iter().filter(|seen| seen.head.method() != "GET") {
            let trailers: Vec<_> = seen.trailers.iter().map(|(name, _)| name.as_str()).collect();
            let harmless = trailers.is_empty() || trailers == ["x-good"];
            assert!(seen.head.start == "POST / HTTP/1.1" && harmless, "{name:?}: {ending:?}: {seen:?}");
        }
        assert!(!matches!(ending, Ending::Closed), "{name:?}");
    }
}
