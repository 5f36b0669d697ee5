//! What filters ask of the host: to be woken, to be left out, to know the end
//! of a body.

use std::time::{Duration, Instant};

use sidegate_api::{BodyDirection, BodyInterest, FilterCx, ReceiverPhase, Status};

use crate::kit::{At, Origin, Rig, Script, Setup, ok};

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody";

#[test]
fn a_filter_is_woken_after_its_time_even_beyond_filter_pending() {
    let delay = Duration::from_millis(150);
    for at in [At::Headers(ReceiverPhase::AfterRoute), At::ResponseHeaders] {
        let origin = Origin::hello();
        let script = Script::all("a", BodyInterest::None).hook(move |now, cx| {
            if now != at {
                return Status::Continue;
            }
            cx.wake_after(delay);
            Status::Pending
        });
        let mut setup = Setup::new(&[origin.address], vec![script]);
        setup.timeouts.filter_pending = Duration::from_millis(50);
        let rig = setup.start();
        let start = Instant::now();
        assert_eq!(rig.connect().get("/").body, "hello");
        assert!(start.elapsed() >= delay);
        assert_eq!((rig.log.with("a resume").len(), rig.faults("a")), (1, 0));
    }
}

#[test]
fn a_handle_wakes_before_the_time() {
    let origin = Origin::hello();
    let script = Script::new("a").phases(&[ReceiverPhase::BeforeRoute]).hook(|now, cx| {
        if now == At::Resume {
            return Status::Continue;
        }
        cx.wake_after(Duration::from_secs(3600));
        cx.resume_handle().resume();
        Status::Pending
    });
    let rig = Rig::new(&[origin.address], vec![script]);
    assert_eq!(rig.connect().get("/").body, "hello");
}

#[test]
fn a_wish_to_be_woken_holds_for_its_hook_only() {
    let origin = Origin::hello();
    let script = Script::all("a", BodyInterest::None).hook(|now, cx| match now {
        At::Headers(ReceiverPhase::BeforeRoute) => {
            cx.wake_after(Duration::from_secs(3600));
            Status::Continue
        }
        At::Headers(ReceiverPhase::AfterRoute) => Status::Pending,
        _ => Status::Continue,
    });
    let mut setup = Setup::new(&[origin.address], vec![script]);
    setup.timeouts.filter_pending = Duration::from_millis(50);
    let rig = setup.start();
    assert_eq!((rig.connect().get("/").status(), rig.faults("a")), (500, 1));
}

fn waiving(name: &'static str, waives: bool) -> Script {
    Script::all(name, BodyInterest::Stream).hook(move |now, cx| {
        if waives && now == At::Headers(ReceiverPhase::BeforeRoute) {
            cx.waive_body(BodyDirection::Request);
        }
        if waives && now == At::ResponseHeaders {
            cx.waive_body(BodyDirection::Response);
        }
        Status::Continue
    })
}

#[test]
fn a_waived_body_passes_with_its_length() {
    let origin = Origin::new(|_| ok("hello"));
    let rig = Rig::new(&[origin.address], vec![waiving("a", true)]);
    let mut client = rig.connect();
    for _ in 0..2 {
        let reply = client.send(POST).response();
        assert_eq!((&*reply.body, reply.length()), ("hello", Some(5)));
    }
    assert!(origin.requests().iter().all(|request| request.length() == Some(4)));
    assert!(rig.log.with("a body").is_empty() && rig.log.with("a response body").is_empty(), "{:?}", rig.log.lines());
}

#[test]
fn one_waiving_filter_does_not_speak_for_another() {
    let origin = Origin::new(|_| ok("hello"));
    let rig = Rig::new(&[origin.address], vec![waiving("a", true), waiving("b", false)]);
    let reply = rig.connect().send(POST).response();
    assert_eq!((&*reply.body, reply.is_chunked()), ("hello", true));
    assert!(origin.request().is_chunked());
}

#[test]
fn the_last_bytes_are_known_in_front_of_trailers_too() {
    for trailers in ["", "x-r: 1\r\n"] {
        let origin = Origin::new(move |_| format!("{CHUNKED}{trailers}\r\n"));
        for interest in [BodyInterest::Stream, BodyInterest::Whole] {
            let script = Script::new("a").response_body(interest).trailers().hook(|now, cx: &mut FilterCx<'_>| {
                let last = cx.body(BodyDirection::Response).is_some_and(|body| body.is_last());
                if matches!(now, At::ResponseBody(_)) && last {
                    cx.append_body(BodyDirection::Response, b"!").unwrap();
                }
                Status::Continue
            });
            let rig = Rig::new(&[origin.address], vec![script]);
            let mut client = rig.connect();
            for _ in 0..2 {
                assert_eq!(client.get("/").body, "hello!", "{trailers:?} {interest:?}");
            }
        }
    }
}
