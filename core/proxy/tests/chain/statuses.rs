//! What each status does in each hook.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sidegate_api::{BodyInterest, FilterCx, HeaderMapKind, LocalReply, ReceiverPhase, Status};
use sidegate_router::{HeaderMatch, PathMatch, RouteMatch};

use crate::kit::{At, Origin, Rig, Script, Setup, cluster, ok, route, route_to};

fn refuse(cx: &mut FilterCx<'_>) -> Status {
    let mut reply = LocalReply::text(403, "refused", "no\n");
    reply.headers.add(b"x-why", b"test").unwrap();
    cx.reply(reply).unwrap();
    Status::Stop
}

const RECEIVING: [ReceiverPhase; 3] = ReceiverPhase::ALL;

#[test]
fn stop_with_a_reply_answers_and_passes_the_response_filters() {
    for phase in RECEIVING {
        let origin = Origin::hello();
        let stop = Script::all("b", BodyInterest::None).hook(move |at, cx| match at {
            At::Headers(now) if now == phase => refuse(cx),
            At::ResponseHeaders => {
                cx.set_header(HeaderMapKind::Response, b"x-seen", b"yes").unwrap();
                Status::Continue
            }
            _ => Status::Continue,
        });
        let rig = Rig::new(
            &[origin.address],
            vec![Script::all("a", BodyInterest::None), stop, Script::all("c", BodyInterest::None)],
        );
        let mut client = rig.connect();
        for _ in 0..2 {
            let reply = client.get("/");
            assert_eq!((reply.status(), &*reply.body, reply.length()), (403, "no\n", Some(3)));
            assert_eq!((reply.header("x-why"), reply.header("x-seen")), (Some("test"), Some("yes")));
        }
        assert_eq!(origin.connections(), 0, "{phase:?}");
        rig.log.wait_for("drop", 6);
        assert_eq!(rig.log.with(&format!("c {phase:?}")), Vec::<String>::new());
        assert_eq!(rig.log.with("response 403 More").len(), 6);
        assert_eq!(rig.log.with("complete 403 FR Nobody 0/3").len(), 6);
    }
}

#[test]
fn stop_with_a_reply_in_body_and_response_hooks() {
    for at in ["body", "whole", "trailers", "response", "response-whole"] {
        let origin = Origin::echo();
        let interest = if at.ends_with("whole") { BodyInterest::Whole } else { BodyInterest::Stream };
        let stop = Script::all("a", interest).hook(move |now, cx| match (at, now) {
            ("body" | "whole", At::Body(_))
            | ("trailers", At::Trailers)
            | ("response", At::ResponseHeaders)
            | ("response-whole", At::ResponseBody(_)) => refuse(cx),
            _ => Status::Continue,
        });
        let rig = Rig::new(&[origin.address], vec![stop]);
        let mut client = rig.connect();
        client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-t: 1\r\n\r\n");
        let reply = client.response();
        assert_eq!((reply.status(), &*reply.body), (403, "no\n"), "{at}");
        if at == "whole" {
            assert_eq!(origin.connections(), 0, "{at}");
        }
        rig.log.wait_for("a drop", 1);
        assert_eq!(rig.log.with("a response ").len(), 1, "{at}");
        assert_eq!(rig.log.with("a complete 403 FR Nobody").len(), 1, "{at}");
    }
}

#[test]
fn stop_without_a_reply_ends_the_phase_only() {
    let origin = Origin::hello();
    let stop = Script::all("a", BodyInterest::None).hook(|_, _| Status::Stop);
    let rig = Rig::new(&[origin.address], vec![stop, Script::all("b", BodyInterest::None)]);
    assert_eq!(rig.connect().get("/").body, "hello");
    rig.log.expect(&[
        "a BeforeRoute End",
        "a AfterRoute End",
        "a AfterChooseHost End",
        "a response 200 More",
        "a complete 200 - Nobody 0/5",
        "b complete 200 - Nobody 0/5",
        "a drop",
        "b drop",
    ]);
}

#[test]
fn filters_of_a_phase_that_was_ended_do_not_see_the_body_in_pieces() {
    let origin = Origin::echo();
    let stop = Script::new("a").phases(&[ReceiverPhase::BeforeRoute]).response().hook(|_, _| Status::Stop);
    let whole = Script::new("b").request_body(BodyInterest::Whole).response_body(BodyInterest::Whole);
    let later = Script::new("c").phases(&[ReceiverPhase::AfterRoute]).request_body(BodyInterest::Whole);
    let rig = Rig::new(&[origin.address], vec![stop, whole, later]);
    assert_eq!(rig.connect().post("/", "body").body, "body");
    rig.log.wait_for("drop", 3);
    assert_eq!(rig.log.with("b body"), Vec::<String>::new());
    assert_eq!(rig.log.with("b response-body"), Vec::<String>::new());
    assert_eq!(rig.log.with("c body"), ["c body \"body\" End"]);
}

