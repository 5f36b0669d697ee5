//! Requests that are sent again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sidegate_api::{BodyInterest, FilterCx, HeaderMapKind, ReceiverPhase, Status};
use sidegate_router::{ForwardAction, HeaderAdd, RetryOn, RetryPolicy, RouteAction};

use crate::kit::{At, Conn, Message, Origin, Rig, Script, Setup, ok};

/// Everything to `hosts`, with up to 3 retries.
fn retrying(hosts: &[SocketAddr], scripts: Vec<Script>) -> Setup {
    let mut setup = Setup::new(hosts, scripts);
    forward(&mut setup).retry = RetryPolicy { on: RetryOn::Failures, ..RetryPolicy::default() };
    setup
}

fn forward(setup: &mut Setup) -> &mut ForwardAction {
    match &mut setup.routes[0].action {
        RouteAction::Forward(forward) => forward,
        other => panic!("{other:?}"),
    }
}

fn status(status: u16) -> String {
    format!("HTTP/1.1 {status} x\r\ncontent-length: 4\r\n\r\nfail")
}

/// Fails as often as `times` says, over all connections, and then says what
/// came.
fn failing(times: usize, fail: impl Fn(&mut Conn) + Send + Sync + 'static) -> Origin {
    let left = Arc::new(AtomicUsize::new(times));
    Origin::raw(move |mut conn, _, requests| {
        while let Ok(request) = conn.try_message(true) {
            requests.lock().unwrap().push(request.clone());
            if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                fail(&mut conn);
                return;
            }
            conn.send(ok(&request.body));
        }
    })
}

fn put(client: &mut Conn, body: &str) -> Message {
    let length = body.len();
    client.send(format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}")).response()
}

#[test]
fn failures_are_tried_again_at_another_host() {
    let failed = Origin::new(|_| status(503));
    let well = Origin::hello();
    let rig = retrying(&[failed.address, well.address], vec![Script::new("a").response()]).start();
    let mut client = rig.connect();
    for _ in 0..4 {
        let reply = client.get("/");
        assert_eq!((reply.status(), &*reply.body), (200, "hello"));
    }
    rig.log.wait_for("a complete 200 - Nobody 0/5", 4);
    assert_eq!(well.requests().len(), 4);
    // Filters saw the responses that the client got, and no others.
    assert_eq!(rig.log.with("a response").len(), 4);
    assert!(!failed.requests().is_empty());
}

#[test]
fn each_sort_of_failure_is_tried_again() {
    let fails: [fn(&mut Conn); 4] = [
        |conn| _ = conn.send(status(500)),
        |_| (),
        |conn| rustix::net::sockopt::set_socket_linger(&conn.stream, Some(Duration::ZERO)).unwrap(),
        |conn| _ = conn.send("HTTP/1.1 502 x\r\n\r\nuntil the end"),
    ];
    for fail in fails {
        for body in [BodyInterest::None, BodyInterest::Stream, BodyInterest::Whole] {
            let origin = failing(2, fail);
            let rig = retrying(&[origin.address], vec![Script::new("a").request_body(body).response()]).start();
            let mut client = rig.connect();
            let reply = put(&mut client, "some body");
            assert_eq!((reply.status(), &*reply.body), (200, "some body"), "{body:?}");
            let requests = origin.requests();
            assert_eq!(requests.len(), 3);
            assert!(requests.iter().all(|request| *request == requests[0]), "{requests:#?}");
            rig.log.wait_for("a complete 200 - Nobody 9/9", 1);
            assert_eq!(client.get("/").status(), 200);
        }
    }
}

