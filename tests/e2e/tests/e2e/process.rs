//! The process: start, signals, drain, end.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;
use sidegate_harness::{
    ConfigBuilder, Gate, Origin, Outcome, Proxy, ProxyOptions, Reply, Signal, TempDir, Wire, WireError, artifact,
    sidegate, until,
};

/// An origin that answers `/held` only when the gate opens.
fn holding_origin(gate: &Gate) -> Origin {
    let held = gate.clone();
    Origin::http(move |seen| {
        if seen.head.target() == "/held" {
            held.wait();
        }
        Reply::ok("done")
    })
}

/// A proxy with one idle connection and one stream in flight.
fn busy(origin: &Origin, graceful_timeout: &str) -> (Proxy, Wire, Wire) {
    let config = ConfigBuilder::to(origin.address()).in_server("graceful_timeout", json!(graceful_timeout));
    let proxy = Proxy::start(&config);
    let mut idle = proxy.connect();
    idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.response().status(), 200);
    let mut held = proxy.connect();
    held.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait("the held request", |origin| origin.count() == 2);
    (proxy, idle, held)
}

#[test]
fn a_drain_closes_what_is_idle_and_finishes_what_runs() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let gate = Gate::new();
        let origin = holding_origin(&gate);
        let (mut proxy, mut idle, mut held) = busy(&origin, "60s");
        assert_eq!(proxy.admin_get("/ready").status(), 200);
        proxy.signal(signal);
        idle.expect_close();
        until("/ready to say 503", || (proxy.admin_get("/ready").status() == 503).then_some(()));
        assert!(proxy.try_exit().is_none(), "a stream is in flight");
        gate.open();
        let got = held.response();
        assert_eq!((got.status(), got.text().as_str()), (200, "done"));
        assert_eq!(got.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("close"));
        held.expect_close();
        assert_eq!(proxy.wait_exit().code(), Some(0));
    }
}

#[test]
fn a_drain_with_nothing_to_do_is_quick() {
    let origin = Origin::echo();
    let mut proxy = Proxy::start(&ConfigBuilder::to(origin.address()).in_server("graceful_timeout", json!("60s")));
    let mut idle = proxy.connect();
    idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.response().status(), 200);
    let never_used = proxy.connect();
    let start = Instant::now();
    proxy.signal(Signal::TERM);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    idle.expect_close();
    drop(never_used);
}

#[test]
fn a_drain_gives_up_after_the_graceful_timeout() {
    let gate = Gate::new();
    let origin = holding_origin(&gate);
    let (mut proxy, mut idle, mut held) = busy(&origin, "500ms");
    let start = Instant::now();
    proxy.signal(Signal::TERM);
    idle.expect_close();
    proxy.wait_exit();
    assert!(start.elapsed() >= Duration::from_millis(400), "it did not wait");
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    match held.try_response("GET") {
        Ok(got) => assert!(got.status() >= 500, "{}", got.status()),
        Err(WireError::Closed | WireError::Reset) => {}
        Err(other) => panic!("{other}"),
    }
    let line = proxy.access_line("the stream that did not end", |line| line.path == "/held");
    assert!(line.has("DD"), "{line:?}");
    gate.open();
}

#[test]
fn a_second_signal_ends_at_once() {
    let gate = Gate::new();
    let origin = holding_origin(&gate);
    let (mut proxy, mut idle, _held) = busy(&origin, "60s");
    proxy.signal(Signal::TERM);
    idle.expect_close();
    // What comes within a second of the first signal is the same one.
    until("an end well before the graceful timeout", || {
        if proxy.try_exit().is_none() {
            proxy.signal(Signal::TERM);
        }
        proxy.try_exit()
    });
    gate.open();
}

#[test]
fn a_signal_to_the_process_and_its_group_is_one() {
    let gate = Gate::new();
    let origin = holding_origin(&gate);
    let (mut proxy, mut idle, mut held) = busy(&origin, "60s");
    for signal in [Signal::TERM, Signal::INT, Signal::TERM, Signal::QUIT] {
        proxy.signal(signal);
    }
    idle.expect_close();
    until("/ready to say 503", || (proxy.admin_get("/ready").status() == 503).then_some(()));
    gate.open();
    assert_eq!(held.response().status(), 200, "the stream in flight was not cut");
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn a_drain_may_begin_later_than_the_end_of_readiness() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).in_server("drain_delay", json!("2s"));
    let mut proxy = Proxy::start(&config);
    let mut kept = proxy.connect();
    kept.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(kept.response().status(), 200);
    let told = Instant::now();
    proxy.signal(Signal::TERM);
    until("/ready to say 503", || (proxy.admin_get("/ready").status() == 503).then_some(()));
    let fresh = proxy.get("/");
    kept.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let again = kept.response();
    assert_eq!((fresh.status(), again.status()), (200, 200), "both served as before");
    assert_eq!(again.header("connection"), None, "no drain yet");
    kept.expect_close();
    assert_eq!(proxy.wait_exit().code(), Some(0));
    assert!(told.elapsed() >= Duration::from_secs(2), "{:?}", told.elapsed());
}

