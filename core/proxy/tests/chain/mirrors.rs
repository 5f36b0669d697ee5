//! Copies of requests for another cluster.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use sidegate_api::{
    BodyDirection, BodyInterest, FilterCx, HeaderMapKind, MirrorFan, MirrorHosts, ReceiverPhase, Status,
};
use sidegate_router::{AbsolutePath, MirrorPolicy, PathRewrite, RetryOn, RetryPolicy, RouteAction};

use crate::kit::{At, Message, Origin, PATIENCE, Rig, Script, Setup, cluster, ok};

/// Everything to `main`, with copies to `shadows`.
fn mirroring(main: &Origin, shadows: &[&Origin], scripts: Vec<Script>) -> Setup {
    let mut setup = Setup::new(&[main.address], scripts);
    setup.clusters.push(cluster("shadow", &shadows.iter().map(|origin| origin.address).collect::<Vec<_>>()));
    setup.routes[0].mirror = Some(MirrorPolicy { cluster: "shadow".into(), percent: 100 });
    setup
}

fn wait_for(origin: &Origin, count: usize) -> Vec<Message> {
    let deadline = Instant::now() + PATIENCE;
    while origin.requests().len() < count {
        assert!(Instant::now() < deadline, "{} copies instead of {count}", origin.requests().len());
        std::thread::yield_now();
    }
    origin.requests()
}

fn counted(rig: &Rig, name: &str) -> u64 {
    rig.counter(&format!("downstream_request_{name}_total"), &[("listener", "test")])
}

#[test]
fn a_copy_is_what_the_host_gets() {
    for interest in [BodyInterest::None, BodyInterest::Stream, BodyInterest::Whole] {
        let (main, shadow) = (Origin::echo(), Origin::new(|_| "HTTP/1.1 500 x\r\ncontent-length: 3\r\n\r\nbad".into()));
        let filter = Script::all("a", interest).hook(|at, cx: &mut FilterCx<'_>| {
            if at == At::Headers(ReceiverPhase::AfterRoute) {
                cx.set_header(HeaderMapKind::Request, b"x-filter", b"1").unwrap();
            }
            Status::Continue
        });
        let rig = mirroring(&main, &[&shadow], vec![filter]).start();
        let mut client = rig.connect();
        assert_eq!(client.get("/a?b=c").body, "");
        assert_eq!(client.post("/", "body").body, "body");
        assert_eq!(client.get("/last").status(), 200);
        let (copies, sent) = (wait_for(&shadow, 3), main.requests());
        // Copies may overtake each other.
        for sent in &sent {
            let id = sent.header("x-request-id");
            let copy = copies.iter().find(|copy| copy.header("x-request-id") == id).unwrap();
            assert_eq!((&copy.start, &copy.body), (&sent.start, &sent.body));
            assert_eq!((copy.header("host"), copy.header("x-filter")), (Some("test"), Some("1")));
        }
        assert_eq!((counted(&rig, "mirrored"), counted(&rig, "mirror_dropped")), (3, 0));
        // Filters saw the client's responses and no others.
        rig.log.wait_for("a complete 200", 3);
        assert_eq!(rig.log.with("a complete").len(), 3);
    }
}

#[test]
fn trailers_and_chunks_are_copied() {
    let (main, shadow) = (Origin::echo(), Origin::hello());
    let rig = mirroring(&main, &[&shadow], vec![]).start();
    let chunks =
        "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nx-t: 1\r\n\r\n";
    assert_eq!(rig.connect().send(chunks).response().body, "abcde");
    let copy = wait_for(&shadow, 1).remove(0);
    assert_eq!((&*copy.body, copy.trailer("x-t")), ("abcde", Some("1")));
}

