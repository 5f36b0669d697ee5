//! Faults and panics: one stream ends as the policy says, nothing else does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sidegate_api::{BodyDirection, BodyInterest, EndOfStream, FaultPolicy, FilterFault, ReceiverPhase, Status};

use crate::kit::{At, Origin, Rig, Script, boom};

/// Every hook a filter has on a request with body and trailers.
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

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Fault,
    Panic,
}

/// A filter that fails at `at` while `armed`, behind one that watches.
fn rig(origin: &Origin, at: At, kind: Kind, policy: FaultPolicy, body: BodyInterest) -> (Rig, Arc<AtomicBool>) {
    let armed = Arc::new(AtomicBool::new(true));
    let now = armed.clone();
    let script = Script::all("a", body).on_fault(policy).hook(move |here, _| {
        match (here == at && now.swap(here != at, Ordering::SeqCst), kind) {
            (true, Kind::Fault) => Status::Fault(FilterFault::new("on purpose")),
            (true, Kind::Panic) => boom(),
            _ => Status::Continue,
        }
    });
    (Rig::new(&[origin.address], vec![script, Script::all("b", BodyInterest::Observe)]), armed)
}

#[test]
fn a_fault_ends_its_stream_with_500_and_nothing_else() {
    for kind in [Kind::Fault, Kind::Panic] {
        for at in PLACES {
            let origin = origin();
            let (rig, armed) = rig(&origin, at, kind, FaultPolicy::Reply500, BodyInterest::Observe);
            let mut client = rig.connect();
            let mut other = rig.connect();
            assert!(armed.load(Ordering::SeqCst));
            client.send(REQUEST);
            let sent = matches!(at, At::ResponseBody(_) | At::ResponseTrailers);
            match sent {
                true => assert!(client.try_message(true).is_err(), "{at:?}"),
                false => assert_eq!(client.response().status(), 500, "{kind:?} {at:?}"),
            }
            rig.log.wait_for("b drop", 1);
            assert_eq!(rig.faults("a"), 1);
            assert_eq!(rig.log.with("a complete"), Vec::<String>::new(), "only destroy is seen after a fault");
            let completed = rig.log.with("b complete");
            let by = if sent { "200 FF Nobody" } else { "500 FF Nobody" };
            assert!(completed.len() == 1 && completed[0].contains(by), "{at:?} {completed:?}");
            // The worker goes on.
            assert_eq!(other.send(REQUEST).response().body, "hello");
        }
    }
}

#[test]
fn fault_policy_pass_goes_on_without_the_filter() {
    for kind in [Kind::Fault, Kind::Panic] {
        for at in PLACES {
            let origin = origin();
            let (rig, _) = rig(&origin, at, kind, FaultPolicy::Pass, BodyInterest::Observe);
            let mut client = rig.connect();
            for _ in 0..2 {
                let reply = client.send(REQUEST).response();
                assert_eq!((reply.status(), &*reply.body, reply.trailer("x-r")), (200, "hello", Some("1")), "{at:?}");
            }
            assert_eq!(origin.requests()[0].body, "body");
            rig.log.wait_for("a complete", 1);
            assert_eq!(rig.faults("a"), 1);
            assert_eq!(rig.log.with("a BeforeRoute").len(), 2, "the next stream has the filter again");
        }
    }
}

#[test]
fn fault_policy_pass_is_a_reset_once_the_body_was_changed() {
    for interest in [BodyInterest::Stream, BodyInterest::Whole] {
        for edits in [false, true] {
            let origin = origin();
            let script = Script::all("a", interest).on_fault(FaultPolicy::Pass).hook(move |at, cx| match at {
                At::Body(_) if edits => {
                    cx.append_body(BodyDirection::Request, b"!").unwrap();
                    Status::Continue
                }
                At::Trailers => boom(),
                _ => Status::Continue,
            });
            let rig = Rig::new(&[origin.address], vec![script, Script::new("b")]);
            let mut client = rig.connect();
            client.send(REQUEST);
            if edits {
                client.expect_end();
                rig.log.wait_for("b complete 0 FF Filter", 1);
            } else {
                assert_eq!(client.response().body, "hello");
                rig.log.wait_for("b complete 200 FF Nobody", 1);
            }
        }
    }
}