#[test]
fn a_second_signal_ends_the_delay_as_well() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).in_server("drain_delay", json!("600s"));
    let mut proxy = Proxy::start(&config);
    until("an end without the delay", || {
        if proxy.try_exit().is_none() {
            proxy.signal(Signal::TERM);
        }
        proxy.try_exit()
    });
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn with_reuseport_a_new_process_takes_over_beside_the_old_one() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address()).in_listener("reuseport", json!(true));
    let mut old = Proxy::start(&config);
    let address = old.address();
    let config = config.in_listener("reuseport_overlap", json!(true));
    let new = Proxy::start(&config.in_listener("address", json!(address.to_string())));
    assert_eq!(new.address(), address);
    old.signal(Signal::TERM);
    assert_eq!(old.wait_exit().code(), Some(0));
    for _ in 0..20 {
        assert_eq!(new.get("/").status(), 200);
    }
}

#[test]
fn signals_of_other_proxies_do_not_end_this_one() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    for (signal, line) in [(Signal::HUP, "nothing differs"), (Signal::USR2, "SIGUSR2 does nothing")] {
        proxy.signal(signal);
        until(line, || proxy.logs().contains(line).then_some(()));
        assert_eq!(proxy.get("/").status(), 200, "{line}");
    }
}

#[test]
fn no_request_is_lost_to_a_drain() {
    // Clients that send one request per connection until they are refused: each answer must be whole.
    let origin = Origin::echo();
    let mut proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let address = proxy.address();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let mut served = 0;
                loop {
                    let Ok(stream) = std::net::TcpStream::connect(address) else { return Ok(served) };
                    let mut wire = Wire::over(stream);
                    if wire.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").is_err() {
                        return Err(format!("refused after connecting, {served} served"));
                    }
                    match wire.try_response("GET") {
                        Ok(got) if got.status() == 200 => served += 1,
                        other => return Err(format!("{other:?} after {served} served")),
                    }
                }
            })
        })
        .collect();
    origin.wait("traffic", |origin| origin.count() > 100);
    proxy.signal(Signal::TERM);
    let results: Vec<Result<i32, String>> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert_eq!(proxy.wait_exit().code(), Some(0));
    // A connection made in the instant the listening socket closes is reset by the kernel: at most one per client.
    let cut: Vec<&String> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(cut.is_empty(), "{cut:?}");
}

#[test]
fn sigusr1_reopens_logs() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let server_log = dir.join("server.log");
    let config = ConfigBuilder::to(origin.address()).in_server("default_log_path", json!(server_log));
    let proxy = Proxy::start(&config);
    assert_eq!(proxy.get("/before").status(), 200);
    proxy.access_line("the first request", |line| line.path == "/before");
    let (access, moved) = (proxy.dir().join("access.log"), proxy.dir().join("access.log.1"));
    std::fs::rename(&access, &moved).unwrap();
    std::fs::rename(&server_log, dir.join("server.log.1")).unwrap();
    proxy.signal(Signal::USR1);
    until("new log files", || (access.exists() && server_log.exists()).then_some(()));
    assert_eq!(proxy.get("/after").status(), 200);
    proxy.access_line("the second request", |line| line.path == "/after");
    let old = std::fs::read_to_string(&moved).unwrap();
    assert!(old.contains("/before") && !old.contains("/after"), "{old}");
    assert!(!proxy.access_log_text().contains("/before"));
}

/// Runs a configuration that cannot start.
fn refused_start(config: &ConfigBuilder) -> Outcome {
    let dir = TempDir::new();
    let file = dir.write("config.json", config.build(dir.path()).to_string());
    let outcome = sidegate(["run".as_ref(), "-c".as_ref(), file.as_os_str()]);
    assert!(outcome.code.is_some_and(|code| code != 0), "{outcome:?}");
    outcome
}

/// The lines that speak of an error.
fn error_lines(outcome: &Outcome) -> Vec<String> {
    let output = outcome.output();
    output
        .lines()
        .filter(|line| line.to_lowercase().contains("error") || line.contains("sidegate:"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let outcome = refused_start(&ConfigBuilder::empty().in_listener("address", json!(address)));
    let lines = error_lines(&outcome);
    assert_eq!(lines.len(), 1, "{}", outcome.output());
    assert!(lines[0].contains(&address) && lines[0].contains("in use"), "{}", lines[0]);
    assert!(!outcome.output().contains("panicked"), "{}", outcome.output());
}

#[test]
fn an_admin_port_in_use_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let admin = json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}});
    let outcome = refused_start(&ConfigBuilder::empty().top("admin", admin));
    let lines = error_lines(&outcome);
    assert_eq!(lines.len(), 1, "{}", outcome.output());
    assert!(lines[0].contains(&port.to_string()) && lines[0].contains("in use"), "{}", lines[0]);
}

