//! What is counted of upstream connections and requests.

use std::num::NonZeroU32;
use std::sync::mpsc::channel;

use crate::kit::{Conn, Origin, PATIENCE, Rig, Setup, ok};

/// The series of the rig's cluster, once everything has ended.
fn counted<const N: usize>(rig: &mut Rig, names: [&str; N]) -> [u64; N] {
    rig.stop();
    names.map(|name| rig.counter(&format!("upstream_{name}"), &[("cluster", "main")]))
}

const RESETS: [&str; 3] = ["request_local_reset", "request_remote_reset", "request_timeout"];
const CLOSES: [&str; 3] = ["connection_close", "connection_local_close", "connection_remote_close"];

#[test]
fn bytes_both_ways() {
    let origin = Origin::hello();
    let mut rig = Rig::new(&[origin.address], vec![]);
    let mut client = rig.connect();
    client.get("/");
    client.post("/", "0123456789");
    let [read, written] = counted(&mut rig, ["connection_bytes_read_total", "connection_bytes_write"]);
    assert_eq!(read, 2 * ok("hello").len() as u64);
    let requests = origin.requests();
    let least: usize = requests.iter().map(|request| request.body.len() + "GET / HTTP/1.1".len()).sum();
    assert!(written > least as u64, "{written}");
    assert_eq!(counted(&mut rig, RESETS), [0, 0, 0]);
}

#[test]
fn who_closed_a_connection() {
    let origin = Origin::hello();
    let mut setup = Setup::new(&[origin.address], vec![]);
    setup.clusters[0].max_requests_per_connection = NonZeroU32::new(1);
    let mut rig = setup.start();
    let mut client = rig.connect();
    client.get("/");
    client.get("/");
    assert_eq!(counted(&mut rig, CLOSES), [2, 2, 0]);
}

#[test]
fn a_response_that_breaks_off_is_the_hosts_reset() {
    let origin = Origin::raw(|mut conn: Conn, _, _| {
        let _ = conn.try_message(true);
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
    });
    let mut rig = Rig::new(&[origin.address], vec![]);
    rig.connect().send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").rest();
    assert_eq!(counted(&mut rig, RESETS), [0, 1, 0]);
    assert_eq!(counted(&mut rig, CLOSES), [1, 0, 1]);
}

#[test]
fn a_client_that_leaves_makes_it_ours() {
    let (asked, reached) = channel();
    let asked = std::sync::Mutex::new(asked);
    let origin = Origin::raw(move |mut conn: Conn, _, _| {
        let _ = conn.try_message(true);
        let _ = asked.lock().unwrap().send(());
        conn.expect_end();
    });
    let mut rig = Rig::new(&[origin.address], vec![]);
    let mut client = rig.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    reached.recv_timeout(PATIENCE).unwrap();
    client.reset();
    assert_eq!(counted(&mut rig, RESETS), [1, 0, 0]);
    assert_eq!(counted(&mut rig, CLOSES), [1, 1, 0]);
}