#[test]
fn fault_policy_reset_closes_without_a_byte() {
    for at in [PLACES[0], PLACES[2], At::Body(EndOfStream::More), At::ResponseHeaders] {
        let origin = origin();
        let (rig, _) = rig(&origin, at, Kind::Panic, FaultPolicy::Reset, BodyInterest::Observe);
        rig.connect().send(REQUEST).expect_end();
        rig.log.wait_for("b drop", 1);
        assert!(rig.log.with("b complete")[0].starts_with("b complete 0 FF Filter"), "{:?}", rig.log.lines());
        assert_eq!(rig.connect().send(REQUEST).response().body, "hello");
    }
}

#[test]
fn failing_to_make_a_filter_is_its_fault() {
    for (policy, kind) in [
        (FaultPolicy::Reply500, Kind::Fault),
        (FaultPolicy::Reply500, Kind::Panic),
        (FaultPolicy::Pass, Kind::Panic),
        (FaultPolicy::Reset, Kind::Fault),
    ] {
        let origin = origin();
        let armed = Arc::new(AtomicBool::new(true));
        let now = armed.clone();
        let script = Script::all("b", BodyInterest::Observe).on_fault(policy).create(move || {
            match (now.swap(false, Ordering::SeqCst), kind) {
                (true, Kind::Fault) => Err(FilterFault::new("cannot")),
                (true, Kind::Panic) => std::panic::resume_unwind(Box::new("boom")),
                _ => Ok(()),
            }
        });
        let chain = vec![Script::all("a", BodyInterest::Observe), script, Script::all("c", BodyInterest::Observe)];
        let rig = Rig::new(&[origin.address], chain);
        let mut client = rig.connect();
        client.send(REQUEST);
        match policy {
            FaultPolicy::Reply500 => assert_eq!(client.response().status(), 500),
            FaultPolicy::Pass => assert_eq!(client.response().body, "hello"),
            FaultPolicy::Reset => client.expect_end(),
        }
        rig.log.wait_for("a drop", 1);
        assert_eq!(rig.log.with("b "), Vec::<String>::new(), "{policy:?}");
        let answered = usize::from(policy != FaultPolicy::Reset);
        assert_eq!(rig.log.with("a response ").len(), answered, "{policy:?}");
        assert_eq!(rig.connect().send(REQUEST).response().body, "hello");
        assert_eq!(rig.faults("b"), 1);
    }
}

#[test]
fn panics_at_the_end_stay_there() {
    let origin = origin();
    let script = Script::all("a", BodyInterest::Observe)
        .complete(|_, _| {
            boom();
        })
        .on_drop(|| {
            boom();
        });
    let rig = Rig::new(&[origin.address], vec![script, Script::all("b", BodyInterest::Observe)]);
    let mut client = rig.connect();
    for round in 1..=2 {
        assert_eq!(client.send(REQUEST).response().body, "hello");
        rig.log.wait_for("b drop", round);
        assert_eq!(rig.log.with("b complete 200 - Nobody 4/5").len(), round);
    }
    assert_eq!(rig.faults("a"), 4);
}

#[test]
fn a_panic_while_the_connection_is_cut_stays_there() {
    let origin = origin();
    let script = Script::all("a", BodyInterest::Observe)
        .hook(|at, _| if at == At::ResponseHeaders { Status::Terminate } else { Status::Continue })
        .on_drop(|| {
            boom();
        });
    let rig = Rig::new(&[origin.address], vec![script, Script::new("b")]);
    rig.connect().send(REQUEST).expect_end();
    rig.connect().send(REQUEST).expect_end();
    rig.log.wait_for("b complete 0 FT Filter 4/0", 2);
}
