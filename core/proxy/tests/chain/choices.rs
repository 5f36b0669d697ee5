//! Which host a request goes to, and when there is no room for it.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidegate_api::{LbMetadata, ReceiverPhase, Status};
use sidegate_router::{HashCookie, HashPolicy, HeaderName, RetryOn, RetryPolicy, RouteAction};
use sidegate_upstream::{BreakerConfig, LbPolicy, RetryLimit, SubsetConfig, SubsetFallback};

use crate::kit::{Conn, Message, Origin, Script, Setup, ok};

/// Origins that say their number, behind consistent hashing by `policies`.
fn hashing(count: usize, policies: Vec<HashPolicy>) -> (Vec<Origin>, Setup) {
    let origins: Vec<_> = (0..count).map(|number| Origin::new(move |_| ok(&number.to_string()))).collect();
    let hosts: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let mut setup = Setup::new(&hosts, vec![]);
    setup.clusters[0].lb = LbPolicy::Maglev;
    forward(&mut setup).hash = policies.into();
    (origins, setup)
}

fn forward(setup: &mut Setup) -> &mut sidegate_router::ForwardAction {
    match &mut setup.routes[0].action {
        RouteAction::Forward(forward) => forward,
        other => panic!("{other:?}"),
    }
}

fn ask(client: &mut Conn, fields: &str) -> Message {
    client.send(format!("GET / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).response()
}

#[test]
fn like_requests_go_to_one_host() {
    let by_user = HashPolicy::Header(HeaderName::parse_readable("x-user").unwrap());
    let (_origins, setup) = hashing(5, vec![by_user]);
    let rig = setup.start();
    let mut chosen = BTreeSet::new();
    for user in 0..40 {
        let fields = format!("x-user: {user}\r\n");
        let first = ask(&mut rig.connect(), &fields).body;
        assert_eq!(ask(&mut rig.connect(), &fields).body, first);
        chosen.insert(first);
    }
    assert_eq!(chosen.len(), 5, "40 users have all hosts between them");
    // Without the header the client's address counts.
    let bodies: BTreeSet<_> = (0..10).map(|_| ask(&mut rig.connect(), "").body).collect();
    assert_eq!(bodies.len(), 1);
}

#[test]
fn a_client_without_the_cookie_is_given_one() {
    let cookie = HashCookie::new("sticky", "/", Some(std::time::Duration::from_secs(60))).unwrap();
    let (_origins, setup) = hashing(5, vec![HashPolicy::Cookie(cookie)]);
    let rig = setup.start();
    let mut chosen = BTreeSet::new();
    for _ in 0..20 {
        let mut client = rig.connect();
        let first = ask(&mut client, "");
        // Before it has the cookie, the same connection goes to the same host.
        assert_eq!(ask(&mut client, "").body, first.body);
        let given = first.header("set-cookie").unwrap();
        let (pair, attributes) = given.split_once("; ").unwrap();
        assert_eq!(attributes, "Max-Age=60; Path=/; HttpOnly");
        let back = ask(&mut rig.connect(), &format!("cookie: a=b; {pair}\r\n"));
        assert_eq!((&back.body, back.header("set-cookie")), (&first.body, None));
        chosen.insert(first.body);
    }
    assert!(chosen.len() > 1);
}

#[test]
fn no_cookie_without_a_lifetime_and_none_with_a_reply_of_our_own() {
    let cookie = |ttl| HashPolicy::Cookie(HashCookie::new("sticky", "", ttl).unwrap());
    let (_origins, setup) = hashing(2, vec![cookie(None)]);
    assert_eq!(ask(&mut setup.start().connect(), "").header("set-cookie"), None);
    let mut setup = Setup::new(&[Origin::refusing()], vec![]);
    setup.clusters[0].lb = LbPolicy::Maglev;
    forward(&mut setup).hash = [cookie(Some(std::time::Duration::from_secs(1)))].into();
    let reply = ask(&mut setup.start().connect(), "");
    assert_eq!((reply.status(), reply.header("set-cookie")), (502, None));
}

fn metadata(pairs: &[(&str, &str)]) -> LbMetadata {
    LbMetadata::new(pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())))
}