#[test]
fn without_a_policy_nothing_is_tried_again() {
    let origin = failing(usize::MAX, |conn| _ = conn.send(status(500)));
    let rig = Rig::new(&[origin.address], vec![]);
    assert_eq!(rig.connect().get("/").status(), 500);
    assert_eq!(origin.requests().len(), 1);
    let origin = failing(usize::MAX, |_| ());
    let rig = Rig::new(&[origin.address], vec![]);
    assert_eq!(rig.connect().get("/").status(), 502);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn requests_with_an_effect_are_not_repeated() {
    for request in ["POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", "PATCH / HTTP/1.1\r\nhost: a\r\n\r\n"] {
        let origin = failing(usize::MAX, |conn| _ = conn.send(status(503)));
        let rig = retrying(&[origin.address], vec![]).start();
        assert_eq!(rig.connect().send(request).response().status(), 503);
        assert_eq!(origin.requests().len(), 1);
    }
}

#[test]
fn connecting_is_tried_elsewhere_for_any_method() {
    let well = Origin::echo();
    let rig = Setup::new(&[Origin::refusing(), well.address, Origin::refusing()], vec![Script::new("a")]).start();
    let mut client = rig.connect();
    for _ in 0..6 {
        assert_eq!(client.post("/", "body").body, "body");
    }
    // That other hosts could not be reached is not what became of the request.
    rig.log.wait_for("a complete 200 - Nobody 4/4", 6);
}

#[test]
fn the_last_failure_is_the_answer() {
    for (retries, attempts) in [(1, 2), (2, 3), (3, 4)] {
        let origin = failing(usize::MAX, |conn| _ = conn.send(status(503)));
        let mut setup = retrying(&[origin.address], vec![Script::new("a").response()]);
        forward(&mut setup).retry.retries = retries;
        let rig = setup.start();
        let reply = rig.connect().get("/");
        assert_eq!((reply.status(), &*reply.body), (503, "fail"));
        assert_eq!(origin.requests().len(), attempts);
        rig.log.wait_for("a complete 503 - Nobody 0/4", 1);
        assert_eq!(rig.log.with("a response").len(), 1);
    }
    let origin = failing(usize::MAX, |_| ());
    let rig = retrying(&[origin.address], vec![Script::new("a")]).start();
    assert_eq!(rig.connect().get("/").status(), 502);
    assert_eq!(origin.requests().len(), 4);
    rig.log.wait_for("a complete 502 UC Nobody", 1);
}

#[test]
fn only_the_statuses_of_the_policy_are_failures() {
    for (statuses, answered, attempts) in
        [(vec![], 499, 1), (vec![], 500, 4), (vec![429, 503], 500, 1), (vec![429, 503], 429, 4), (vec![200], 200, 4)]
    {
        let origin = failing(usize::MAX, move |conn| _ = conn.send(status(answered)));
        let mut setup = retrying(&[origin.address], vec![]);
        forward(&mut setup).retry.statuses = statuses.clone();
        assert_eq!(setup.start().connect().get("/").status(), answered);
        assert_eq!(origin.requests().len(), attempts, "{statuses:?} {answered}");
    }
}

#[test]
fn an_attempt_has_its_own_time() {
    let origin = failing(1, |conn| _ = conn.rest());
    let mut setup = retrying(&[origin.address], vec![Script::new("a")]);
    forward(&mut setup).retry.per_try_timeout = Some(Duration::from_millis(50));
    let rig = setup.start();
    assert_eq!(put(&mut rig.connect(), "body").body, "body");
    rig.log.wait_for("a complete 200 - Nobody 4/4", 1);
}

#[test]
fn all_attempts_together_have_the_requests_time() {
    let origin = failing(usize::MAX, |conn| _ = conn.rest());
    let mut setup = retrying(&[origin.address], vec![Script::new("a")]);
    forward(&mut setup).retry.per_try_timeout = Some(Duration::from_millis(100));
    forward(&mut setup).retry.retries = 1000;
    forward(&mut setup).timeout = Some(Duration::from_millis(350));
    let rig = setup.start();
    assert_eq!(rig.connect().get("/").status(), 504);
    let attempts = origin.requests().len();
    assert!((2..=5).contains(&attempts), "{attempts}");
    rig.log.wait_for("a complete 504 UT Nobody", 1);
}

#[test]
fn a_client_may_ask_for_less_time() {
    let origin = Origin::raw(|mut conn, _, requests| {
        let request = conn.head();
        requests.lock().unwrap().push(request);
        conn.rest();
    });
    let mut setup = Setup::new(&[origin.address], vec![]);
    setup.timeouts.response = None;
    let rig = setup.start();
    let reply = rig.connect().send("GET / HTTP/1.1\r\nhost: a\r\nx-mosn-global-timeout: 50\r\n\r\n").response();
    assert_eq!(reply.status(), 504);
    let reply = rig.connect().send("GET / HTTP/1.1\r\nhost: a\r\nX-Mosn-Try-Timeout: 50\r\n\r\n").response();
    assert_eq!((reply.status(), origin.requests().len()), (504, 2));
    // Not for more, and what is no number is nothing.
    for value in ["3600000", "soon", "0", "-1"] {
        let mut setup = Setup::new(&[origin.address], vec![]);
        setup.timeouts.response = Some(Duration::from_millis(50));
        let text = format!("GET / HTTP/1.1\r\nhost: a\r\nx-mosn-global-timeout: {value}\r\n\r\n");
        assert_eq!(setup.start().connect().send(text).response().status(), 504, "{value}");
    }
}

#[test]
fn a_body_is_repeated_as_long_as_it_is_kept() {
    for (length, attempts) in [(64 * 1024, 2), (64 * 1024 + 1, 1)] {
        for chunked in [false, true] {
            let origin = failing(1, |conn| _ = conn.send(status(503)));
            let rig = retrying(&[origin.address], vec![Script::new("a")]).start();
            let mut client = rig.connect();
            let body = "x".repeat(length);
            let reply = match chunked {
                false => put(&mut client, &body),
                true => {
                    client.send("PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
                    for piece in body.as_bytes().chunks(1000) {
                        client.send(format!("{:x}\r\n", piece.len())).send(piece).send("\r\n");
                    }
                    client.send("0\r\nx-end: 1\r\n\r\n").response()
                }
            };
            assert_eq!(reply.status(), if attempts == 2 { 200 } else { 503 });
            let requests = origin.requests();
            assert_eq!(requests.len(), attempts, "{length}");
            for request in requests {
                assert!(request.body == body && request.is_chunked() == chunked);
                assert_eq!(request.trailer("x-end"), chunked.then_some("1"));
            }
        }
    }
}

#[test]
fn a_failure_in_the_middle_of_a_body_is_repeated_with_the_rest() {
    for interest in [BodyInterest::None, BodyInterest::Stream] {
        // The first attempt is answered once half of the body is there.
        let origin = Origin::raw(|mut conn, number, _| {
            if number == 0 {
                conn.head();
                assert_eq!(conn.text(5).unwrap(), "first");
                conn.send("HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n").rest();
                return;
            }
            let request = conn.try_message(true).unwrap();
            conn.send(ok(&request.body));
        });
        let rig = retrying(&[origin.address], vec![Script::new("a").request_body(interest)]).start();
        let mut client = rig.connect();
        client.send("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 11\r\n\r\nfirst");
        while origin.connections() < 2 {
            std::thread::yield_now();
        }
        assert_eq!(client.send("second").response().body, "firstsecond");
    }
}

#[test]
fn filters_of_a_host_begin_with_the_same_head() {
    let failed = Origin::new(|_| status(503));
    let well = Origin::new(|_| ok("well"));
    let per_host = Script::new("a").phases(&[ReceiverPhase::AfterChooseHost]).hook(|_, cx: &mut FilterCx<'_>| {
        cx.add_header(HeaderMapKind::Request, b"x-attempt", b"1").unwrap();
        Status::Continue
    });
    let mut setup = retrying(&[failed.address, well.address], vec![per_host]);
    setup.routes[0].headers.request.add.push(add("x-route", "1"));
    let rig = setup.start();
    let mut client = rig.connect();
    for _ in 0..4 {
        assert_eq!(client.get("/").body, "well");
    }
    assert!(rig.log.with("a AfterChooseHost").len() > 4);
    for request in well.requests().iter().chain(&failed.requests()) {
        for name in ["x-attempt", "x-route", "x-forwarded-for"] {
            let fields = request.headers.iter().filter(|(n, _)| n == name).collect::<Vec<_>>();
            assert_eq!(fields.len(), 1, "{request:#?}");
        }
        assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
    }
}

fn add(name: &str, value: &str) -> HeaderAdd {
    HeaderAdd {
        name: sidegate_router::HeaderName::parse(name).unwrap(),
        value: sidegate_router::HeaderValueTemplate::parse(value).unwrap(),
        append: sidegate_router::Append::Keep,
    }
}

#[test]
fn a_client_that_leaves_ends_the_attempts() {
    let origin = failing(usize::MAX, |_| ());
    let mut setup = retrying(&[origin.address], vec![Script::new("a")]);
    forward(&mut setup).retry.retries = u32::MAX;
    setup.timeouts.response = None;
    let rig = setup.start();
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    while origin.connections() < 2 {
        std::thread::yield_now();
    }
    client.reset();
    rig.log.wait_for("a complete 0 DC Downstream 0/0", 1);
}

#[test]
fn a_stale_connection_takes_a_kept_body_along() {
    let origin = Origin::raw(|mut conn, number, requests| {
        while let Ok(request) = conn.try_message(true) {
            if number == 0 && request.start.starts_with("PUT") {
                return;
            }
            requests.lock().unwrap().push(request.clone());
            conn.send(ok(&request.body));
        }
    });
    let mut setup = retrying(&[origin.address], vec![]);
    forward(&mut setup).retry.retries = 0;
    let rig = setup.start();
    let mut client = rig.connect();
    assert_eq!(client.get("/").status(), 200);
    assert_eq!(put(&mut client, "body").body, "body");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn what_filters_made_of_a_body_is_sent_again() {
    let origin = failing(2, |_| ());
    let script = Script::new("a").request_body(BodyInterest::Stream).hook(|at, cx: &mut FilterCx<'_>| {
        if matches!(at, At::Body(_)) && !cx.body(sidegate_api::BodyDirection::Request).unwrap().is_empty() {
            cx.append_body(sidegate_api::BodyDirection::Request, b"!").unwrap();
        }
        Status::Continue
    });
    let rig = retrying(&[origin.address], vec![script]).start();
    assert_eq!(put(&mut rig.connect(), "body").body, "body!");
    assert!(origin.requests().iter().all(|request| request.body == "body!"), "{:#?}", origin.requests());
}
