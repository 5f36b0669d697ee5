//! Which hook runs when, and what it can see by then.

use sidegate_api::{BodyInterest, ReceiverPhase, Status, Variable, VariableValue};

use crate::kit::{At, Origin, Rig, Script};

#[test]
fn phases_run_in_order_and_filters_as_configured() {
    let origin = Origin::hello();
    let rig =
        Rig::new(&[origin.address], vec![Script::all("a", BodyInterest::None), Script::all("b", BodyInterest::None)]);
    assert_eq!(rig.connect().get("/").body, "hello");
    rig.log.expect(&[
        "a BeforeRoute End",
        "b BeforeRoute End",
        "a AfterRoute End",
        "b AfterRoute End",
        "a AfterChooseHost End",
        "b AfterChooseHost End",
        "a response 200 More",
        "b response 200 More",
        "a complete 200 - Nobody 0/5",
        "b complete 200 - Nobody 0/5",
        "a drop",
        "b drop",
    ]);
}

#[test]
fn hooks_that_nobody_wants_do_not_run() {
    let origin = Origin::echo();
    let mut quiet = Script::new("quiet");
    quiet.interests = Default::default();
    let phases = [ReceiverPhase::AfterRoute];
    let rig = Rig::new(&[origin.address], vec![quiet, Script::new("one").phases(&phases)]);
    assert_eq!(rig.connect().post("/", "body").body, "body");
    rig.log.wait_for("one drop", 1);
    let seen: Vec<_> = rig.log.lines().into_iter().filter(|line| line != "quiet drop").collect();
    assert_eq!(seen, ["one AfterRoute More", "one complete 200 - Nobody 4/4", "one drop"]);
}

#[test]
fn body_and_trailer_hooks_stand_in_the_first_phase_of_their_filter() {
    let origin = Origin::echo();
    let late = Script::new("late").phases(&[ReceiverPhase::AfterRoute]).request_body(BodyInterest::Observe).trailers();
    let early = Script::new("early").phases(&ReceiverPhase::ALL).request_body(BodyInterest::Observe).trailers();
    let rig = Rig::new(&[origin.address], vec![late, early]);
    let mut client = rig.connect();
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-t: 1\r\n\r\n");
    assert_eq!(client.response().body, "body");
    rig.log.wait_for("drop", 2);
    assert_eq!(
        rig.log.lines()[..10],
        [
            "early BeforeRoute More",
            "late AfterRoute More",
            "early AfterRoute More",
            "early AfterChooseHost More",
            "early body \"body\" More",
            "late body \"body\" More",
            "early body \"\" More",
            "late body \"\" More",
            "early trailers",
            "late trailers",
        ]
    );
}

#[test]
fn a_phase_sees_what_was_decided_before_it() {
    let origin = Origin::hello();
    let script = Script::all("a", BodyInterest::None).hook(|at, cx| {
        let text = |variable| match cx.variable(variable) {
            Some(VariableValue::Bytes(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
            Some(VariableValue::Integer(number)) => number.to_string(),
            None => "-".into(),
        };
        let variables = [Variable::VirtualHost, Variable::RouteName, Variable::ClusterName, Variable::UpstreamHost];
        let seen = variables.map(text).join(" ");
        let right = match at {
            At::Headers(ReceiverPhase::BeforeRoute) => seen == "- - - -",
            At::Headers(ReceiverPhase::AfterRoute) => seen == "vhost / main -",
            _ => seen.starts_with("vhost / main 127.0.0.1:"),
        };
        if right { Status::Continue } else { Status::Fault(sidegate_api::FilterFault::new(format!("{at:?}: {seen}"))) }
    });
    let rig = Rig::new(&[origin.address], vec![script]);
    let reply = rig.connect().get("/");
    assert_eq!((reply.status(), rig.faults("a")), (200, 0));
}

#[test]
fn each_hook_runs_once_per_stream_of_a_kept_connection() {
    let origin = Origin::hello();
    let rig = Rig::new(&[origin.address], vec![Script::all("a", BodyInterest::None)]);
    let mut client = rig.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/").body, "hello");
    }
    rig.log.wait_for("drop", 3);
    for (what, count) in
        [("BeforeRoute", 3), ("AfterRoute", 3), ("AfterChooseHost", 3), ("response", 3), ("complete", 3)]
    {
        assert_eq!(rig.log.with(what).len(), count, "{what}");
    }
}