#[test]
fn a_shadow_that_is_ill_harms_nobody() {
    let silent = Origin::raw(|mut conn, _, requests| {
        while let Ok(request) = conn.try_message(true) {
            requests.lock().unwrap().push(request);
        }
    });
    let garbage = Origin::raw(|mut conn, _, _| _ = conn.send("no HTTP at all\r\n\r\n"));
    let main = Origin::echo();
    let mut setup = mirroring(&main, &[&silent, &garbage], vec![]);
    let refusing = cluster("shadow", &[silent.address, garbage.address, Origin::refusing()]);
    setup.clusters[1] = refusing;
    let rig = setup.start();
    let mut client = rig.connect();
    for number in 0..30 {
        assert_eq!(client.post("/", &number.to_string()).body, number.to_string());
    }
    assert!(!wait_for(&silent, 1).is_empty());
    // One that has no host at all.
    let mut setup = mirroring(&main, &[], vec![]);
    setup.clusters[1] = cluster("shadow", &[]);
    let rig = setup.start();
    assert_eq!(rig.connect().post("/", "body").body, "body");
    assert_eq!((counted(&rig, "mirrored"), counted(&rig, "mirror_dropped")), (0, 1));
}

#[test]
fn copies_in_flight_are_bounded() {
    let silent = Origin::raw(|mut conn, _, _| _ = conn.rest());
    let main = Origin::hello();
    let rig = mirroring(&main, &[&silent], vec![]).start();
    let mut client = rig.connect();
    for _ in 0..300 {
        assert_eq!(client.get("/").body, "hello");
    }
    assert_eq!((counted(&rig, "mirrored"), counted(&rig, "mirror_dropped")), (256, 44));
}

#[test]
fn a_body_that_is_too_large_is_not_copied() {
    let (main, shadow) = (Origin::echo(), Origin::hello());
    let rig = mirroring(&main, &[&shadow], vec![]).start();
    let mut client = rig.connect();
    for (length, copied, dropped) in [(65_536, 1, 0), (65_537, 1, 1)] {
        let body = "x".repeat(length);
        assert!(client.post("/", &body).body == body);
        assert_eq!((counted(&rig, "mirrored"), counted(&rig, "mirror_dropped")), (copied, dropped));
    }
    assert_eq!(wait_for(&shadow, 1)[0].body.len(), 65_536);
}

#[test]
fn a_share_of_the_requests_is_copied() {
    let (main, shadow) = (Origin::hello(), Origin::hello());
    let mut setup = mirroring(&main, &[&shadow], vec![]);
    setup.routes[0].mirror.as_mut().unwrap().percent = 50;
    let rig = setup.start();
    let mut client = rig.connect();
    for _ in 0..400 {
        client.get("/");
    }
    // Within seven standard deviations.
    let copies = counted(&rig, "mirrored");
    assert!((130..=270).contains(&copies), "{copies}");
}

#[test]
fn filters_say_how_copies_are_sent() {
    let fan = |copies: u32, hosts| {
        Script::new("a").phases(&[ReceiverPhase::AfterRoute]).hook(move |_, cx: &mut FilterCx<'_>| {
            cx.fan_mirror(MirrorFan { copies: NonZeroU32::new(copies).unwrap(), hosts });
            Status::Continue
        })
    };
    let (main, shadows) = (Origin::hello(), [Origin::hello(), Origin::hello()]);
    let rig = mirroring(&main, &[&shadows[0], &shadows[1]], vec![fan(3, MirrorHosts::Chosen)]).start();
    assert_eq!(rig.connect().get("/").body, "hello");
    assert_eq!(counted(&rig, "mirrored"), 3);
    let shadows = [Origin::hello(), Origin::hello()];
    let sent = main.requests().len();
    let rig = mirroring(&main, &[&shadows[0], &shadows[1]], vec![fan(9, MirrorHosts::All)]).start();
    let reply = rig.connect().get("/");
    assert_eq!((reply.status(), &*reply.body), (200, ""));
    assert_eq!((wait_for(&shadows[0], 1).len(), wait_for(&shadows[1], 1).len()), (1, 1));
    assert_eq!(main.requests().len(), sent);
    // Without a policy of the route there is nothing to fan.
    let rig = Rig::new(&[main.address], vec![fan(2, MirrorHosts::All)]);
    assert_eq!(rig.connect().get("/").body, "hello");
    assert_eq!(counted(&rig, "mirrored"), 0);
}