#[test]
fn an_unreadable_file_is_one_clear_line() {
    let dir = TempDir::new();
    for path in [dir.join("none.json"), dir.path().to_owned()] {
        let outcome = sidegate(["run".as_ref(), "-c".as_ref(), path.as_os_str()]);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        let output = outcome.output();
        let naming: Vec<&str> = output.lines().filter(|line| line.contains(path.to_str().unwrap())).collect();
        assert_eq!(naming.len(), 1, "{output}");
    }
}

#[test]
fn a_refused_module_is_one_clear_line() {
    let dir = TempDir::new();
    let module = dir.write("broken.so", "this is no module");
    let filter = json!({"type": "loadso", "so_config": {"so_path": module}});
    let outcome = refused_start(&ConfigBuilder::empty().filter(filter));
    let output = outcome.output();
    let naming: Vec<&str> = output.lines().filter(|line| line.contains("broken.so")).collect();
    assert_eq!(naming.len(), 1, "{output}");
    assert!(naming[0].contains("ELF"), "{}", naming[0]);
}

#[test]
fn all_errors_are_reported_at_once() {
    let config = ConfigBuilder::empty()
        .in_listener("address", json!("127.0.0.1:99999"))
        .in_server("graceful_timeout", json!("soon"))
        .filter(json!({"type": "nobody_knows"}));
    let outcome = refused_start(&config);
    for wanted in ["99999", "soon", "nobody_knows"] {
        assert!(outcome.output().contains(wanted), "{wanted} is missing in:\n{}", outcome.output());
    }
}

#[test]
fn a_second_process_on_the_same_port_fails() {
    let origin = Origin::echo();
    let first = Proxy::start(&ConfigBuilder::to(origin.address()));
    let address = first.address().to_string();
    let outcome = refused_start(&ConfigBuilder::to(origin.address()).in_listener("address", json!(address)));
    assert!(outcome.output().contains("in use"), "{}", outcome.output());
    assert_eq!(first.get("/").status(), 200);
}

#[test]
fn yaml_runs_and_keys_have_no_case() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let file = dir.write(
        "config.yaml",
        format!(
            r#"
Servers:
  - default_log_path: stdout
    routers:
      - Router_Config_Name: r
        virtual_hosts:
          - {{name: all, domains: ["*"], routers: [{{match: {{prefix: /}}, route: {{cluster_name: o}}}}]}}
    listeners:
      - Name: main
        address: 127.0.0.1:0
        filter_chains:
          - filters:
              - {{type: proxy, config: {{downstream_protocol: Http1, router_config_name: r}}}}
cluster_manager:
  clusters:
    - {{Name: o, type: STATIC, lb_type: LB_RANDOM, hosts: [{{address: "{}"}}]}}
"#,
            origin.address()
        ),
    );
    let proxy = Proxy::run(dir, &file, &ProxyOptions::default());
    assert_eq!(proxy.get("/yaml").json()["target"], "/yaml");
}

#[test]
fn the_version_names_proxy_and_abi() {
    let outcome = sidegate(["--version"]);
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", outcome.stdout);
    assert!(outcome.stdout.to_lowercase().contains("abi 1."), "{}", outcome.stdout);
}

#[test]
fn inspect_judges_a_file_without_running_it() {
    for name in ["libauth.so", "libauth_c.so"] {
        let module = artifact(name);
        let text = sidegate(["inspect".as_ref(), module.as_os_str()]);
        assert_eq!(text.code, Some(0), "{}", text.output());
        let json = sidegate(["inspect".as_ref(), module.as_os_str(), "--format".as_ref(), "json".as_ref()]);
        assert_eq!(json.code, Some(0), "{}", json.output());
        let report: serde_json::Value = serde_json::from_str(&json.stdout).expect("one JSON document on stdout");
        assert!(report.to_string().contains("1.0"), "the ABI is missing: {report}");
    }
    let dir = TempDir::new();
    let broken = dir.write("broken.so", "this is no module");
    for format in ["text", "json"] {
        let outcome = sidegate(["inspect".as_ref(), broken.as_os_str(), "--format".as_ref(), format.as_ref()]);
        assert_eq!(outcome.code, Some(1), "{}", outcome.output());
        assert!(outcome.output().contains("ELF"), "{}", outcome.output());
    }
}

#[test]
fn a_wrong_command_line_is_explained() {
    for arguments in
        [&["run"][..], &["nonsense"], &["run", "-c", "x", "--workers", "0"], &["run", "-c", "x", "--nonsense"]]
    {
        let outcome = sidegate(arguments);
        assert!(outcome.code.is_some_and(|code| code != 0), "{arguments:?}: {outcome:?}");
        assert!(!outcome.stderr.is_empty(), "{arguments:?}");
    }
}
