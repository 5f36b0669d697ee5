//! New configurations under running streams.

use sidegate_api::{BodyInterest, HeaderMapKind, Status};

use crate::kit::{At, Origin, PATIENCE, Rig, Script, Setup};

/// A filter that names its generation in the response.
fn marked(name: &'static str) -> Script {
    Script::all(name, BodyInterest::None).hook(move |at, cx| {
        if at == At::ResponseHeaders {
            cx.set_header(HeaderMapKind::Response, b"x-generation", name.as_bytes()).unwrap();
        }
        Status::Continue
    })
}

#[test]
fn a_stream_ends_on_the_configuration_it_began_with() {
    let (origin, reached, go) = Origin::slow();
    let mut rig = Rig::new(&[origin.address], vec![marked("old")]);
    let (mut busy, mut idle) = (rig.connect(), rig.connect());
    assert_eq!(idle.get("/").header("x-generation"), Some("old"));
    busy.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    reached.recv_timeout(PATIENCE).unwrap();
    let log = rig.log.clone();
    rig.publish(Setup::logged(&log, &[origin.address], vec![marked("new")]));
    // A kept connection takes the new one with its next request.
    assert_eq!(idle.get("/").header("x-generation"), Some("new"));
    assert_eq!(rig.connect().get("/").header("x-generation"), Some("new"));
    assert_eq!(log.with("old detached"), Vec::<String>::new());
    go.send(()).unwrap();
    let reply = busy.response();
    assert_eq!((reply.header("x-generation"), reply.header("connection")), (Some("old"), None));
    log.wait_for("old detached", 1);
    assert_eq!(busy.get("/").header("x-generation"), Some("new"));
    let lines = log.lines();
    let last_drop = lines.iter().rposition(|line| line == "old drop").unwrap();
    assert!(last_drop < lines.iter().position(|line| line == "old detached").unwrap());
}

#[test]
fn idle_connections_hold_no_configuration() {
    let origin = Origin::hello();
    let mut rig = Rig::new(&[origin.address], vec![marked("old")]);
    let (mut used, silent) = (rig.connect(), rig.connect());
    assert_eq!(used.get("/").header("x-generation"), Some("old"));
    let log = rig.log.clone();
    rig.publish(Setup::logged(&log, &[origin.address], vec![marked("new")]));
    log.wait_for("old detached", 1);
    assert_eq!(used.get("/").header("x-generation"), Some("new"));
    drop(silent);
}

#[test]
fn upstream_connections_outlive_configurations_that_name_their_host() {
    let (origin, other) = (Origin::hello(), Origin::hello());
    let mut rig = Rig::new(&[origin.address], vec![marked("1")]);
    let mut client = rig.connect();
    assert_eq!(client.get("/").body, "hello");
    let log = rig.log.clone();
    rig.publish(Setup::logged(&log, &[origin.address, other.address], vec![marked("2")]));
    log.wait_for("1 detached", 1);
    for _ in 0..4 {
        assert_eq!(client.get("/").header("x-generation"), Some("2"));
    }
    assert_eq!((origin.connections(), other.connections()), (1, 1));
    rig.publish(Setup::logged(&log, &[other.address], vec![marked("3")]));
    log.wait_for("2 detached", 1);
    assert_eq!(client.get("/").header("x-generation"), Some("3"));
    assert_eq!((origin.connections(), other.connections()), (1, 1));
}

/// The listener did not change: its filters keep what they have on the worker.
#[test]
fn other_hosts_leave_filters_attached() {
    let (origin, other) = (Origin::hello(), Origin::hello());
    let mut rig = Rig::new(&[origin.address], vec![marked("1")]);
    let mut client = rig.connect();
    assert_eq!(client.get("/").header("x-generation"), Some("1"));
    rig.change_hosts(&[other.address]);
    while other.connections() == 0 {
        assert_eq!(client.get("/").header("x-generation"), Some("1"));
    }
    assert_eq!(client.get("/").header("x-generation"), Some("1"));
    // The view before is gone: its idle connection was closed.
    rig.change_hosts(&[other.address, origin.address]);
    while origin.connections() == 1 {
        assert_eq!(client.get("/").body, "hello");
    }
    let log = rig.log.clone();
    assert_eq!(log.with("detached"), Vec::<String>::new());
    drop(rig);
    assert_eq!(log.with("detached"), ["1 detached"]);
}

#[test]
fn a_worker_that_did_not_attach_does_not_detach() {
    let origin = Origin::hello();
    let mut refusing = Script::new("refusing");
    refusing.refuses_workers = true;
    let rig = Setup::new(&[origin.address], vec![Script::new("other"), refusing]).start();
    // It has nothing to work with: a fault of each stream.
    assert_eq!((rig.connect().get("/").status(), rig.faults("refusing")), (500, 1));
    let log = rig.log.clone();
    drop(rig);
    assert_eq!(log.with("detached"), ["other detached"]);
}

/// A factory that two configurations share is attached for each of them, the
/// new one first: it must not lose what it has on the worker in between.
#[test]
fn a_shared_factory_is_attached_throughout() {
    let (origin, reached, go) = Origin::slow();
    let setup = Setup::new(&[origin.address], vec![marked("shared")]);
    let scripts = setup.scripts.clone();
    let mut rig = setup.start();
    let log = rig.log.clone();
    let (mut busy, mut idle) = (rig.connect(), rig.connect());
    busy.send("GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    reached.recv_timeout(PATIENCE).unwrap();
    rig.publish(Setup { scripts: scripts.clone(), ..Setup::logged(&log, &[origin.address], vec![]) });
    // The worker has taken the configuration before it takes the connection.
    assert_eq!(rig.connect().get("/").header("x-generation"), Some("shared"));
    assert_eq!(scripts[0].attached(), [0, 0]);
    assert_eq!(idle.get("/").header("x-generation"), Some("shared"));
    assert_eq!(log.with("shared detached"), Vec::<String>::new());
    go.send(()).unwrap();
    assert_eq!(busy.response().header("x-generation"), Some("shared"));
    log.wait_for("shared detached", 1);
    assert_eq!(busy.get("/").header("x-generation"), Some("shared"));
}

#[test]
fn every_worker_attaches_and_detaches_once() {
    let origin = Origin::hello();
    let setup = Setup { workers: 3, ..Setup::new(&[origin.address], vec![marked("old")]) };
    let scripts = setup.scripts.clone();
    let mut rig = setup.start();
    let mut clients: Vec<_> = (0..6).map(|_| rig.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").header("x-generation"), Some("old"));
    }
    let mut attached = scripts[0].attached();
    attached.sort_unstable();
    assert_eq!(attached, [0, 1, 2]);
    let log = rig.log.clone();
    rig.publish(Setup::logged(&log, &[origin.address], vec![marked("new")]));
    log.wait_for("old detached", 3);
    for client in &mut clients {
        assert_eq!(client.get("/").header("x-generation"), Some("new"));
    }
}
