//! Request bodies on their way through filters.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use sidegate_api::{
    BodyDirection::Request, BodyInterest, EndOfStream, FilterCx, HeaderMapKind, LocalReply, ReceiverPhase, Status,
};
use sidegate_router::{RetryOn, RetryPolicy, RouteAction};

use crate::kit::{At, Message, Origin, PATIENCE, Rig, Script, Setup, ok};

type Edit = fn(&mut FilterCx<'_>, EndOfStream);

const EDITS: [(&str, Edit, &str); 5] = [
    ("nothing", |_, _| (), "hello world"),
    ("upper", upper, "HELLO WORLD"),
    ("drain", |cx, _| _ = cx.drain_body(Request, usize::MAX).unwrap(), ""),
    ("replace", |cx, end| cx.replace_body(Request, if end == EndOfStream::End { b"new" } else { b"" }).unwrap(), "new"),
    (
        "append",
        |cx, end| {
            if end == EndOfStream::End {
                cx.append_body(Request, b"!").unwrap()
            }
        },
        "hello world!",
    ),
];

fn upper(cx: &mut FilterCx<'_>, _: EndOfStream) {
    let text = cx.body(Request).unwrap().as_slice().to_ascii_uppercase();
    cx.replace_body(Request, &text).unwrap();
}

fn editor(name: &'static str, interest: BodyInterest, edit: Edit) -> Script {
    Script::new(name).request_body(interest).hook(move |at, cx| {
        if let At::Body(end) = at {
            edit(cx, end);
        }
        Status::Continue
    })
}

const LENGTHED: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\nhello world";
const CHUNKED: &str =
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n";

/// What the origin gets of `request`; twice on one connection, so that what
/// follows the body is still understood.
fn through(scripts: impl Fn() -> Vec<Script>, request: &str) -> Message {
    let origin = Origin::hello();
    let rig = Rig::new(&[origin.address], scripts());
    let mut client = rig.connect();
    for _ in 0..2 {
        assert_eq!(client.send(request).response().body, "hello");
    }
    let requests = origin.requests();
    assert_eq!(requests[0].body, requests[1].body);
    requests.into_iter().next().unwrap()
}

#[test]
fn edits_arrive_with_a_framing_that_fits() {
    for (name, edit, expected) in EDITS {
        for request in [LENGTHED, CHUNKED] {
            let streamed = through(|| vec![editor("s", BodyInterest::Stream, edit)], request);
            assert_eq!(streamed.body, expected, "{name}");
            assert!(streamed.is_chunked() && streamed.length().is_none(), "{name} {streamed:?}");
            let whole = through(|| vec![editor("w", BodyInterest::Whole, edit)], request);
            assert_eq!((&*whole.body, whole.length()), (expected, Some(expected.len())), "{name}");
            assert!(!whole.is_chunked());
        }
    }
}

#[test]
fn observing_changes_nothing() {
    let edit: Edit = |cx, _| {
        assert!(cx.body(Request).is_some());
        assert!(cx.append_body(Request, b"!").is_err());
    };
    let lengthed = through(|| vec![editor("o", BodyInterest::Observe, edit)], LENGTHED);
    assert_eq!((&*lengthed.body, lengthed.length(), lengthed.is_chunked()), ("hello world", Some(11), false));
    let chunked = through(|| vec![editor("o", BodyInterest::Observe, edit)], CHUNKED);
    assert_eq!((&*chunked.body, chunked.length(), chunked.is_chunked()), ("hello world", None, true));
}

#[test]
fn streaming_and_whole_filters_mix_in_order() {
    let edit: Edit = |cx, end| {
        if end == EndOfStream::End {
            cx.append_body(Request, b".").unwrap();
        }
    };
    for request in [LENGTHED, CHUNKED] {
        let origin = Origin::hello();
        let rig = Rig::new(
            &[origin.address],
            vec![
                editor("s1", BodyInterest::Stream, upper),
                editor("w", BodyInterest::Whole, edit),
                editor("s2", BodyInterest::Stream, edit),
            ],
        );
        assert_eq!(rig.connect().send(request).response().body, "hello");
        let seen = origin.request();
        assert_eq!((&*seen.body, seen.length()), ("HELLO WORLD..", Some(13)));
        rig.log.wait_for("drop", 3);
        assert_eq!(rig.log.with("w body"), ["w body \"HELLO WORLD\" End"]);
        assert_eq!(rig.log.with("s2 body"), ["s2 body \"HELLO WORLD.\" End"]);
        assert_eq!(rig.log.with("s1 body").last().unwrap(), "s1 body \"\" End");
    }
}

#[test]
fn whole_filters_in_different_phases_see_the_body_once_each() {
    let add: Edit = |cx, _| cx.append_body(Request, b"+").unwrap();
    let origin = Origin::hello();
    let late = editor("late", BodyInterest::Whole, add).phases(&[ReceiverPhase::AfterChooseHost]);
    let rig = Rig::new(
        &[origin.address],
        vec![late, editor("s", BodyInterest::Stream, add), editor("early", BodyInterest::Whole, add)],
    );
    assert_eq!(rig.connect().send(LENGTHED).response().body, "hello");
    assert_eq!(origin.request().body, "hello world++++");
    assert_eq!(rig.log.with("early body"), ["early body \"hello world++\" End"]);
    assert_eq!(rig.log.with("late body"), ["late body \"hello world+++\" End"]);
}

#[test]
fn a_whole_body_over_the_limit_is_a_413() {
    for request in [LENGTHED, CHUNKED] {
        let origin = Origin::hello();
        let mut setup = Setup::new(&[origin.address], vec![editor("w", BodyInterest::Whole, upper)]);
        setup.limits.max_buffered_body = 10;
        let rig = setup.start();
        let mut client = rig.connect();
        let reply = client.send(request).response();
        assert_eq!((reply.status(), reply.header("connection")), (413, Some("close")));
        client.expect_end();
        assert_eq!(origin.connections(), 0);
        rig.log.wait_for("w drop", 1);
        assert_eq!(rig.log.with("w body"), Vec::<String>::new());
        assert!(rig.log.with("complete 413 TL")[0].starts_with("w complete 413 TL Nobody"));
    }
}

#[test]
fn a_streamed_body_over_the_listeners_limit_is_a_413() {
    let origin = Origin::hello();
    let mut setup = Setup::new(&[origin.address], vec![editor("s", BodyInterest::Stream, upper)]);
    setup.limits.max_request_body = Some(10);
    let rig = setup.start();
    assert_eq!(rig.connect().send(LENGTHED).response().status(), 413);
    assert_eq!(rig.connect().send(CHUNKED).response().status(), 413);
    assert_eq!(origin.requests(), []);
}

const EMPTY: [&str; 2] =
    ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"];

/// Whoever may make a body is asked, once; what nobody touched goes on as it
/// came.
#[test]
fn a_request_without_body_is_shown_its_empty_end() {
    for request in EMPTY {
        let origin = Origin::hello();
        let whole = Script::all("w", BodyInterest::Whole);
        let rig = Rig::new(
            &[origin.address],
            vec![
                editor("o", BodyInterest::Observe, |_, _| ()),
                whole,
                editor("s", BodyInterest::Stream, upper),
                Script::new("n").phases(&ReceiverPhase::ALL),
            ],
        );
        let mut client = rig.connect();
        for _ in 0..2 {
            assert_eq!(client.send(request).response().body, "hello");
            let seen = origin.requests().pop().unwrap();
            assert_eq!((seen.length(), seen.is_chunked()), (request.starts_with("POST").then_some(0), false));
        }
        rig.log.wait_for("n drop", 2);
        for name in ["w", "s"] {
            let shown = format!("{name} body \"\" End");
            assert_eq!(rig.log.with(&format!("{name} body")), [shown.as_str(), shown.as_str()], "{request}");
        }
        assert_eq!(rig.log.with("o body"), Vec::<String>::new(), "{request}");
        for phase in ["w BeforeRoute End", "w AfterRoute End", "w AfterChooseHost End", "n AfterChooseHost End"] {
            assert_eq!(rig.log.with(phase).len(), 2, "{phase}");
        }
    }
}

#[test]
fn a_body_that_filters_make_is_framed_and_seen_by_those_behind() {
    let fill: Edit = |cx, _| cx.append_body(Request, b"made").unwrap();
    for request in EMPTY {
        for interest in [BodyInterest::Stream, BodyInterest::Whole] {
            let made = through(|| vec![editor("e", interest, fill)], request);
            assert_eq!((&*made.body, made.length(), made.is_chunked()), ("made", Some(4), false), "{interest:?}");
        }
    }
    let origin = Origin::hello();
    let early = editor("early", BodyInterest::Whole, fill).phases(&[ReceiverPhase::BeforeRoute]);
    let rig = Rig::new(
        &[origin.address],
        vec![early, Script::new("late").phases(&[ReceiverPhase::AfterRoute]).request_body(BodyInterest::Observe)],
    );
    assert_eq!(rig.connect().get("/").body, "hello");
    assert_eq!(rig.log.with("early body"), ["early body \"\" End"]);
    assert_eq!((rig.log.with("late AfterRoute More").len(), rig.log.with("late body \"made\" End").len()), (1, 1));
    assert_eq!(origin.request().body, "made");
    // Trailers need chunks.
    let trailer = Script::new("t").request_body(BodyInterest::Stream).hook(|at, cx| {
        if matches!(at, At::Body(_)) {
            cx.set_header(HeaderMapKind::RequestTrailers, b"x-sum", b"7").unwrap();
        }
        Status::Continue
    });
    let origin = Origin::hello();
    let rig = Rig::new(&[origin.address], vec![trailer]);
    assert_eq!(rig.connect().get("/").body, "hello");
    let seen = origin.request();
    assert_eq!((seen.is_chunked(), seen.trailer("x-sum")), (true, Some("7")));
}

/// A guard in a body's hook is asked for each request, before a host is.
#[test]
fn a_body_hook_may_refuse_a_request_without_body() {
    for interest in [BodyInterest::Stream, BodyInterest::Whole] {
        let origin = Origin::hello();
        let guard = Script::new("g").request_body(interest).hook(|at, cx| match at {
            At::Body(_) => {
                cx.reply(LocalReply::text(403, "no", "no")).unwrap();
                Status::Stop
            }
            _ => Status::Continue,
        });
        let rig = Rig::new(&[origin.address], vec![guard]);
        let mut client = rig.connect();
        for request in EMPTY {
            assert_eq!(client.send(request).response().status(), 403, "{interest:?}");
        }
        assert_eq!(origin.connections(), 0);
    }
}

#[test]
fn body_hooks_of_a_request_without_body_run_once_however_often_it_is_sent() {
    for interest in [BodyInterest::Stream, BodyInterest::Whole] {
        for made in ["", "made"] {
            let answers = Mutex::new(vec!["HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n"; 2]);
            let origin = Origin::new(move |request| match answers.lock().unwrap().pop() {
                Some(failure) => failure.to_owned(),
                None => ok(&request.body),
            });
            let fill = Script::new("e").phases(&[ReceiverPhase::AfterChooseHost]).request_body(interest);
            let fill = fill.hook(move |at, cx| {
                if let At::Body(_) = at {
                    cx.append_body(Request, made.as_bytes()).unwrap();
                }
                Status::Continue
            });
            let mut setup = Setup::new(&[origin.address], vec![fill]);
            if let RouteAction::Forward(forward) = &mut setup.routes[0].action {
                forward.retry = RetryPolicy { on: RetryOn::Failures, retries: 2, ..RetryPolicy::default() };
            }
            let rig = setup.start();
            assert_eq!(rig.connect().get("/").body, made);
            assert_eq!(rig.log.with("e AfterChooseHost").len(), 3);
            assert_eq!(rig.log.with("e body"), ["e body \"\" End"], "{interest:?} {made}");
            let lengths: Vec<_> = origin.requests().iter().map(|request| request.length()).collect();
            assert_eq!(lengths, [(!made.is_empty()).then_some(made.len()); 3]);
        }
    }
}

#[test]
fn filters_without_interest_in_a_request_are_not_shown_its_empty_end() {
    let waiving = Script::all("waives", BodyInterest::Whole).hook(|at, cx| {
        if at == At::Headers(ReceiverPhase::BeforeRoute) {
            cx.waive_body(Request);
        }
        Status::Continue
    });
    let ending = Script::new("ends").phases(&[ReceiverPhase::BeforeRoute]).hook(|_, _| Status::Stop);
    let behind = Script::new("behind").phases(&[ReceiverPhase::BeforeRoute]).request_body(BodyInterest::Stream);
    let origin = Origin::hello();
    let rig = Rig::new(&[origin.address], vec![waiving, ending, behind]);
    assert_eq!(rig.connect().get("/").body, "hello");
    assert_eq!(rig.log.with(" body"), Vec::<String>::new());
}

#[test]
fn an_empty_chunked_body_can_be_filled() {
    let fill: Edit = |cx, _| cx.replace_body(Request, b"filled").unwrap();
    let request = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let whole = through(|| vec![editor("w", BodyInterest::Whole, fill)], request);
    assert_eq!((&*whole.body, whole.length()), ("filled", Some(6)));
    let streamed = through(|| vec![editor("s", BodyInterest::Stream, fill)], request);
    assert_eq!((&*streamed.body, streamed.is_chunked()), ("filled", true));
}

#[test]
fn the_proxy_asks_for_a_body_that_a_filter_wants_whole() {
    let origin = Origin::hello();
    let rig = Rig::new(&[origin.address], vec![editor("w", BodyInterest::Whole, upper)]);
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n");
    assert_eq!(client.head().status(), 100);
    assert_eq!(origin.connections(), 0);
    assert_eq!(client.send("hi").response().body, "hello");
    let seen = origin.request();
    assert_eq!((&*seen.body, seen.header("expect")), ("HI", None));
}

#[test]
fn else_the_upstream_is_asked_whether_it_wants_the_body() {
    for interest in [BodyInterest::None, BodyInterest::Observe, BodyInterest::Stream] {
        let origin = Origin::raw(|mut conn, _, requests| {
            let mut request = conn.head();
            assert_eq!(request.header("expect"), Some("100-continue"));
            conn.send("HTTP/1.1 100 Continue\r\n\r\n");
            request.body = match request.is_chunked() {
                true => conn.text(12).unwrap(),
                false => conn.text(2).unwrap(),
            };
            requests.lock().unwrap().push(request);
            conn.send(ok("done")).rest();
        });
        let rig = Rig::new(&[origin.address], vec![Script::new("s").request_body(interest)]);
        let mut client = rig.connect();
        client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n");
        assert_eq!(client.head().status(), 100);
        assert_eq!(client.send("hi").response().body, "done");
        assert!(origin.request().body.contains("hi"));
    }
}

#[test]
fn an_expectation_may_be_refused_without_the_body() {
    let origin = Origin::raw(|mut conn, _, _| {
        conn.head();
        conn.send("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 2\r\n\r\nno").rest();
    });
    let rig = Rig::new(&[origin.address], vec![editor("s", BodyInterest::Stream, upper)]);
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n");
    let reply = client.response();
    assert_eq!((reply.status(), &*reply.body, reply.header("connection")), (417, "no", Some("close")));
    client.expect_end();
}

#[test]
fn heads_can_be_edited_until_the_body_is_whole_and_not_later() {
    let origin = Origin::hello();
    let (sender, results) = channel();
    let sender = Mutex::new(sender);
    let script = |interest| {
        let sender = sender.lock().unwrap().clone();
        let sender = Mutex::new(sender);
        Script::new("a").request_body(interest).hook(move |at, cx| {
            if let At::Body(EndOfStream::End) = at {
                let result = cx.set_header(HeaderMapKind::Request, b"x-late", b"1");
                sender.lock().unwrap().send(result.is_ok()).unwrap();
            }
            Status::Continue
        })
    };
    for (interest, possible) in [(BodyInterest::Whole, true), (BodyInterest::Stream, false)] {
        let rig = Rig::new(&[origin.address], vec![script(interest)]);
        assert_eq!(rig.connect().send(LENGTHED).response().body, "hello");
        assert_eq!(results.recv_timeout(PATIENCE).unwrap(), possible);
        assert_eq!(origin.requests().last().unwrap().header("x-late").is_some(), possible);
    }
}

#[test]
fn large_bodies_pass_in_pieces() {
    let body = "0123456789abcdef".repeat(128 * 1024);
    let origin = Origin::new(|request| ok(&request.body.len().to_string()));
    for (interest, length) in [(BodyInterest::None, true), (BodyInterest::Observe, true), (BodyInterest::Stream, false)]
    {
        let rig = Rig::new(&[origin.address], vec![Script::new("s").request_body(interest)]);
        let mut client = rig.connect();
        assert_eq!(client.post("/", &body).body, body.len().to_string());
        let requests = origin.requests();
        let seen = requests.last().unwrap();
        assert!(seen.body == body && seen.length().is_some() == length);
        rig.log.wait_for(&format!("s complete 200 - Nobody {}/7", body.len()), 1);
    }
}