/// Such a request goes to the shadows alone, whole and as filters made it.
#[test]
fn a_broadcast_answers_by_itself() {
    let all = || {
        Script::new("b").phases(&[ReceiverPhase::AfterRoute]).hook(move |_, cx: &mut FilterCx<'_>| {
            cx.fan_mirror(MirrorFan { copies: NonZeroU32::MIN, hosts: MirrorHosts::All });
            Status::Continue
        })
    };
    for interest in [BodyInterest::None, BodyInterest::Observe, BodyInterest::Stream, BodyInterest::Whole] {
        for phase in ReceiverPhase::ALL {
            let (main, shadows) = (Origin::hello(), [Origin::hello(), Origin::hello()]);
            let filter = Script::new("a").phases(&[phase]).request_body(interest).response().hook(|at, cx| {
                match at {
                    At::Body(sidegate_api::EndOfStream::End) => _ = cx.append_body(BodyDirection::Request, b"!"),
                    At::ResponseHeaders => cx.set_header(HeaderMapKind::Response, b"x-a", b"1").unwrap(),
                    _ => {}
                }
                Status::Continue
            });
            let mut setup = mirroring(&main, &[&shadows[0], &shadows[1]], vec![all(), filter]);
            if let RouteAction::Forward(forward) = &mut setup.routes[0].action {
                forward.path_rewrite = PathRewrite::Prefix(AbsolutePath::parse("/new/").unwrap());
            }
            let rig = setup.start();
            let mut client = rig.connect();
            // More than is kept of a body for a copy.
            let large = "x".repeat(100_000);
            let adds = if matches!(interest, BodyInterest::Stream | BodyInterest::Whole) { "!" } else { "" };
            for (count, body) in ["hi", &large, ""].into_iter().enumerate() {
                let reply = if body.is_empty() { client.get("/a?b") } else { client.post("/a?b", body) };
                assert_eq!((reply.status(), &*reply.body, reply.header("x-a")), (200, "", Some("1")));
                for shadow in &shadows {
                    let copy = wait_for(shadow, count + 1).pop().unwrap();
                    let method = if body.is_empty() { "GET" } else { "POST" };
                    assert_eq!(copy.start, format!("{method} /new/a?b HTTP/1.1"));
                    assert!(copy.body == format!("{body}{adds}"), "{interest:?} {phase:?}: {} bytes", copy.body.len());
                    let framed = !copy.body.is_empty();
                    assert_eq!((copy.length().is_some(), copy.is_chunked()), (framed, false));
                }
            }
            assert_eq!((main.connections(), counted(&rig, "mirrored")), (0, 6));
        }
    }
    // Nobody is there to get it, or chance lets it pass.
    let main = Origin::hello();
    let mut setup = mirroring(&main, &[], vec![all()]);
    setup.clusters[1] = cluster("shadow", &[]);
    let rig = setup.start();
    assert_eq!((rig.connect().get("/").status(), main.connections()), (200, 0));
    let mut setup = mirroring(&main, &[&main], vec![all()]);
    setup.routes[0].mirror.as_mut().unwrap().percent = 0;
    let rig = setup.start();
    assert_eq!((&*rig.connect().get("/").body, counted(&rig, "mirrored")), ("hello", 0));
}

#[test]
fn what_is_not_forwarded_is_not_copied() {
    let (main, shadow) = (Origin::hello(), Origin::hello());
    let filter = Script::new("a").phases(&[ReceiverPhase::AfterRoute]).hook(|_, cx: &mut FilterCx<'_>| {
        cx.reply(sidegate_api::LocalReply::text(403, "no", "no")).unwrap();
        Status::Stop
    });
    let rig = mirroring(&main, &[&shadow], vec![filter]).start();
    assert_eq!(rig.connect().get("/").status(), 403);
    assert_eq!((counted(&rig, "mirrored"), counted(&rig, "mirror_dropped")), (0, 0));
}

#[test]
fn connections_to_shadows_are_kept_and_replaced() {
    // Each connection ends without a word after two requests.
    let shadow = Origin::raw(|mut conn, _, requests| {
        for _ in 0..2 {
            let Ok(request) = conn.try_message(true) else { return };
            requests.lock().unwrap().push(request);
            conn.send(ok("ok"));
        }
    });
    let main = Origin::hello();
    let rig = mirroring(&main, &[&shadow], vec![]).start();
    let mut client = rig.connect();
    for number in 1..=10 {
        assert_eq!(client.get("/").body, "hello");
        wait_for(&shadow, number);
    }
    assert!(shadow.connections() < 10, "{}", shadow.connections());
}

