//! A filter that wanted to answer never lets anything pass, whatever its
//! policy: its last reply was refused, or set and then dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sidegate_api::{BodyInterest, EndOfStream, FaultPolicy, FilterCx, FilterFault, LocalReply, ReceiverPhase, Status};

use crate::kit::{At, Origin, Rig, Script, boom};

/// Every hook of a filter that can refuse.
const PLACES: [At; 8] = [
    At::Headers(ReceiverPhase::BeforeRoute),
    At::Headers(ReceiverPhase::AfterRoute),
    At::Headers(ReceiverPhase::AfterChooseHost),
    At::Body(EndOfStream::More),
    At::Trailers,
    At::ResponseHeaders,
    At::ResponseBody(EndOfStream::More),
    At::ResponseTrailers,
];

const REQUEST: &str =
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-t: 1\r\n\r\n";

fn origin() -> Origin {
    Origin::new(|_| "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-r: 1\r\n\r\n".into())
}

fn good() -> LocalReply {
    LocalReply::text(403, "test", "no\n")
}

/// Ways in which a reply is not taken.
fn bad_replies() -> Vec<LocalReply> {
    let with = |name: &[u8], value: &[u8]| {
        let mut reply = good();
        reply.headers.add(name, value).unwrap();
        reply
    };
    let mut large = good();
    large.body = vec![b'x'; 8 << 20];
    let mut crowded = good();
    while crowded.headers.add(b"x-a", b"1").is_ok() {}
    vec![
        LocalReply::new(99, "test"),
        LocalReply::new(101, "test"),
        LocalReply::new(600, "test"),
        with(b"x-a", b"1\r\nx-b: 2"),
        with(b"x a", b"1"),
        with(b"content-length", b"3"),
        with(b"connection", b"close"),
        large,
        crowded,
    ]
}

type Answer = fn() -> Status;

const ANSWERS: [(&str, Answer); 7] = [
    ("Continue", || Status::Continue),
    ("Stop", || Status::Stop),
    ("Pending", || Status::Pending),
    ("Terminate", || Status::Terminate),
    ("Rematch", || Status::RematchRoute),
    ("Fault", || Status::Fault(FilterFault::new("on purpose"))),
    ("panic", boom),
];

const POLICIES: [FaultPolicy; 3] = [FaultPolicy::Reply500, FaultPolicy::Pass, FaultPolicy::Reset];

/// Sends one request to a filter that does `act` at `place`.
fn send(place: At, policy: FaultPolicy, act: impl Fn(&mut FilterCx<'_>) -> Status + Send + Sync + 'static) -> Seen {
    let origin = origin();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let script = Script::all("a", BodyInterest::Observe).on_fault(policy).hook(move |at, cx| match at == place {
        true => {
            counted.fetch_add(1, Ordering::SeqCst);
            act(cx)
        }
        false => Status::Continue,
    });
    let rig = Rig::new(&[origin.address], vec![script, Script::new("b")]);
    let mut client = rig.connect();
    client.send(REQUEST);
    let status = client.try_message(true).map(|message| message.status()).ok();
    rig.log.wait_for("b drop", 1);
    assert_eq!(calls.load(Ordering::SeqCst), 1, "{place:?}");
    let ended = rig.log.with("b complete").remove(0);
    let ended = ended.split(' ').skip(2).take(2).collect::<Vec<_>>().join(" ");
    Seen { status, ended, faults: rig.faults("a"), upstream: origin.connections() }
}

#[derive(Debug)]
struct Seen {
    /// `None` if the client got no whole response.
    status: Option<u16>,
    /// Status and flags of the completion.
    ended: String,
    faults: u64,
    /// Connections at the origin.
    upstream: usize,
}

/// What the fault makes of a stream at `place`.
fn expect_closed(seen: &Seen, place: At, what: &str) {
    match place {
        At::ResponseBody(_) | At::ResponseTrailers => {
            assert_eq!((seen.status, &*seen.ended), (None, "200 FF"), "{place:?} {what}: a head is out");
        }
        _ => assert_eq!((seen.status, &*seen.ended), (Some(500), "500 FF"), "{place:?} {what}"),
    }
    assert_eq!(seen.faults, 1, "{place:?} {what}");
    if matches!(place, At::Headers(_)) {
        assert_eq!(seen.upstream, 0, "{place:?} {what}");
    }
}

#[test]
fn a_refused_reply_is_500_whatever_follows_and_whatever_the_policy() {
    for place in PLACES {
        for (what, answer) in ANSWERS {
            let seen = send(place, FaultPolicy::Pass, move |cx| {
                assert!(cx.reply(LocalReply::new(700, "test")).is_err());
                answer()
            });
            expect_closed(&seen, place, what);
        }
    }
    for policy in POLICIES {
        for place in [PLACES[0], PLACES[5], PLACES[6]] {
            let seen = send(place, policy, |cx| {
                assert!(cx.reply(LocalReply::new(700, "test")).is_err());
                Status::Stop
            });
            expect_closed(&seen, place, &format!("{policy:?}"));
        }
    }
}

#[test]
fn every_way_of_refusing_counts() {
    for index in 0..bad_replies().len() {
        let seen = send(PLACES[0], FaultPolicy::Pass, move |cx| {
            assert!(cx.reply(bad_replies().remove(index)).is_err());
            Status::Stop
        });
        expect_closed(&seen, PLACES[0], &format!("reply {index}"));
    }
}

#[test]
fn a_reply_that_is_dropped_is_500() {
    for place in PLACES {
        for (what, answer) in ANSWERS {
            let sent = matches!(place, At::ResponseBody(_) | At::ResponseTrailers);
            let seen = send(place, FaultPolicy::Pass, move |cx| {
                assert_eq!(cx.reply(good()).is_err(), sent);
                answer()
            });
            match what {
                "Stop" if !sent => assert_eq!((seen.status, seen.faults), (Some(403), 0), "{place:?}"),
                "Terminate" if !sent => assert_eq!((seen.status, seen.faults), (None, 0), "{place:?}"),
                _ => expect_closed(&seen, place, what),
            }
        }
    }
}

#[test]
fn the_last_reply_of_a_hook_decides() {
    let refused = |cx: &mut FilterCx<'_>| assert!(cx.reply(LocalReply::new(99, "test")).is_err());
    let seen = send(PLACES[0], FaultPolicy::Pass, move |cx| {
        refused(cx);
        cx.reply(good()).unwrap();
        Status::Stop
    });
    assert_eq!((seen.status, seen.faults), (Some(403), 0), "it found another one");
    let seen = send(PLACES[0], FaultPolicy::Pass, move |cx| {
        cx.reply(good()).unwrap();
        refused(cx);
        Status::Stop
    });
    expect_closed(&seen, PLACES[0], "refused last");
}

#[test]
fn a_resumed_hook_is_a_new_one() {
    let origin = origin();
    let script = Script::all("a", BodyInterest::None).on_fault(FaultPolicy::Pass).hook(|at, cx| match at {
        At::Headers(ReceiverPhase::BeforeRoute) => {
            cx.resume_handle().resume();
            Status::Pending
        }
        At::Resume => {
            assert!(cx.reply(LocalReply::new(99, "test")).is_err());
            Status::Continue
        }
        _ => Status::Continue,
    });
    let rig = Rig::new(&[origin.address], vec![script]);
    assert_eq!(rig.connect().send(REQUEST).response().status(), 500);
    assert_eq!(origin.connections(), 0);
}