#[test]
fn stop_in_a_body_hook_ends_its_own_phase_only() {
    let origin = Origin::echo();
    let phases = [ReceiverPhase::BeforeRoute];
    let stop = Script::new("a").phases(&phases).request_body(BodyInterest::Observe).hook(|at, _| match at {
        At::Body(_) => Status::Stop,
        _ => Status::Continue,
    });
    let same = Script::new("b").phases(&phases).request_body(BodyInterest::Observe);
    let later = Script::new("c").phases(&[ReceiverPhase::AfterRoute]).request_body(BodyInterest::Observe);
    let rig = Rig::new(&[origin.address], vec![stop, same, later]);
    assert_eq!(rig.connect().post("/", "body").body, "body");
    rig.log.wait_for("drop", 3);
    assert_eq!(rig.log.with("b body"), Vec::<String>::new());
    assert_eq!(rig.log.with("c body"), ["c body \"body\" More", "c body \"\" End"]);
}

#[test]
fn terminate_closes_without_a_byte() {
    for phase in RECEIVING {
        let origin = Origin::hello();
        let script = Script::all("a", BodyInterest::None).hook(move |at, _| match at {
            At::Headers(now) if now == phase => Status::Terminate,
            _ => Status::Continue,
        });
        let rig = Rig::new(&[origin.address], vec![script]);
        let mut client = rig.connect();
        client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").expect_end();
        assert_eq!(origin.connections(), 0);
        rig.log.wait_for("a drop", 1);
        assert_eq!(rig.log.with("complete"), ["a complete 0 FT Filter 0/0"]);
        assert_eq!(rig.log.with("response"), Vec::<String>::new());
    }
}

#[test]
fn terminate_in_body_and_response_hooks() {
    for at in [At::Body(sidegate_api::EndOfStream::More), At::Trailers, At::ResponseHeaders] {
        let origin = Origin::echo();
        let script = Script::all("a", BodyInterest::Stream).hook(move |now, _| match now == at {
            true => Status::Terminate,
            false => Status::Continue,
        });
        let rig = Rig::new(&[origin.address], vec![script]);
        let mut client = rig.connect();
        client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-t: 1\r\n\r\n");
        client.expect_end();
        rig.log.wait_for("a drop", 1);
        assert_eq!(rig.log.with("complete"), ["a complete 0 FT Filter 4/0"], "{at:?}");
    }
}

#[test]
fn terminate_in_the_response_body_cuts_it() {
    let origin = Origin::hello();
    let script = Script::all("a", BodyInterest::Observe).hook(move |now, _| match now {
        At::ResponseBody(_) => Status::Terminate,
        _ => Status::Continue,
    });
    let rig = Rig::new(&[origin.address], vec![script]);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(!client.rest().0.contains("hello"));
    rig.log.wait_for("a complete 200 FT Filter 0/0", 1);
}

/// Requests with `x-to: b` go to cluster b.
fn two_routes(a: &Origin, b: &Origin, script: Script) -> Setup {
    let to_b = RouteMatch::new(PathMatch::prefix("/").unwrap(), vec![HeaderMatch::literal("x-to", "b").unwrap()]);
    Setup {
        routes: vec![route(to_b, "to-b", "b"), route_to("/", "a")],
        clusters: vec![cluster("a", &[a.address]), cluster("b", &[b.address])],
        ..Setup::new(&[], vec![script, Script::all("z", BodyInterest::None)])
    }
}

#[test]
fn rematch_takes_another_route() {
    for phase in [ReceiverPhase::AfterRoute, ReceiverPhase::AfterChooseHost] {
        let (a, b) = (Origin::hello(), Origin::new(|_| ok("from b")));
        let script = Script::all("s", BodyInterest::None).hook(move |at, cx| match at {
            At::Headers(now) if now == phase && cx.stream().info.route_name() == Some("/") => {
                cx.set_header(HeaderMapKind::Request, b"x-to", b"b").unwrap();
                Status::RematchRoute
            }
            At::Headers(ReceiverPhase::AfterRoute) if cx.stream().info.upstream_host.is_some() => {
                Status::Fault(sidegate_api::FilterFault::new("host of the former pass"))
            }
            _ => Status::Continue,
        });
        let rig = two_routes(&a, &b, script).start();
        assert_eq!(rig.connect().get("/").body, "from b");
        assert_eq!(a.connections(), 0);
        rig.log.wait_for("s drop", 1);
        let again = if phase == ReceiverPhase::AfterRoute { 1 } else { 2 };
        assert_eq!(rig.log.with("s BeforeRoute").len(), 1);
        assert_eq!(rig.log.with("s AfterRoute").len(), 2);
        assert_eq!(rig.log.with("z AfterRoute").len(), again);
        assert_eq!(rig.log.with("s AfterChooseHost").len(), again);
        assert_eq!(rig.log.with("z AfterChooseHost").len(), 1);
        assert_eq!(rig.log.with("complete 200 -").len(), 2);
    }
}