#[test]
fn a_request_that_is_repeated_is_copied_once() {
    let failing = std::sync::atomic::AtomicUsize::new(2);
    let main = Origin::new(move |request| {
        let left =
            failing.fetch_update(std::sync::atomic::Ordering::SeqCst, std::sync::atomic::Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        match left {
            Ok(_) => "HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n".into(),
            Err(_) => ok(&request.body),
        }
    });
    let shadow = Origin::hello();
    let mut setup = mirroring(&main, &[&shadow], vec![]);
    if let RouteAction::Forward(forward) = &mut setup.routes[0].action {
        forward.retry = RetryPolicy { on: RetryOn::Failures, ..RetryPolicy::default() };
    }
    let rig = setup.start();
    let reply = rig.connect().send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody").response();
    assert_eq!(reply.body, "body");
    assert_eq!(wait_for(&shadow, 1)[0].body, "body");
    assert_eq!(counted(&rig, "mirrored"), 1);
}

#[test]
fn a_slow_shadow_does_not_hold_the_answer_up() {
    let (main, shadow) = (Origin::hello(), Origin::raw(|mut conn, _, _| _ = conn.rest()));
    let mut setup = mirroring(&main, &[&shadow], vec![]);
    setup.timeouts.response = Some(Duration::from_secs(1));
    let rig = setup.start();
    let mut client = rig.connect();
    // More than may be in flight: those that took too long made room.
    let mut sent = 0;
    let deadline = Instant::now() + PATIENCE;
    while counted(&rig, "mirrored") <= 256 {
        assert!(Instant::now() < deadline);
        assert_eq!(client.get("/").body, "hello");
        sent += 1;
    }
    assert!(sent > 256);
}

/// A filter has the route matched again after an attempt that sent some of the
/// body, and wants a broadcast then.
#[test]
fn a_broadcast_after_a_failed_attempt_has_the_whole_body() {
    let body: String = (0..40_000).map(|at| char::from(b'a' + (at * 7 % 23) as u8)).collect();
    for interest in [BodyInterest::None, BodyInterest::Observe, BodyInterest::Stream, BodyInterest::Whole] {
        for (length, reads) in [(0, 0), (5, 0), (5, 5), (40_000, 0), (40_000, 100), (40_000, 40_000)] {
            for chunked in [false, true] {
                let failing = Origin::raw(move |mut conn, _, _| {
                    _ = conn.try_head().is_ok() && conn.text(reads).is_ok();
                });
                let shadow = Origin::hello();
                let filter = Script::all("a", interest).hook(|at, cx: &mut FilterCx<'_>| {
                    let is_second = cx.stream().info.attempts > 0;
                    match at {
                        At::Headers(ReceiverPhase::AfterRoute) if is_second => {
                            cx.fan_mirror(MirrorFan { copies: NonZeroU32::MIN, hosts: MirrorHosts::All });
                        }
                        At::Headers(ReceiverPhase::AfterChooseHost) if is_second => return Status::RematchRoute,
                        _ => {}
                    }
                    Status::Continue
                });
                let mut setup = mirroring(&failing, &[&shadow], vec![filter]);
                if let RouteAction::Forward(forward) = &mut setup.routes[0].action {
                    forward.retry = RetryPolicy { on: RetryOn::Failures, retries: 3, ..RetryPolicy::default() };
                }
                let rig = setup.start();
                let sent = &body[..length];
                let request = match chunked {
                    true if length > 0 => {
                        format!("transfer-encoding: chunked\r\n\r\n{length:x}\r\n{sent}\r\n0\r\nx-t: 1\r\n\r\n")
                    }
                    _ => format!("content-length: {length}\r\n\r\n{sent}"),
                };
                let reply = rig.connect().send(format!("PUT / HTTP/1.1\r\nhost: a\r\n{request}")).response();
                let shown = format!("{interest:?} {length} {reads} {chunked}");
                assert_eq!((reply.status(), &*reply.body), (200, ""), "{shown}");
                let copy = wait_for(&shadow, 1).remove(0);
                assert!(copy.body == sent, "{shown}: {} bytes", copy.body.len());
                assert_eq!(copy.trailer("x-t"), (chunked && length > 0).then_some("1"), "{shown}");
                assert_eq!(failing.connections(), 1, "{shown}");
            }
        }
    }
}
