//! A change that cannot be made changes nothing.

use std::net::TcpListener;

use serde_json::{Value, json};
use sidegate_harness::{Gate, Load, Message, Origin, Proxy, Reply, Signal, Wire, until};

use super::{built, said, saying, says_one_of, with_listener};

/// The answer to a reload that was refused with this status.
#[track_caller]
fn refused(proxy: &Proxy, status: u16, why: &str) -> Value {
    let answer: Message = proxy.order("/api/v1/config/reload");
    let body = answer.json();
    assert_eq!((answer.status(), &body["ok"], &body["refused"]), (status, &json!(false), &json!(why)), "{body:#}");
    assert!(!body["errors"].as_array().unwrap().is_empty());
    body
}

#[test]
fn what_check_refuses_changes_nothing() {
    let mut proxy = Proxy::start(&saying("good"));
    let load = Load::start(proxy.address(), 2, "/", says_one_of(&["good"]));
    let good = built(&proxy, &saying("good"));
    let mut unknown_key = good.clone();
    unknown_key["servers"][0]["no_such_key"] = json!(1);
    let mut no_cluster = good.clone();
    no_cluster["servers"][0]["routers"][0]["virtual_hosts"][0]["routers"][0] =
        json!({"match": {"prefix": "/"}, "route": {"cluster_name": "nowhere"}});
    let mut no_module = good.clone();
    no_module["servers"][0]["listeners"][0]["stream_filters"] =
        json!([{"type": "x", "so_config": {"so_path": "/nowhere/lib.so"}}]);
    for (text, kind) in [
        (unknown_key.to_string(), "unknown_key"),
        (no_cluster.to_string(), "undefined"),
        (no_module.to_string(), ""),
        ("{".to_owned(), "syntax"),
        (String::new(), ""),
    ] {
        proxy.write_text(&text);
        let body = refused(&proxy, 422, "configuration");
        assert!(kind.is_empty() || body["errors"][0]["kind"] == kind, "{body:#}");
        load.more(10);
    }
    std::fs::remove_file(proxy.config_file()).unwrap();
    assert_eq!(refused(&proxy, 422, "configuration")["errors"][0]["kind"], "io");
    assert_eq!(proxy.metric("sidegate_config_reload_total{result=\"rejected\"}"), Some(6.0));
    assert_eq!(proxy.metric("sidegate_config_last_reload_successful"), Some(0.0));
    assert_eq!(proxy.number(), 1);
    assert!(proxy.logs().contains("nothing was changed"), "{}", proxy.logs());
    load.stop();
    proxy.reload(&saying("better"));
    assert_eq!(said(proxy.address()), "better");
    assert_eq!(proxy.metric("sidegate_config_last_reload_successful"), Some(1.0));
}

