//! One cluster, or the routes of one listener, change under running streams.

use std::num::NonZeroU32;

use sidegate_api::{BodyInterest, HeaderMapKind, Status};
use sidegate_upstream::BreakerConfig;

use crate::kit::{At, Origin, PATIENCE, Rig, Script, Setup, cluster, ok, route_to};

/// A filter that marks responses.
fn marking(name: &'static str) -> Script {
    Script::all(name, BodyInterest::None).hook(move |at, cx| {
        if at == At::ResponseHeaders {
            cx.set_header(HeaderMapKind::Response, b"x-filter", name.as_bytes()).unwrap();
        }
        Status::Continue
    })
}

/// An origin that answers with its name.
fn named(name: &'static str) -> Origin {
    Origin::new(move |_| ok(name))
}

#[test]
fn routes_change_and_filters_stay() {
    let (a, b) = (named("a"), named("b"));
    let mut setup = Setup::new(&[a.address], vec![marking("one")]);
    setup.clusters.push(cluster("other", &[b.address]));
    let scripts = setup.scripts.clone();
    let rig = setup.start();
    let mut client = rig.connect();
    assert_eq!(client.get("/").body, "a");
    rig.set_routes(vec![route_to("/b", "other"), route_to("/", "main")]);
    let replies = [client.get("/b"), client.get("/")];
    assert_eq!(
        replies.each_ref().map(|reply| (&*reply.body, reply.header("x-filter"))),
        [("b", Some("one")), ("a", Some("one"))]
    );
    assert_eq!(scripts[0].attached(), [0], "attached once, and not again");
    assert_eq!(rig.log.with("detached"), Vec::<String>::new());
    assert_eq!((a.connections(), b.connections()), (1, 1), "pools stay");
    rig.set_routes(vec![route_to("/b", "other")]);
    assert_eq!(client.get("/").status(), 404);
}

#[test]
fn a_cluster_that_routes_wait_for_is_there_once_it_is_added() {
    let (a, b) = (named("a"), named("b"));
    let mut rig = Rig::new(&[a.address], vec![]);
    let mut client = rig.connect();
    rig.set_routes(vec![route_to("/later", "later"), route_to("/", "main")]);
    assert_eq!((client.get("/later").status(), client.get("/").status()), (503, 200));
    rig.set_cluster(cluster("later", &[b.address]));
    assert_eq!(client.get("/later").body, "b");
}

#[test]
fn a_removed_cluster_is_a_503_and_closes_what_it_kept() {
    let (a, b) = (named("a"), named("b"));
    let mut setup = Setup::new(&[a.address], vec![]);
    setup.clusters.push(cluster("other", &[b.address]));
    setup.routes.insert(0, route_to("/b", "other"));
    let mut rig = setup.start();
    let mut client = rig.connect();
    assert_eq!(client.get("/b").body, "b");
    assert_eq!(active(&rig, "other"), 1);
    rig.remove_cluster("other");
    assert_eq!((client.get("/b").status(), client.get("/").body.as_str()), (503, "a"));
    assert_eq!(active(&rig, "other"), 0, "its idle connection was closed");
    // A new one of the same name has nothing of the old one but the name.
    rig.set_cluster(cluster("other", &[b.address]));
    assert_eq!(client.get("/b").body, "b");
    assert_eq!(b.connections(), 2);
    assert_eq!(client.get("/b").body, "b");
    assert_eq!(b.connections(), 2, "it keeps connections again");
}

fn active(rig: &Rig, cluster: &str) -> i64 {
    rig.level("upstream_connection_active", &[("cluster", cluster)])
}

/// It has matched no route yet when its cluster goes, and the routes with it.
#[test]
fn a_stream_of_former_routes_may_use_a_removed_cluster() {
    let (a, b) = (named("a"), named("b"));
    let waiting = Script::new("waiting").request_body(BodyInterest::Whole);
    let mut setup = Setup::new(&[a.address], vec![waiting]);
    setup.clusters.push(cluster("other", &[b.address]));
    setup.routes.insert(0, route_to("/b", "other"));
    let mut rig = setup.start();
    let (mut early, mut late) = (rig.connect(), rig.connect());
    for client in [&mut early, &mut late] {
        client.send("POST /b HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab");
    }
    rig.log.wait_until(|| rig.level("downstream_request_active", &[("listener", "test")]) == 2);
    rig.set_routes(vec![route_to("/", "main")]);
    rig.remove_cluster("other");
    assert_eq!(early.send("cd").response().body, "b");
    assert_eq!(rig.connect().get("/b").body, "a");
    // With the last stream of the former routes it is gone for good.
    assert_eq!(late.send("cd").response().body, "b");
    rig.set_routes(vec![route_to("/", "other")]);
    assert_eq!(rig.connect().get("/").status(), 503);
}

/// Who waits for a connection does so across changes of the cluster, and gets
/// the one that a stream of an older or newer view has done with.
#[test]
fn who_waits_for_a_connection_keeps_the_place() {
    let (origin, reached, go) = Origin::slow();
    let limited = |hosts: &[_]| {
        let mut limited = cluster("main", hosts);
        limited.breakers = BreakerConfig { max_connections: NonZeroU32::new(1), ..BreakerConfig::default() };
        limited
    };
    let other = Origin::hello();
    let mut setup = Setup::new(&[origin.address], vec![]);
    setup.clusters = vec![limited(&[origin.address])];
    let mut rig = setup.start();
    let (mut first, mut second) = (rig.connect(), rig.connect());
    first.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    reached.recv_timeout(PATIENCE).unwrap();
    second.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    rig.log.wait_until(|| rig.level("upstream_request_active", &[("cluster", "main")]) >= 1);
    rig.log.wait_until(|| rig.level("downstream_request_active", &[("listener", "test")]) == 2);
    rig.set_cluster(limited(&[origin.address, other.address]));
    go.send(()).unwrap();
    assert_eq!((first.response().body, second.response().body), ("done".into(), "done".into()));
    assert_eq!(origin.connections(), 1, "it went from hand to hand");
}

/// Connections that were made under other settings are not handed out.
#[test]
fn a_setting_of_connections_makes_new_ones() {
    let origin = Origin::hello();
    let mut rig = Rig::new(&[origin.address], vec![]);
    let mut client = rig.connect();
    assert_eq!(client.get("/").body, "hello");
    let mut same = cluster("main", &[origin.address]);
    same.idle_timeout = Some(PATIENCE);
    rig.set_cluster(same);
    assert_eq!((client.get("/").status(), origin.connections()), (200, 1));
    let mut tolerant = cluster("main", &[origin.address]);
    tolerant.bare_line_feeds = true;
    rig.set_cluster(tolerant);
    assert_eq!((client.get("/").status(), origin.connections()), (200, 2));
    assert_eq!(active(&rig, "main"), 1);
}
