//! Response bodies on their way through filters.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use sidegate_api::{
    BodyDirection::Response, BodyInterest, EndOfStream, FilterCx, HeaderMapKind, LocalReply, ReceiverPhase, Status,
    Variable,
};

use crate::kit::{At, End, Origin, Rig, Script, Setup, ok};

type Edit = fn(&mut FilterCx<'_>, EndOfStream);

const EDITS: [(&str, Edit, &str); 5] = [
    ("nothing", |_, _| (), "hello world"),
    ("upper", upper, "HELLO WORLD"),
    ("drain", |cx, _| _ = cx.drain_body(Response, usize::MAX).unwrap(), ""),
    (
        "replace",
        |cx, end| cx.replace_body(Response, if end == EndOfStream::End { b"new" } else { b"" }).unwrap(),
        "new",
    ),
    (
        "append",
        |cx, end| {
            if end == EndOfStream::End {
                cx.append_body(Response, b"!").unwrap()
            }
        },
        "hello world!",
    ),
];

const LENGTHED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello world";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n";
const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello world";

fn upper(cx: &mut FilterCx<'_>, _: EndOfStream) {
    let text = cx.body(Response).unwrap().as_slice().to_ascii_uppercase();
    cx.replace_body(Response, &text).unwrap();
}

fn editor(name: &'static str, interest: BodyInterest, edit: Edit) -> Script {
    Script::new(name).response_body(interest).hook(move |at, cx| {
        if let At::ResponseBody(end) = at {
            edit(cx, end);
        }
        Status::Continue
    })
}

/// Answers with `response` and closes where that is how it ends.
fn origin(response: &'static str) -> Origin {
    Origin::raw(move |mut conn, _, requests| {
        while let Ok(request) = conn.try_message(true) {
            requests.lock().unwrap().push(request);
            conn.send(response);
            if response.contains("close") {
                return;
            }
        }
    })
}

#[test]
fn edits_arrive_with_a_framing_that_fits() {
    for (name, edit, expected) in EDITS {
        for response in [LENGTHED, CHUNKED, UNTIL_CLOSE] {
            let origin = origin(response);
            for interest in [BodyInterest::Stream, BodyInterest::Whole] {
                let rig = Rig::new(&[origin.address], vec![editor("e", interest, edit)]);
                let mut client = rig.connect();
                // Twice: what follows the body is still understood.
                for _ in 0..2 {
                    let reply = client.get("/");
                    let length = (interest == BodyInterest::Whole).then_some(expected.len());
                    assert_eq!((&*reply.body, reply.length()), (expected, length), "{name} {interest:?} {response:?}");
                    assert_eq!(reply.is_chunked(), length.is_none());
                }
            }
        }
    }
}

#[test]
fn observing_changes_nothing() {
    for (response, length) in [(LENGTHED, Some(11)), (CHUNKED, None), (UNTIL_CLOSE, None)] {
        let origin = origin(response);
        let edit: Edit = |cx, _| assert!(cx.append_body(Response, b"!").is_err());
        let rig = Rig::new(&[origin.address], vec![editor("o", BodyInterest::Observe, edit)]);
        let reply = rig.connect().get("/");
        assert_eq!((&*reply.body, reply.length()), ("hello world", length));
        rig.log.wait_for("o complete 200 - Nobody 0/11", 1);
    }
}

#[test]
fn streaming_and_whole_filters_mix_in_order() {
    let edit: Edit = |cx, end| {
        if end == EndOfStream::End {
            cx.append_body(Response, b".").unwrap();
        }
    };
    for response in [LENGTHED, CHUNKED] {
        let origin = origin(response);
        let chain = vec![
            editor("s1", BodyInterest::Stream, upper),
            editor("w1", BodyInterest::Whole, edit),
            editor("s2", BodyInterest::Stream, edit),
            editor("w2", BodyInterest::Whole, edit),
        ];
        let rig = Rig::new(&[origin.address], chain);
        let reply = rig.connect().get("/");
        assert_eq!((&*reply.body, reply.length()), ("HELLO WORLD...", Some(14)));
        assert_eq!(rig.log.with("w1 response-body"), ["w1 response-body \"HELLO WORLD\" End"]);
        assert_eq!(rig.log.with("s2 response-body"), ["s2 response-body \"HELLO WORLD.\" End"]);
        assert_eq!(rig.log.with("w2 response-body"), ["w2 response-body \"HELLO WORLD..\" End"]);
    }
}

#[test]
fn local_replies_are_edited_like_others() {
    for interest in [BodyInterest::Observe, BodyInterest::Stream, BodyInterest::Whole] {
        let stop = Script::new("stop").phases(&[ReceiverPhase::BeforeRoute]).hook(|_, cx| {
            cx.reply(LocalReply::text(403, "no", "hello world")).unwrap();
            Status::Stop
        });
        let edit: Edit = if interest == BodyInterest::Observe { |_, _| () } else { upper };
        let rig = Rig::new(&[], vec![stop, editor("e", interest, edit)]);
        let mut client = rig.connect();
        for _ in 0..2 {
            let reply = client.get("/");
            let text = if interest == BodyInterest::Observe { "hello world" } else { "HELLO WORLD" };
            assert_eq!((reply.status(), &*reply.body, reply.length()), (403, text, Some(11)));
        }
        assert_eq!(rig.log.with("e response-body").len(), 2);
    }
}

#[test]
fn the_proxys_own_errors_pass_the_filters_too() {
    let script = Script::new("e").response().hook(|_, cx| {
        cx.set_header(HeaderMapKind::Response, b"x-edited", b"1").unwrap();
        Status::Continue
    });
    let rig = Rig::new(&[Origin::refusing()], vec![script]);
    let reply = rig.connect().get("/");
    assert_eq!((reply.status(), reply.header("x-edited")), (502, Some("1")));
}

#[test]
fn responses_that_cannot_have_a_body_have_no_body_hook() {
    for interest in [BodyInterest::Observe, BodyInterest::Stream, BodyInterest::Whole] {
        let head = origin("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n");
        let rig = Rig::new(&[head.address], vec![editor("e", interest, |_, _| ()).response()]);
        let mut client = rig.connect();
        for _ in 0..2 {
            client.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
            let reply = client.head();
            // After an edit the length that GET would have is not known.
            let length = (interest == BodyInterest::Observe).then_some(11);
            assert_eq!((reply.length(), reply.is_chunked()), (length, false), "{interest:?}");
        }
        for response in [
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n",
            "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n",
        ] {
            let origin = origin(response);
            let rig = Rig::new(&[origin.address], vec![editor("e", interest, upper).response()]);
            let mut client = rig.connect();
            for _ in 0..2 {
                let reply = client.get("/");
                assert_eq!((&*reply.body, reply.is_chunked()), ("", false), "{response:?}");
            }
            rig.log.wait_for("e drop", 2);
            assert_eq!(rig.log.with("response-body"), Vec::<String>::new());
            assert!(rig.log.with("e response ")[0].ends_with("End"));
        }
    }
}

/// Whoever may make a body is asked, once; what nobody touched goes on as it
/// came.
#[test]
fn a_response_without_body_is_shown_its_empty_end() {
    let fill: Edit = |cx, _| cx.append_body(Response, b"made").unwrap();
    for interest in [BodyInterest::Stream, BodyInterest::Whole] {
        for (edit, made) in [(upper as Edit, ""), (fill, "made")] {
            let origin = origin("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            let filters = vec![
                Script::new("before").response_body(BodyInterest::Observe),
                editor("e", interest, edit).response(),
                Script::new("behind").response_body(BodyInterest::Observe),
            ];
            let rig = Rig::new(&[origin.address], filters);
            let mut client = rig.connect();
            for _ in 0..2 {
                let reply = client.get("/");
                assert_eq!((&*reply.body, reply.length(), reply.is_chunked()), (made, Some(made.len()), false));
            }
            rig.log.wait_for("e drop", 2);
            assert_eq!(rig.log.with("e response 200 End").len(), 2);
            assert_eq!(rig.log.with("e response-body"), ["e response-body \"\" End"; 2], "{interest:?}");
            assert_eq!(rig.log.with("before response-body"), Vec::<String>::new());
            let behind = if made.is_empty() { 0 } else { 2 };
            assert_eq!(rig.log.with("behind response-body \"made\" End").len(), behind);
            assert_eq!(origin.connections(), 1);
        }
    }
}

#[test]
fn local_replies_without_body_are_shown_their_empty_end() {
    let fill: Edit = |cx, _| cx.append_body(Response, b"made").unwrap();
    for interest in [BodyInterest::Stream, BodyInterest::Whole] {
        for (status, made) in [(403, "made"), (204, ""), (205, ""), (304, "")] {
            let stop = Script::new("stop").phases(&[ReceiverPhase::BeforeRoute]).hook(move |_, cx| {
                cx.reply(LocalReply::new(status, "no")).unwrap();
                Status::Stop
            });
            let rig = Rig::new(&[], vec![stop, editor("e", interest, fill)]);
            let mut client = rig.connect();
            for _ in 0..2 {
                let reply = client.get("/");
                assert_eq!((reply.status(), &*reply.body), (status, made), "{interest:?}");
            }
            rig.log.wait_for("e drop", 2);
            assert_eq!(rig.log.with("e response-body").len(), if made.is_empty() { 0 } else { 2 }, "{status}");
        }
    }
}

/// RFC 9110 section 15.3.6: what an upstream or a filter sends with a 205 is
/// not for anybody.
#[test]
fn a_205_has_no_content() {
    for interest in [BodyInterest::None, BodyInterest::Stream, BodyInterest::Whole] {
        for response in [
            "HTTP/1.1 205 Reset Content\r\ncontent-length: 4\r\n\r\noops",
            "HTTP/1.1 205 Reset Content\r\ntransfer-encoding: chunked\r\n\r\n4\r\noops\r\n0\r\n\r\n",
            "HTTP/1.1 205 Reset Content\r\nconnection: close\r\n\r\noops",
        ] {
            let origin = origin(response);
            let rig = Rig::new(&[origin.address], vec![editor("e", interest, upper)]);
            let mut client = rig.connect();
            for _ in 0..2 {
                let reply = client.get("/");
                assert_eq!((reply.status(), &*reply.body, reply.length()), (205, "", Some(0)), "{response:?}");
            }
            assert_eq!(rig.log.with("response-body"), Vec::<String>::new());
        }
        // Made one by a filter.
        let origin = origin(LENGTHED);
        let reset = Script::new("r").response().hook(|at, cx| {
            if at == At::ResponseHeaders {
                cx.set_variable(Variable::Status, b"205").unwrap();
            }
            Status::Continue
        });
        let rig = Rig::new(&[origin.address], vec![editor("e", interest, upper), reset]);
        let mut client = rig.connect();
        for _ in 0..2 {
            let reply = client.get("/");
            assert_eq!((reply.status(), &*reply.body, reply.length()), (205, "", Some(0)), "{interest:?}");
        }
    }
}

#[test]
fn local_replies_to_head_have_no_body() {
    let stop = Script::new("stop").phases(&[ReceiverPhase::BeforeRoute]).hook(|_, cx| {
        cx.reply(LocalReply::text(403, "no", "hello")).unwrap();
        Status::Stop
    });
    let rig = Rig::new(&[], vec![stop, editor("w", BodyInterest::Whole, upper)]);
    let mut client = rig.connect();
    for _ in 0..2 {
        client.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(client.head().status(), 403);
    }
    assert_eq!(client.get("/").body, "HELLO");
}

#[test]
fn a_whole_body_over_the_limit_is_a_502() {
    for response in [LENGTHED, CHUNKED] {
        let origin = origin(response);
        let mut setup = Setup::new(&[origin.address], vec![editor("w", BodyInterest::Whole, upper).response()]);
        setup.limits.max_buffered_body = 10;
        let rig = setup.start();
        // It is not the client's fault, and its connection is as good as before.
        let mut client = rig.connect();
        for _ in 0..2 {
            let reply = client.get("/");
            assert_eq!((reply.status(), reply.header("connection")), (502, None));
        }
        rig.log.wait_for("w drop", 2);
        assert_eq!(rig.log.with("w response-body"), Vec::<String>::new());
        assert_eq!(rig.log.with("w response ").len(), 2, "response hooks run once");
        assert_eq!(rig.log.with("w complete 502 TL Nobody").len(), 2);
    }
}

#[test]
fn http_1_0_clients_get_what_they_understand() {
    for (interest, response, length) in [
        (BodyInterest::None, LENGTHED, Some(11)),
        (BodyInterest::None, CHUNKED, None),
        (BodyInterest::Stream, LENGTHED, None),
        (BodyInterest::Stream, CHUNKED, None),
        (BodyInterest::Whole, CHUNKED, Some(11)),
    ] {
        let origin = origin(response);
        let rig = Rig::new(&[origin.address], vec![editor("e", interest, upper)]);
        let mut client = rig.connect();
        client.send("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
        let reply = client.response();
        assert_eq!((reply.length(), reply.is_chunked()), (length, false), "{interest:?}");
        assert_eq!(reply.body.to_lowercase(), "hello world");
        let kept = reply.header("connection") == Some("keep-alive");
        assert_eq!(kept, length.is_some());
        if kept {
            client.send("GET / HTTP/1.0\r\n\r\n");
            assert_eq!(client.response().header("connection"), Some("close"));
        }
        client.expect_end();
    }
}

#[test]
fn filters_set_the_status() {
    for (from, to, body) in [
        (LENGTHED, 404, "hello world"),
        (LENGTHED, 204, ""),
        (CHUNKED, 304, ""),
        ("HTTP/1.1 204 No Content\r\n\r\n", 200, ""),
    ] {
        let origin = origin(from);
        let script = Script::new("a").response().hook(move |_, cx| {
            cx.set_variable(Variable::Status, to.to_string().as_bytes()).unwrap();
            Status::Continue
        });
        let rig = Rig::new(&[origin.address], vec![script]);
        let mut client = rig.connect();
        for _ in 0..2 {
            let reply = client.get("/");
            assert_eq!((reply.status(), &*reply.body), (to, body), "{from:?}");
        }
        rig.log.wait_for(&format!("a complete {to} - Nobody 0/{}", body.len()), 2);
    }
}

#[test]
fn a_held_response_lets_the_request_go_on() {
    // The origin answers chunk by chunk while it reads: it would wait for ever
    // for a request that waits for its response.
    let origin = Origin::raw(|mut conn, _, _| {
        let request = conn.head();
        let mut left = request.length().unwrap();
        conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while left > 0 {
            let part = conn.text(1000).unwrap();
            left -= part.len();
            conn.send(format!("{:x}\r\n{part}\r\n", part.len()));
        }
        conn.send("0\r\n\r\n").rest();
    });
    let body = "0123456789".repeat(100);
    let whole = || editor("w", BodyInterest::Whole, |_, _| ()).response();
    for chain in [vec![whole()], vec![whole(), Script::new("o").request_body(BodyInterest::Observe)]] {
        let rig = Rig::new(&[origin.address], chain);
        let mut client = rig.connect();
        client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", 2 * body.len()));
        rig.log.wait_for("w response ", 1);
        client.send(&body);
        let reply = client.response();
        assert_eq!((reply.body.clone(), reply.length()), (body.repeat(2), Some(2 * body.len())));
    }
}

#[test]
fn what_waits_for_a_held_response_ends_with_the_client() {
    let (held, waiting) = channel();
    let held = Mutex::new(held);
    let origin = Origin::raw(move |mut conn, _, _| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello");
        held.lock().unwrap().send(()).unwrap();
        let (_, end) = conn.rest();
        assert_eq!(end, End::Regular);
        held.lock().unwrap().send(()).unwrap();
    });
    let rig = Rig::new(&[origin.address], vec![editor("w", BodyInterest::Whole, upper)]);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    waiting.recv_timeout(crate::kit::PATIENCE).unwrap();
    client.reset();
    rig.log.wait_for("w complete 0 DC Downstream 0/0", 1);
    waiting.recv_timeout(crate::kit::PATIENCE).unwrap();
}

#[test]
fn large_bodies_pass_in_pieces() {
    let body = "0123456789abcdef".repeat(128 * 1024);
    let (sent, length) = (body.clone(), body.len());
    let origin = Origin::new(move |_| ok(&sent));
    for interest in [BodyInterest::None, BodyInterest::Observe, BodyInterest::Stream] {
        let rig = Rig::new(&[origin.address], vec![editor("s", interest, |_, _| ())]);
        assert!(rig.connect().get("/").body == body, "{interest:?}");
        rig.log.wait_for(&format!("s complete 200 - Nobody 0/{length}"), 1);
    }
}

#[test]
fn chunks_of_one_read_are_one_call() {
    let mut response = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    response.extend((0..100).map(|number| format!("1\r\n{}\r\n", number % 10)));
    response.push_str("0\r\nx-t: end\r\n\r\n");
    let wanted: String = (0..100).map(|number| char::from(b'0' + number % 10)).collect();
    for interest in [BodyInterest::Observe, BodyInterest::Stream, BodyInterest::Whole] {
        let response = response.clone();
        let origin = Origin::new(move |_| response.clone());
        let (report, reports) = channel();
        let report = Mutex::new(report);
        let script = Script::new("a").response_body(interest).hook(move |at, cx| {
            if let At::ResponseBody(_) = at {
                report.lock().unwrap().send(cx.body(Response).unwrap().as_slice().to_vec()).unwrap();
            }
            Status::Continue
        });
        let rig = Rig::new(&[origin.address], vec![script]);
        let got = rig.connect().get("/");
        assert_eq!((got.body.as_str(), got.trailer("x-t")), (wanted.as_str(), Some("end")), "{interest:?}");
        let pieces: Vec<Vec<u8>> = reports.try_iter().collect();
        assert_eq!(pieces.concat(), wanted.as_bytes());
        // One for the data and one for the end, a few more if the segment was cut.
        assert!(pieces.len() <= 10, "{interest:?}: {} calls", pieces.len());
    }
}
