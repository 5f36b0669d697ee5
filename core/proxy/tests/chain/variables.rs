//! Variables and per-route configuration.

use std::any::Any;
use std::sync::Arc;

use sidegate_api::{
    BodyInterest, EditError, HeaderMapKind, ReceiverPhase, RouteFilterConfig, Status, Variable, VariableValue,
};
use sidegate_proxy::RouteConfigs;
use sidegate_router::{RouteId, VirtualHostId};

use crate::kit::{At, Origin, Rig, Script, Setup, cluster, ok, route_to};

const BEFORE: At = At::Headers(ReceiverPhase::BeforeRoute);

/// A filter with one thing to do before the route.
fn before(act: impl Fn(&mut sidegate_api::FilterCx<'_>) + Send + Sync + 'static) -> Script {
    Script::new("a").phases(&[ReceiverPhase::BeforeRoute]).hook(move |_, cx| {
        act(cx);
        Status::Continue
    })
}

fn two_clusters(a: &Origin, b: &Origin, script: Script) -> Rig {
    let setup = Setup {
        routes: vec![route_to("/b", "b"), route_to("/", "a")],
        clusters: vec![cluster("a", &[a.address]), cluster("b", &[b.address])],
        ..Setup::new(&[], vec![script])
    };
    setup.start()
}

#[test]
fn a_path_set_before_the_route_changes_the_route() {
    let (a, b) = (Origin::new(|_| ok("a")), Origin::new(|_| ok("b")));
    let rig = two_clusters(&a, &b, before(|cx| cx.set_variable(Variable::Path, b"/b/set").unwrap()));
    assert_eq!(rig.connect().get("/x?q=1").body, "b");
    assert_eq!(b.request().start, "GET /b/set?q=1 HTTP/1.1");
    assert_eq!(a.connections(), 0);
}

#[test]
fn method_target_query_and_authority_arrive_as_set() {
    let origin = Origin::hello();
    let rig = Rig::new(
        &[origin.address],
        vec![before(|cx| {
            cx.set_variable(Variable::Method, b"PUT").unwrap();
            // In the form that a client's would have, and no further.
            cx.set_variable(Variable::Target, b"/t/%2e%2e/../a//b/./%41?../%41").unwrap();
            assert_eq!(cx.variable(Variable::Target), Some(VariableValue::Bytes(b"/a//b/A?../%41")));
            cx.set_variable(Variable::Path, b"/../../etc").unwrap();
            assert_eq!(cx.variable(Variable::Target), Some(VariableValue::Bytes(b"/etc?../%41")));
            for refused in [&b"/a%00"[..], b"/a%zz", b"/a\\b", b"/%"] {
                assert_eq!(cx.set_variable(Variable::Path, refused), Err(EditError::BadValue));
                assert_eq!(cx.set_variable(Variable::Target, refused), Err(EditError::BadValue));
            }
            cx.set_variable(Variable::Target, b"/t?x").unwrap();
            cx.set_variable(Variable::Query, b"y=2").unwrap();
            cx.set_header(HeaderMapKind::Request, b"Host", b"Other.test:81").unwrap();
            assert_eq!(cx.variable(Variable::Authority), Some(VariableValue::Bytes(b"other.test:81")));
            assert_eq!(cx.header(HeaderMapKind::Request, b"host"), Some(&b"other.test:81"[..]));
            assert_eq!(cx.set_variable(Variable::Authority, b"a b"), Err(EditError::BadValue));
            assert_eq!(cx.set_variable(Variable::Path, b"no"), Err(EditError::BadValue));
            assert_eq!(cx.set_variable(Variable::Status, b"200"), Err(EditError::NotNow));
        })],
    );
    assert_eq!(rig.connect().get("/").body, "hello");
    let seen = origin.request();
    assert_eq!((&*seen.start, seen.header("host")), ("PUT /t?y=2 HTTP/1.1", Some("other.test:81")));
    assert_eq!(rig.faults("a"), 0);
}

#[test]
fn named_variables_are_shared_by_a_streams_filters_and_end_with_it() {
    let origin = Origin::hello();
    let writer = before(|cx| {
        assert_eq!(cx.named(b"user"), None);
        cx.set_named(b"user", b"admin\x00\xff").unwrap();
    });
    let reader = Script::new("b").response().hook(|_, cx| {
        assert_eq!(cx.named(b"User"), Some(&b"admin\x00\xff"[..]));
        assert!(cx.set_named(b"big", &vec![0; 65 * 1024]).is_err());
        Status::Continue
    });
    let rig = Rig::new(&[origin.address], vec![writer, reader]);
    let mut client = rig.connect();
    for _ in 0..2 {
        assert_eq!(client.get("/").status(), 200);
    }
    assert_eq!(rig.faults("a") + rig.faults("b"), 0);
}

#[test]
fn what_was_sent_cannot_be_edited() {
    let origin = Origin::hello();
    let script = Script::all("a", BodyInterest::Observe).hook(|at, cx| {
        if matches!(at, At::ResponseHeaders | At::ResponseBody(_)) {
            assert_eq!(cx.set_variable(Variable::Path, b"/x"), Err(EditError::NotNow));
            assert_eq!(cx.set_header(HeaderMapKind::Request, b"x", b"1"), Err(EditError::NotNow));
        }
        if let At::ResponseBody(_) = at {
            assert_eq!(cx.set_header(HeaderMapKind::Response, b"x", b"1"), Err(EditError::NotNow));
            assert_eq!(cx.set_variable(Variable::Status, b"500"), Err(EditError::NotNow));
        }
        if at == BEFORE {
            assert_eq!(cx.set_header(HeaderMapKind::Response, b"x", b"1"), Err(EditError::NotNow));
        }
        Status::Continue
    });
    let rig = Rig::new(&[origin.address], vec![script]);
    assert_eq!(rig.connect().get("/").body, "hello");
    assert_eq!(rig.faults("a"), 0);
}

struct Word(&'static str);

impl RouteFilterConfig for Word {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[test]
fn the_routes_configuration_comes_before_the_virtual_hosts() {
    let origin = Origin::hello();
    let show = |name| {
        Script::new(name).phases(&ReceiverPhase::ALL).response().hook(move |at, cx| {
            let word = cx.route_config().and_then(|c| c.as_any().downcast_ref::<Word>()).map_or("none", |w| w.0);
            match at {
                At::ResponseHeaders => {
                    cx.set_header(HeaderMapKind::Response, name.as_bytes(), word.as_bytes()).unwrap()
                }
                BEFORE => assert_eq!(word, "none"),
                _ => assert_ne!(word, "wrong"),
            }
            Status::Continue
        })
    };
    let mut setup = Setup::new(&[origin.address], vec![show("a"), show("b"), show("c")]);
    setup.routes = vec![route_to("/one", "main"), route_to("/two", "main"), route_to("/", "main")];
    setup.route_configs = vec![RouteConfigs::default(), RouteConfigs::default()];
    setup.route_configs[0].set_route(RouteId(1), Arc::new(Word("two")));
    setup.route_configs[0].set_route(RouteId(0), Arc::new(Word("one")));
    setup.route_configs[0].set_virtual_host(VirtualHostId(0), Arc::new(Word("host")));
    setup.route_configs[1].set_route(RouteId(1), Arc::new(Word("b-two")));
    let rig = setup.start();
    let mut client = rig.connect();
    for (path, a, b) in [("/one", "one", "none"), ("/two", "two", "b-two"), ("/other", "host", "none")] {
        let reply = client.get(path);
        assert_eq!(
            (reply.header("a"), reply.header("b"), reply.header("c")),
            (Some(a), Some(b), Some("none")),
            "{path}"
        );
    }
    assert_eq!(rig.faults("a") + rig.faults("b"), 0);
}

#[test]
fn the_target_is_kept_as_it_was_sent() {
    let origin = Origin::hello();
    let (sender, seen) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let script = Script::new("a").phases(&ReceiverPhase::ALL).hook(move |at, cx| {
        if at == BEFORE {
            cx.set_variable(Variable::Path, b"/rewritten").unwrap();
            cx.set_variable(Variable::Query, b"q=1").unwrap();
        } else if at == At::Headers(ReceiverPhase::AfterChooseHost) {
            let Some(VariableValue::Bytes(sent)) = cx.variable(Variable::OriginalTarget) else { panic!("no target") };
            sender.lock().unwrap().send(String::from_utf8(sent.to_vec()).unwrap()).unwrap();
            assert_eq!(cx.set_variable(Variable::OriginalTarget, b"/x"), Err(EditError::NotNow));
        }
        Status::Continue
    });
    let rig = Rig::new(&[origin.address], vec![script]);
    let mut client = rig.connect();
    for target in ["/plain", "/a/../b?x=../y", "/%7euser", "http://a/x/./y?z", "http://a", "/last"] {
        client.send(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(client.response().body, "hello");
        assert_eq!(seen.recv_timeout(crate::kit::PATIENCE).unwrap(), target);
    }
}

#[test]
fn an_expectation_can_be_seen_and_not_edited() {
    let origin = Origin::hello();
    let script = Script::new("a").phases(&[ReceiverPhase::BeforeRoute]).hook(|_, cx| {
        assert_eq!(cx.header(HeaderMapKind::Request, b"expect"), Some(&b"100-Continue"[..]));
        let reserved = Err(EditError::Header(sidegate_api::HeaderProblem::Reserved));
        assert_eq!(cx.set_header(HeaderMapKind::Request, b"Expect", b"100-continue"), reserved);
        assert_eq!(cx.remove_header(HeaderMapKind::Request, b"expect").map(|_| ()), reserved);
        Status::Continue
    });
    let rig = Rig::new(&[origin.address], vec![script]);
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-Continue\r\ncontent-length: 4\r\n\r\nbody");
    assert_eq!(client.response().body, "hello");
    assert_eq!((rig.faults("a"), origin.request().headers.iter().filter(|(n, _)| n == "expect").count()), (0, 1));
}
