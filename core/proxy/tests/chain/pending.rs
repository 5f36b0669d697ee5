//! Filters that wait, and who wakes them.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidegate_api::{
    BodyDirection, BodyInterest, EndOfStream, FilterCx, FilterFault, HeaderMapKind, LocalReply, ReceiverPhase,
    ResumeHandle, ResumeOutcome, Status,
};

use crate::kit::{At, Origin, PATIENCE, Rig, Script, Setup};

const REQUEST: &str =
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-t: 1\r\n\r\n";

/// Hooks in which a filter may wait on that request.
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

fn origin() -> Origin {
    Origin::new(|_| "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-r: 1\r\n\r\n".into())
}

/// A filter that waits at `at`, gives its handle away, and answers the resume
/// with `then`.
fn waiting(
    at: At,
    body: BodyInterest,
    then: impl Fn(&mut FilterCx<'_>) -> Status + Send + Sync + 'static,
) -> (Script, Receiver<ResumeHandle>) {
    let (sender, receiver) = channel();
    let sender = Mutex::new(Some(sender));
    let script = Script::all("a", body).hook(move |now, cx| match now {
        At::Resume => then(cx),
        now if now == at => match sender.lock().unwrap().take() {
            Some(sender) => {
                sender.send(cx.resume_handle()).unwrap();
                Status::Pending
            }
            None => Status::Continue,
        },
        _ => Status::Continue,
    });
    (script, receiver)
}

fn go_on(_: &mut FilterCx<'_>) -> Status {
    Status::Continue
}

#[test]
fn a_resume_before_the_hook_returned_counts() {
    for body in [BodyInterest::Observe, BodyInterest::Whole] {
        for at in &PLACES {
            let origin = origin();
            let waited = AtomicBool::new(false);
            let script = Script::all("a", body).hook(move |now, cx| {
                if now != *at || waited.swap(true, Ordering::SeqCst) {
                    return Status::Continue;
                }
                assert_eq!(cx.resume_handle().resume(), ResumeOutcome::Resumed);
                Status::Pending
            });
            let rig = Rig::new(&[origin.address], vec![script]);
            assert_eq!(rig.connect().send(REQUEST).response().body, "hello", "{body:?} {at:?}");
            rig.log.wait_for("a complete 200 - Nobody 4/5", 1);
            assert_eq!(rig.log.with("a resume").len(), 1, "{body:?} {at:?}");
        }
    }
}

#[test]
fn a_resume_from_another_thread_wakes_and_later_ones_do_nothing() {
    for body in [BodyInterest::Stream, BodyInterest::Whole] {
        for &at in &PLACES {
            let origin = origin();
            let (script, handles) = waiting(at, body, go_on);
            let rig = Rig::new(&[origin.address], vec![script]);
            let mut client = rig.connect();
            client.send(REQUEST);
            let handle = handles.recv_timeout(PATIENCE).unwrap();
            assert_eq!(rig.log.with("a resume").len(), 0);
            assert_eq!(handle.resume(), ResumeOutcome::Resumed, "{at:?}");
            assert_ne!(handle.resume(), ResumeOutcome::Resumed, "{at:?}");
            let reply = client.response();
            assert_eq!((&*reply.body, reply.trailer("x-r")), ("hello", Some("1")), "{body:?} {at:?}");
            rig.log.wait_for("a drop", 1);
            assert_eq!(handle.resume(), ResumeOutcome::Gone);
            assert_eq!(rig.log.with("a resume").len(), 1);
            assert_eq!(origin.request().trailer("x-t"), Some("1"));
        }
    }
}

#[test]
fn never_resumed_is_a_fault_after_the_pending_time() {
    for &at in &PLACES[..6] {
        let origin = origin();
        let (script, handles) = waiting(at, BodyInterest::Stream, go_on);
        let mut setup = Setup::new(&[origin.address], vec![script, Script::new("b")]);
        setup.timeouts.filter_pending = Duration::from_millis(50);
        let rig = setup.start();
        assert_eq!(rig.connect().send(REQUEST).response().status(), 500, "{at:?}");
        assert_eq!(handles.recv().unwrap().resume(), ResumeOutcome::Gone);
        rig.log.wait_for("b drop", 1);
        assert_eq!((rig.log.with("a complete").len(), rig.faults("a")), (0, 1));
        assert!(rig.log.with("b complete")[0].starts_with("b complete 500 FF Nobody"));
    }
}

#[test]
fn pending_without_a_handle_ends_like_one_that_is_never_used() {
    let origin = origin();
    let script = Script::all("a", BodyInterest::None).hook(|_, _| Status::Pending);
    let mut setup = Setup::new(&[origin.address], vec![script]);
    setup.timeouts.filter_pending = Duration::from_millis(50);
    let rig = setup.start();
    assert_eq!(rig.connect().get("/").status(), 500);
}

#[test]
fn a_client_that_leaves_ends_the_wait() {
    for at in [PLACES[0], PLACES[1], PLACES[2], At::ResponseHeaders] {
        let origin = Origin::hello();
        let (script, handles) = waiting(at, BodyInterest::None, go_on);
        let mut setup = Setup::new(&[origin.address], vec![script]);
        setup.timeouts.filter_pending = Duration::from_secs(3600);
        let rig = setup.start();
        let mut client = rig.connect();
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        let handle = handles.recv_timeout(PATIENCE).unwrap();
        client.reset();
        rig.log.wait_for("a complete 0 DC Downstream 0/0", 1);
        rig.log.wait_for("a drop", 1);
        assert_eq!(handle.resume(), ResumeOutcome::Gone, "{at:?}");
        assert_eq!(rig.log.with("a resume").len(), 0);
    }
}

#[test]
fn a_worker_that_stops_ends_the_wait() {
    let origin = Origin::hello();
    let (script, handles) = waiting(PLACES[0], BodyInterest::None, go_on);
    let mut rig = Rig::new(&[origin.address], vec![script]);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let handle = handles.recv_timeout(PATIENCE).unwrap();
    rig.stop();
    assert_eq!(rig.log.with("a complete"), ["a complete 0 DD Proxy 0/0"]);
    assert_eq!(handle.resume(), ResumeOutcome::Gone);
    client.expect_end();
}

#[test]
fn a_resumed_hook_answers_for_the_one_that_waited() {
    type Then = fn(&mut FilterCx<'_>) -> Status;
    let stop: Then = |cx| {
        cx.reply(LocalReply::text(418, "tea", "tea")).unwrap();
        Status::Stop
    };
    let edit: Then = |cx| {
        cx.set_header(HeaderMapKind::Response, b"x-late", b"yes").unwrap();
        Status::Continue
    };
    let tries: [(At, Then, u16); 6] = [
        (PLACES[0], stop, 418),
        (PLACES[2], stop, 418),
        (At::Body(EndOfStream::More), stop, 418),
        (At::ResponseHeaders, edit, 200),
        (PLACES[0], |_| Status::Fault(FilterFault::new("x")), 500),
        (At::ResponseHeaders, |_| Status::Fault(FilterFault::new("x")), 500),
    ];
    for (at, then, status) in tries {
        let origin = Origin::echo();
        let (script, handles) = waiting(at, BodyInterest::Stream, then);
        let rig = Rig::new(&[origin.address], vec![script]);
        let mut client = rig.connect();
        client.send_post("/", "body");
        handles.recv_timeout(PATIENCE).unwrap().resume();
        let reply = client.response();
        assert_eq!(reply.status(), status, "{at:?}");
        assert_eq!(reply.header("x-late").is_some(), status == 200);
    }
}

#[test]
fn a_filter_may_wait_again_and_old_handles_are_stale() {
    let origin = Origin::hello();
    let (sender, handles) = channel();
    let sender = Mutex::new((sender, 3));
    let script = Script::new("a").phases(&[ReceiverPhase::BeforeRoute]).hook(move |_, cx| {
        let (sender, left) = &mut *sender.lock().unwrap();
        if *left == 0 {
            return Status::Continue;
        }
        *left -= 1;
        sender.send(cx.resume_handle()).unwrap();
        Status::Pending
    });
    let rig = Rig::new(&[origin.address], vec![script]);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut old: Vec<ResumeHandle> = Vec::new();
    for _ in 0..3 {
        let handle = handles.recv_timeout(PATIENCE).unwrap();
        assert!(old.iter().all(|h| h.resume() == ResumeOutcome::Gone));
        assert_eq!(handle.resume(), ResumeOutcome::Resumed);
        old.push(handle);
    }
    assert_eq!(client.response().body, "hello");
    assert_eq!(rig.log.with("a resume").len(), 3);
}

/// A filter that resumes itself in each hook, and says when it has enough.
fn restless(enough: impl Fn(u32) -> bool + Send + Sync + 'static) -> Script {
    let resumes = AtomicU32::new(0);
    Script::new("a").phases(&[ReceiverPhase::BeforeRoute]).hook(move |at, cx| {
        if at == At::Resume && enough(resumes.fetch_add(1, Ordering::SeqCst) + 1) {
            return Status::Continue;
        }
        assert_eq!(cx.resume_handle().resume(), ResumeOutcome::Resumed);
        Status::Pending
    })
}

#[test]
fn a_wait_has_so_many_resumes() {
    let origin = Origin::hello();
    for (resumes, status) in [(10_000, 200), (10_001, 500)] {
        let rig = Rig::new(&[origin.address], vec![restless(move |count| count == resumes)]);
        assert_eq!(rig.connect().get("/").status(), status, "{resumes}");
        rig.log.wait_for("a drop", 1);
        assert_eq!((rig.log.with("a resume").len(), rig.faults("a")), (10_000, u64::from(status == 500)));
    }
}

/// The resumed one is asked again only after others had their turn.
#[test]
fn a_filter_that_resumes_itself_lets_others_on() {
    let origin = Origin::hello();
    let served = Arc::new(AtomicBool::new(false));
    let (sent, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let other = served.clone();
    let neighbour = Script::new("b").phases(&[ReceiverPhase::BeforeRoute]).hook(move |_, cx| {
        match cx.stream().request.path() {
            "/first" => {}
            "/neighbour" => other.store(true, Ordering::SeqCst),
            // The neighbour's request waits in its socket from here on.
            _ => gate.lock().unwrap().recv().unwrap(),
        }
        Status::Continue
    });
    let script = Script::new("a").phases(&[ReceiverPhase::BeforeRoute]).hook(move |_, cx| {
        if cx.stream().request.path() != "/" || served.load(Ordering::SeqCst) {
            return Status::Continue;
        }
        assert_eq!(cx.resume_handle().resume(), ResumeOutcome::Resumed);
        Status::Pending
    });
    let rig = Rig::new(&[origin.address], vec![neighbour, script]);
    let (mut busy, mut idle) = (rig.connect(), rig.connect());
    assert_eq!(idle.get("/first").status(), 200);
    rig.log.wait_for("a complete", 1);
    busy.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    idle.send("GET /neighbour HTTP/1.1\r\nhost: a\r\n\r\n");
    sent.send(()).unwrap();
    assert_eq!(busy.response().status(), 200);
    assert_eq!(idle.response().status(), 200);
    assert_eq!(rig.faults("a"), 0);
}

#[test]
fn resumes_do_not_begin_the_pending_time_anew() {
    let origin = Origin::hello();
    let (sender, handles) = channel();
    let sender = Mutex::new(sender);
    let script = Script::new("a").phases(&[ReceiverPhase::BeforeRoute]).hook(move |_, cx| {
        sender.lock().unwrap().send(cx.resume_handle()).unwrap();
        Status::Pending
    });
    let mut setup = Setup::new(&[origin.address], vec![script]);
    setup.timeouts.filter_pending = Duration::from_millis(300);
    let rig = setup.start();
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let poll = std::thread::spawn(move || {
        // Ends with the filter, which holds the other end.
        while let Ok(handle) = handles.recv_timeout(PATIENCE) {
            std::thread::sleep(Duration::from_millis(60));
            if handle.resume() == ResumeOutcome::Gone {
                return;
            }
        }
    });
    assert_eq!(client.response().status(), 500);
    assert_eq!(rig.faults("a"), 1);
    poll.join().unwrap();
}

/// A delay that the filter asks for is no part of that time.
#[test]
fn delays_of_a_filters_own_do_not_count_as_pending() {
    let origin = Origin::hello();
    let left = AtomicU32::new(5);
    let script = Script::new("a").phases(&[ReceiverPhase::BeforeRoute]).hook(move |_, cx| {
        if left.fetch_sub(1, Ordering::SeqCst) == 0 {
            return Status::Continue;
        }
        cx.wake_after(Duration::from_millis(60));
        Status::Pending
    });
    let mut setup = Setup::new(&[origin.address], vec![script]);
    setup.timeouts.filter_pending = Duration::from_millis(100);
    let rig = setup.start();
    assert_eq!(rig.connect().get("/").body, "hello");
    assert_eq!(rig.log.with("a resume").len(), 5);
}

#[test]
fn handles_of_hooks_that_did_not_wait_or_of_the_end_are_gone() {
    let origin = Origin::hello();
    let (sender, handles) = channel();
    let sender = Mutex::new(sender);
    let late = Mutex::new(sender.lock().unwrap().clone());
    let script = Script::new("a")
        .phases(&[ReceiverPhase::BeforeRoute])
        .hook(move |_, cx| {
            sender.lock().unwrap().send(cx.resume_handle()).unwrap();
            Status::Continue
        })
        .complete(move |cx, _| late.lock().unwrap().send(cx.resume_handle()).unwrap());
    let rig = Rig::new(&[origin.address], vec![script]);
    let mut client = rig.connect();
    assert_eq!(client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").response().body, "hello");
    client.expect_end();
    rig.log.wait_for("a drop", 1);
    for _ in 0..2 {
        assert_eq!(handles.recv_timeout(PATIENCE).unwrap().resume(), ResumeOutcome::Gone);
    }
}

#[test]
fn waiting_does_not_count_as_the_upstreams_time() {
    // The second filter keeps the chunk to itself: nothing moves but time.
    let drain = |cx: &mut FilterCx<'_>| {
        let _ = cx.drain_body(BodyDirection::Response, usize::MAX);
        Status::Continue
    };
    for (at, body) in [
        (At::ResponseHeaders, BodyInterest::None),
        (At::ResponseBody(EndOfStream::More), BodyInterest::Stream),
        (At::ResponseHeaders, BodyInterest::Whole),
    ] {
        let (go, gate) = channel::<()>();
        let gate = Mutex::new(gate);
        let origin = Origin::raw(move |mut conn, _, _| {
            conn.head();
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
            for part in [":", "late"] {
                gate.lock().unwrap().recv().unwrap();
                conn.send(part);
            }
            conn.rest();
        });
        let (script, handles) = waiting(at, body, drain);
        let mut setup = Setup::new(&[origin.address], vec![script]);
        setup.timeouts.response = Some(Duration::from_millis(400));
        let rig = setup.start();
        let mut client = rig.connect();
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        let head = (body == BodyInterest::Stream).then(|| client.head());
        go.send(()).unwrap();
        let handle = handles.recv_timeout(PATIENCE).unwrap();
        // Longer than the upstream may take: this is the time that must not
        // count.
        std::thread::sleep(Duration::from_millis(600));
        handle.resume();
        rig.log.wait_for("a resume", 1);
        go.send(()).unwrap();
        match head {
            Some(_) => assert_eq!(client.text(14).unwrap(), "4\r\nlate\r\n0\r\n\r\n"[..14]),
            None => assert_eq!(client.response().body, ":late", "{at:?}"),
        }
    }
}