#[test]
fn rematch_for_ever_is_a_500() {
    let (a, b) = (Origin::hello(), Origin::hello());
    for phase in [ReceiverPhase::AfterRoute, ReceiverPhase::AfterChooseHost] {
        let script = Script::all("s", BodyInterest::None).hook(move |at, _| match at {
            At::Headers(now) if now == phase => Status::RematchRoute,
            _ => Status::Continue,
        });
        let rig = two_routes(&a, &b, script).start();
        assert_eq!(rig.connect().get("/").status(), 500);
        assert_eq!(rig.log.with("s AfterRoute").len(), 10);
    }
    assert_eq!(a.connections() + b.connections(), 0);
}

#[test]
fn rematch_to_nowhere_is_a_404() {
    let origin = Origin::hello();
    let script = Script::all("s", BodyInterest::None).hook(|at, cx| match at {
        At::Headers(ReceiverPhase::AfterRoute) => {
            cx.set_variable(sidegate_api::Variable::Path, b"/nowhere").unwrap();
            Status::RematchRoute
        }
        At::ResponseHeaders if cx.stream().info.route_name().is_some() || cx.stream().info.cluster.is_some() => {
            Status::Fault(sidegate_api::FilterFault::new("route of the former pass"))
        }
        _ => Status::Continue,
    });
    let setup = Setup { routes: vec![route_to("/here", "main")], ..Setup::new(&[origin.address], vec![script]) };
    let rig = setup.start();
    assert_eq!(rig.connect().get("/here").status(), 404);
}

#[test]
fn rechoose_takes_another_host_and_ends_when_all_were_tried() {
    let origins = [Origin::hello(), Origin::hello(), Origin::hello()];
    let hosts: Vec<_> = origins.iter().map(|o| o.address).collect();
    let left = Arc::new(AtomicUsize::new(1));
    let times = left.clone();
    let script = Script::all("s", BodyInterest::None).hook(move |at, cx| match at {
        At::Headers(ReceiverPhase::AfterChooseHost) => {
            let host = cx.stream().info.upstream_host.as_ref().unwrap().as_str().to_owned();
            cx.set_named(b"host", host.as_bytes()).unwrap();
            match times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)) {
                Ok(_) => Status::RechooseHost,
                Err(_) => Status::Continue,
            }
        }
        _ => Status::Continue,
    });
    let rig = Rig::new(&hosts, vec![script]);
    assert_eq!(rig.connect().get("/").status(), 200);
    assert_eq!(rig.log.with("AfterChooseHost").len(), 2);
    left.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(rig.connect().get("/").status(), 502);
    assert_eq!(rig.log.with("AfterChooseHost").len(), 5);
    assert_eq!(origins.iter().map(Origin::connections).sum::<usize>(), 1);
}

#[test]
fn statuses_out_of_place_are_faults() {
    let tries: [(At, fn() -> Status); 5] = [
        (At::Headers(ReceiverPhase::BeforeRoute), || Status::RematchRoute),
        (At::Headers(ReceiverPhase::BeforeRoute), || Status::RechooseHost),
        (At::Headers(ReceiverPhase::AfterRoute), || Status::RechooseHost),
        (At::Trailers, || Status::RematchRoute),
        (At::ResponseHeaders, || Status::RematchRoute),
    ];
    for (at, status) in tries {
        let origin = Origin::echo();
        // The filter cannot know that its status will count as a fault.
        let mut script = Script::all("a", BodyInterest::Stream).hook(move |now, _| match now == at {
            true => status(),
            false => Status::Continue,
        });
        script.interests.complete = false.into();
        let rig = Rig::new(&[origin.address], vec![script, Script::new("b")]);
        let mut client = rig.connect();
        client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-t: 1\r\n\r\n");
        assert_eq!(client.response().status(), 500, "{at:?}");
        rig.log.wait_for("b drop", 1);
        assert_eq!(rig.faults("a"), 1);
        assert!(rig.log.with("b complete")[0].starts_with("b complete 500 FF Nobody"), "{:?}", rig.log.lines());
    }
}
