//! Each way to ask for another configuration, and what is told of it.

use std::os::unix::net::UnixDatagram;

use serde_json::json;
use sidegate_harness::{Proxy, Signal, until};

use super::{said, saying};

#[test]
fn a_signal_has_the_file_read_again_and_logs_reopened() {
    let mut proxy = Proxy::start(&saying("one"));
    proxy.write(&saying("two"));
    std::fs::rename(proxy.dir().join("access.log"), proxy.dir().join("aside.log")).unwrap();
    proxy.signal(Signal::HUP);
    proxy.await_number(2);
    assert_eq!(said(proxy.address()), "two");
    until("the log under its name", || proxy.dir().join("access.log").exists().then_some(()));
    let status = proxy.admin_get("/api/v1/config").json();
    assert_eq!((&status["origin"], &status["reason"]), (&json!("signal"), &json!("reload")));
}

#[test]
fn what_ran_before_runs_again() {
    let mut proxy = Proxy::start(&saying("1"));
    let none = proxy.order("/api/v1/config/rollback");
    assert_eq!((none.status(), &none.json()["refused"]), (409, &json!("nothing_before")));
    for round in 2..=7 {
        proxy.reload(&saying(&round.to_string()));
    }
    // The file stays what it is; four configurations are kept.
    for (round, word) in ["6", "5", "4", "3"].iter().enumerate() {
        let back = proxy.order("/api/v1/config/rollback");
        assert_eq!(back.status(), 200, "{}", back.text());
        let back = back.json();
        assert_eq!((&back["number"], &back["reason"]), (&json!(8 + round), &json!("rollback")));
        assert_eq!(back["same_as"], word.parse::<u64>().unwrap());
        assert_eq!(said(proxy.address()), *word);
    }
    assert_eq!(proxy.order("/api/v1/config/rollback").status(), 409);
    proxy.reload_file();
    assert_eq!(said(proxy.address()), "7");
}

#[test]
fn number_digest_time_and_history_are_shown() {
    let mut proxy = Proxy::start(&saying("1"));
    let first = proxy.admin_get("/api/v1/config").json();
    assert_eq!((&first["number"], &first["origin"], &first["reason"]), (&json!(1), &json!("start"), &json!("start")));
    let digest = |status: &serde_json::Value| status["digest"].as_str().unwrap().to_owned();
    assert_eq!(digest(&first).len(), 64);
    let text = std::fs::read_to_string(proxy.config_file()).unwrap();
    let taken = proxy.reload(&saying("2"));
    let second = proxy.admin_get("/api/v1/config").json();
    assert_eq!((digest(&second), &second["time"]), (digest(&taken), &taken["time"]));
    assert_ne!(digest(&first), digest(&second));
    assert!(second["time"].as_f64() >= first["time"].as_f64());
    // The same bytes have the same digest.
    proxy.write_text(&text);
    assert_eq!(digest(&proxy.reload_file()), digest(&first));
    let dump = proxy.admin_get("/api/v1/config_dump").json();
    assert_eq!((&dump["running"]["number"], &dump["running"]["digest"]), (&json!(3), &first["digest"]));
    let status = proxy.admin_get("/api/v1/config").json();
    let history = status["history"].as_array().unwrap().iter();
    let history: Vec<_> = history.map(|v| (v["number"].as_u64().unwrap(), v["kept"].as_bool().unwrap())).collect();
    assert_eq!(history, [(3, false), (2, true), (1, true)]);
    let info = format!("sidegate_config_info{{digest=\"{}\"}}", digest(&first));
    assert_eq!(proxy.metric(&info), Some(1.0));
    assert_eq!(proxy.metric("sidegate_config_number"), Some(3.0));
    let last = proxy.metric("sidegate_config_last_reload_success_timestamp_seconds").unwrap();
    assert!(last >= first["time"].as_f64().unwrap().floor());
    assert_eq!(proxy.metric("sidegate_config_reload_total{result=\"success\"}"), Some(2.0));
}

#[test]
fn a_dump_is_a_configuration_to_reload() {
    let mut proxy = Proxy::start(&saying("x"));
    let dump = proxy.admin_get("/api/v1/config_dump").json();
    proxy.write_value(&dump);
    proxy.reload_file();
    assert_eq!(said(proxy.address()), "x");
}

#[test]
fn what_a_reload_would_do_is_told_without_doing_it() {
    let proxy = Proxy::start(&saying("one"));
    proxy.write(&saying("two"));
    let told = proxy.order("/api/v1/config/diff");
    assert_eq!(told.status(), 200, "{}", told.text());
    assert_eq!(told.json()["changes"]["routers"]["changed"][0]["name"], "routes");
    // One that is sent.
    let sent = saying("one").cluster("c", &["127.0.0.1:1".parse().unwrap()]).build(proxy.dir().path()).to_string();
    let told = proxy.admin_call("POST", "/api/v1/config/diff", "", &sent);
    let changes = &told.json()["changes"];
    assert_eq!((&changes["clusters"]["added"], &changes["routers"]["changed"]), (&json!(["c"]), &json!([])));
    let told = proxy.admin_call("POST", "/api/v1/config/diff", "", "{");
    assert_eq!((told.status(), &told.json()["errors"][0]["kind"]), (422, &json!("syntax")));
    assert_eq!((said(proxy.address()), proxy.number()), ("one".to_owned(), 1));
}

#[test]
fn systemd_hears_of_each_reload() {
    let dir = sidegate_harness::TempDir::new();
    let socket = UnixDatagram::bind(dir.join("notify")).unwrap();
    socket.set_read_timeout(Some(sidegate_harness::PATIENCE)).unwrap();
    let heard = || {
        let mut text = [0; 256];
        let count = socket.recv(&mut text).unwrap();
        String::from_utf8(text[..count].to_vec()).unwrap()
    };
    let options = sidegate_harness::ProxyOptions {
        environment: vec![("NOTIFY_SOCKET".into(), dir.join("notify").into_os_string())],
        ..Default::default()
    };
    let mut proxy = Proxy::start_with(&saying("one"), &options);
    assert_eq!(heard(), "READY=1");
    // A refused one ends too.
    for (text, number) in [("{", 1), (&*saying("two").build(proxy.dir().path()).to_string(), 2)] {
        proxy.write_text(text);
        proxy.signal(Signal::HUP);
        let begins = heard();
        assert!(begins.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{begins}");
        assert_eq!(heard(), "READY=1");
        assert_eq!(proxy.number(), number);
    }
    proxy.signal(Signal::TERM);
    assert_eq!(heard(), "STOPPING=1");
    assert_eq!(proxy.wait_exit().code(), Some(0));
}
