//! Listeners that come and go beside others.

use sidegate_api::{BodyInterest, HeaderMapKind, Status};
use sidegate_net::{ListenerId, RunPhase};
use sidegate_proxy::Update;

use crate::kit::{At, Conn, MAIN, Origin, PATIENCE, Rig, Script, Setup, wait_for};

const OTHER: ListenerId = ListenerId(7);

fn marking(name: &'static str) -> Script {
    Script::all(name, BodyInterest::None).hook(move |at, cx| {
        if at == At::ResponseHeaders {
            cx.set_header(HeaderMapKind::Response, b"x-filter", name.as_bytes()).unwrap();
        }
        Status::Continue
    })
}

/// A second listener beside the main one.
fn two(origin: &Origin) -> (Rig, Conn, std::net::SocketAddr) {
    let mut rig = Rig::new(&[origin.address], vec![marking("main")]);
    let log = rig.log.clone();
    let address = rig.add_listener(OTHER, Setup::logged(&log, &[origin.address], vec![marking("other")]));
    let mut of_main = rig.connect();
    assert_eq!(of_main.get("/").header("x-filter"), Some("main"));
    (rig, of_main, address)
}

#[test]
fn one_listener_drains_and_is_gone_while_the_other_serves() {
    let (origin, reached, go) = Origin::slow();
    let (rig, mut of_main, address) = two(&origin);
    let (mut idle, mut busy, silent) = (Conn::to(address), Conn::to(address), Conn::to(address));
    assert_eq!(idle.get("/").header("x-filter"), Some("other"));
    busy.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    reached.recv_timeout(PATIENCE).unwrap();
    rig.log.wait_until(|| rig.workers.listener_connections(OTHER) == 3);
    assert!(wait_for(rig.accepting().remove(OTHER)));
    rig.workers.set_listener_phase(OTHER, RunPhase::Draining);
    idle.expect_end();
    assert_eq!(rig.log.with("other detached"), Vec::<String>::new());
    let mut reply = of_main.get("/");
    assert_eq!((reply.header("x-filter"), reply.header("connection")), (Some("main"), None));
    go.send(()).unwrap();
    reply = busy.response();
    assert_eq!((reply.header("x-filter"), reply.header("connection")), (Some("other"), Some("close")));
    busy.expect_end();
    // One that has said nothing yet gets a second for it.
    drop(silent);
    wait_for(rig.workers.listener_idle(OTHER));
    rig.tell(Update::Listener(OTHER, None));
    assert_eq!(rig.log.with("detached"), ["other detached"]);
    assert_eq!(of_main.get("/").header("x-filter"), Some("main"));
    assert_eq!(rig.workers.listener_connections(MAIN), 1);
}

#[test]
fn a_listener_that_is_told_to_stop_cuts_its_streams_and_no_others() {
    let (origin, reached, go) = Origin::slow();
    let (rig, mut of_main, address) = two(&origin);
    let mut busy = Conn::to(address);
    for client in [&mut busy, &mut of_main] {
        client.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
        reached.recv_timeout(PATIENCE).unwrap();
    }
    assert!(wait_for(rig.accepting().remove(OTHER)));
    rig.workers.set_listener_phase(OTHER, RunPhase::Draining);
    rig.workers.set_listener_phase(OTHER, RunPhase::Stopping);
    wait_for(rig.workers.listener_idle(OTHER));
    busy.expect_end();
    rig.tell(Update::Listener(OTHER, None));
    rig.log.wait_for("other detached", 1);
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert_eq!(of_main.response().header("x-filter"), Some("main"));
    assert_eq!(of_main.get("/").status(), 200);
}

/// Its settings change under its connections: the same number, other filters.
#[test]
fn a_listener_that_changes_keeps_its_connections() {
    let origin = Origin::hello();
    let (mut rig, mut of_main, address) = two(&origin);
    let mut of_other = Conn::to(address);
    assert_eq!(of_other.get("/").header("x-filter"), Some("other"));
    let log = rig.log.clone();
    rig.set_listener(OTHER, Setup::logged(&log, &[origin.address], vec![marking("changed")]));
    assert_eq!(log.with("detached"), ["other detached"], "only its own filters have gone");
    assert_eq!(of_other.get("/").header("x-filter"), Some("changed"));
    assert_eq!(of_main.get("/").header("x-filter"), Some("main"));
}