#[test]
fn a_port_that_is_taken_leaves_everything_as_it_was() {
    let mut proxy = Proxy::start(&saying("old"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let new = with_listener(&built(&proxy, &saying("new")), "more", &taken.local_addr().unwrap().to_string());
    proxy.write_value(&new);
    let body = refused(&proxy, 422, "environment");
    assert!(body["errors"][0]["message"].as_str().unwrap().contains("cannot listen on"), "{body:#}");
    assert_eq!((said(proxy.address()), proxy.number()), ("old".to_owned(), 1));
    assert_eq!(proxy.metric("sidegate_config_reload_total{result=\"failed\"}"), Some(1.0));
    drop(taken);
    proxy.reload_file();
    assert_eq!(said(proxy.listener("more")), "new");
}

#[test]
fn a_log_that_cannot_be_opened_leaves_everything_as_it_was() {
    let proxy = Proxy::start(&saying("old"));
    for (section, log) in [("access", "/proc/nowhere/access.log"), ("process", "/proc/nowhere/process.log")] {
        let mut new = built(&proxy, &saying("new"));
        match section {
            "access" => new["servers"][0]["listeners"][0]["access_logs"][0]["log_path"] = json!(log),
            _ => new["servers"][0]["default_log_path"] = json!(log),
        }
        proxy.write_value(&new);
        let body = refused(&proxy, 422, "environment");
        assert!(body["errors"][0]["message"].as_str().unwrap().contains("/proc/nowhere"), "{body:#}");
        assert_eq!(said(proxy.address()), "old", "{section}");
    }
}

#[test]
fn a_disk_that_is_full_costs_log_lines_and_nothing_else() {
    let config = |word: &str, process: &str, access: &str| {
        saying(word)
            .in_server("default_log_path", json!(process))
            .in_listener("access_logs", json!([{"log_path": access, "log_format": "%request_path%"}]))
    };
    let mut proxy = Proxy::start(&saying("0"));
    let good = proxy.dir().join("good.log");
    let good = good.to_str().unwrap();
    let full = "/dev/full";
    let logs = [(full, good), (good, full), (full, full), (good, good)];
    for (round, (process, access)) in logs.into_iter().enumerate() {
        let word = round.to_string();
        proxy.reload(&config(&word, process, access));
        let lost = || proxy.metric("sidegate_access_log_dropped_total{path=\"/dev/full\"}").unwrap_or_default();
        let before = lost();
        for _ in 0..10 {
            assert_eq!(said(proxy.address()), word);
        }
        if access == full {
            until("lost lines to be counted", || (lost() >= before + 10.0).then_some(()));
        }
        // Refusals have nowhere to be told but in the answer.
        proxy.write_text("{");
        refused(&proxy, 422, "configuration");
    }
    // There is room again.
    let lines = || std::fs::read_to_string(good).unwrap_or_default();
    until("the log of requests", || (lines().lines().filter(|line| *line == "/").count() >= 10).then_some(()));
    until("the log of the process", || lines().contains("nothing was changed").then_some(()));
}

#[test]
fn a_drain_refuses_changes_in_words() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::http(move |_| {
        opened.wait();
        Reply::ok("late")
    });
    let mut proxy = Proxy::start(&sidegate_harness::ConfigBuilder::to(origin.address()));
    let mut client = proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    origin.wait("the request", |origin| origin.connections() == 1);
    proxy.signal(Signal::TERM);
    until("the drain", || (proxy.admin_get("/ready").status() == 503).then_some(()));
    for path in ["/api/v1/config/reload", "/api/v1/config/rollback", "/api/v1/modules/x/reload"] {
        let answer = proxy.order(path);
        assert_eq!((answer.status(), &answer.json()["refused"]), (503, &json!("draining")), "{path}");
    }
    // A signal changes nothing either.
    proxy.signal(Signal::HUP);
    gate.open();
    assert_eq!(client.response().text(), "late");
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn a_storm_of_reloads_comes_to_the_last_one() {
    let mut proxy = Proxy::start(&saying("0"));
    let load = Load::start(proxy.address(), 2, "/", |response| match response.status() {
        200 => Ok(()),
        status => Err(format!("status {status}")),
    });
    for round in 1..=30 {
        proxy.write(&saying(&round.to_string()));
        proxy.signal(Signal::HUP);
    }
    until("the last one", || (said(proxy.address()) == "30").then_some(()));
    // Many at once: each is answered, by what there is at the end.
    proxy.write(&saying("31"));
    let (admin, count) = (proxy.admin(), 20);
    let asking: Vec<_> = (0..count)
        .map(|_| {
            std::thread::spawn(move || {
                let request = format!(
                    "POST /api/v1/config/reload HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                Wire::connect(admin).send(request).response().status()
            })
        })
        .collect();
    for asked in asking {
        assert_eq!(asked.join().unwrap(), 200);
    }
    assert_eq!(said(proxy.address()), "31");
    load.stop();
    proxy.learn();
}

#[test]
fn changes_are_for_those_who_may() {
    let config = saying("x").top(
        "admin",
        json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}, "token": "s3cret"}),
    );
    let proxy = Proxy::start(&config);
    for path in ["/api/v1/config/reload", "/api/v1/config/rollback", "/api/v1/config/diff", "/api/v1/modules/x/reload"]
    {
        for fields in ["Authorization: Bearer wrong\r\n", "Origin: http://evil.example\r\n"] {
            assert_eq!(proxy.admin_call("POST", path, fields, "").status(), 403, "{path} {fields}");
        }
        assert_eq!(proxy.admin_get(path).status(), 405, "{path}");
    }
    assert_eq!(proxy.number(), 1);
    let fields = "Authorization: Bearer s3cret\r\n";
    assert_eq!(proxy.admin_call("POST", "/api/v1/config/reload", fields, "").status(), 200);
}