#[test]
fn what_filters_ask_of_the_host_goes_over_the_route() {
    let origins: Vec<_> = ["red", "blue"].map(|name| Origin::new(move |_| ok(name))).into();
    let hosts: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let script = Script::new("a").phases(&[ReceiverPhase::AfterRoute]).hook(|_, cx| {
        if let Some(colour) = cx.header(sidegate_api::HeaderMapKind::Request, b"x-colour") {
            let colour: Arc<str> = std::str::from_utf8(colour).unwrap().into();
            cx.set_metadata("colour".into(), colour);
        }
        Status::Continue
    });
    let mut setup = Setup::new(&hosts, vec![script]);
    setup.clusters[0].subsets =
        Some(SubsetConfig { selectors: vec![vec!["colour".into()]], fallback: SubsetFallback::None });
    for (host, colour) in setup.clusters[0].hosts.iter_mut().zip(["red", "blue"]) {
        host.metadata = metadata(&[("colour", colour)]);
    }
    forward(&mut setup).subset = metadata(&[("colour", "red")]);
    let rig = setup.start();
    let mut client = rig.connect();
    for _ in 0..3 {
        assert_eq!(ask(&mut client, "").body, "red");
        assert_eq!(ask(&mut client, "x-colour: blue\r\n").body, "blue");
        assert_eq!(ask(&mut client, "x-colour: green\r\n").status(), 502);
    }
}

/// An origin that answers when it is told to.
fn held() -> (Origin, std::sync::mpsc::Sender<()>) {
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let origin = Origin::raw(move |mut conn, _, requests| {
        while let Ok(request) = conn.try_message(true) {
            requests.lock().unwrap().push(request);
            if gate.lock().unwrap().recv().is_err() {
                return;
            }
            conn.send(ok("late"));
        }
    });
    (origin, go)
}

#[test]
fn too_many_requests_are_refused() {
    for (what, breakers) in [
        ("max_requests", BreakerConfig { max_requests: NonZeroU32::new(1), ..Default::default() }),
        ("max_connections", BreakerConfig { max_connections: NonZeroU32::new(1), ..Default::default() }),
    ] {
        let (origin, go) = held();
        let mut setup = Setup::new(&[origin.address], vec![Script::new("a")]);
        setup.clusters[0].breakers = breakers;
        // So long the second waits for a connection.
        setup.clusters[0].connect_timeout = Duration::from_millis(50);
        let rig = setup.start();
        let mut first = rig.connect();
        first.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        while origin.requests().is_empty() {
            std::thread::yield_now();
        }
        let mut second = rig.connect();
        let refused = ask(&mut second, "");
        assert_eq!((refused.status(), refused.body.trim()), (503, what));
        rig.log.wait_for("a complete 503 UO Nobody", 1);
        go.send(()).unwrap();
        assert_eq!(first.response().body, "late");
        // There is room again, and the refused client's connection is good.
        rig.log.wait_for("a complete 200", 1);
        go.send(()).unwrap();
        assert_eq!(ask(&mut second, "").body, "late", "{what}");
    }
}

#[test]
fn an_idle_connection_to_another_host_makes_room() {
    let origins = [Origin::hello(), Origin::hello()];
    let mut setup = Setup::new(&[origins[0].address, origins[1].address], vec![]);
    setup.clusters[0].breakers.max_connections = NonZeroU32::new(1);
    setup.clusters[0].lb = LbPolicy::RoundRobin;
    let rig = setup.start();
    let mut client = rig.connect();
    for _ in 0..6 {
        assert_eq!(ask(&mut client, "").body, "hello");
    }
    assert_eq!(origins.iter().map(|origin| origin.requests().len()).collect::<Vec<_>>(), [3, 3]);
}

#[test]
fn retries_have_a_limit_of_their_own() {
    // Two requests fail; the retry of the first is held, so the second has
    // none.
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let origin = Origin::raw(move |mut conn, number, requests| {
        let Ok(request) = conn.try_message(true) else { return };
        requests.lock().unwrap().push(request);
        if number == 1 {
            gate.lock().unwrap().recv().unwrap();
            conn.send(ok("late"));
        } else {
            conn.send("HTTP/1.1 503 x\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfail");
        }
        conn.rest();
    });
    let mut setup = Setup::new(&[origin.address], vec![Script::new("a")]);
    setup.clusters[0].breakers.retries = RetryLimit::Fixed(NonZeroU32::MIN);
    forward(&mut setup).retry = RetryPolicy { on: RetryOn::Failures, ..RetryPolicy::default() };
    let rig = setup.start();
    let mut first = rig.connect();
    first.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    while origin.requests().len() < 2 {
        std::thread::yield_now();
    }
    let refused = ask(&mut rig.connect(), "");
    assert_eq!((refused.status(), &*refused.body), (503, "fail"));
    assert_eq!(origin.requests().len(), 3);
    go.send(()).unwrap();
    assert_eq!(first.response().body, "late");
}
