//! Access logs whose lines a plugin takes, by the one in tests/plugins/streams.

use std::fs;

use serde_json::{Value, json};
use sidegate_harness::{
    Call, ConfigBuilder, Load, Origin, Proxy, ProxyOptions, Signal, TempDir, artifact, sidegate, until,
};

use super::{await_log, await_state, is_alive, merge, pid_of, status};

const FORMAT: &str = "%method% %path% %response_code%";

/// The folder that the plugin writes to and looks for its deeds in.
struct Sink {
    dir: TempDir,
}

/// A line as the plugin had it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taken {
    log: String,
    run: String,
    number: u64,
    /// Lines lost before.
    dropped: u64,
    line: String,
}

impl Sink {
    fn new() -> Self {
        Sink { dir: TempDir::new() }
    }

    /// What it does with batches from now on.
    fn does(&self, deed: &str) {
        fs::write(self.dir.join("next"), deed).unwrap();
        fs::rename(self.dir.join("next"), self.dir.join("deed")).unwrap();
    }

    fn plugin(&self, more: Value) -> Value {
        let mut plugin = json!({
            "command": artifact("sidegate-test-streams").display().to_string(),
            "args": ["log_sink"], "name": "sink", "env": {"TEST_LOG_FOLDER": self.dir.path()},
            // A loaded machine must not look like a plugin that hangs.
            "timeout": "1m", "batch_interval": "10ms", "restart_backoff": "0s", "restart_backoff_max": "0s",
            "retry_backoff": "5ms", "retry_backoff_max": "5ms",
        });
        merge(&mut plugin, more);
        plugin
    }

    fn config(&self, origin: &Origin, more: Value) -> ConfigBuilder {
        logging(origin, json!([{"plugin": self.plugin(more), "log_format": FORMAT}]))
    }

    /// All that it took, as it came.
    fn all(&self) -> Vec<Taken> {
        let text = fs::read_to_string(self.dir.join("taken")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let taken = whole.lines().map(|line| {
            let mut words = line.splitn(5, ' ');
            let mut word = || words.next().unwrap_or_else(|| panic!("no whole line: {line:?}")).to_owned();
            Taken {
                log: word(),
                run: word(),
                number: word().parse().unwrap(),
                dropped: word().parse().unwrap(),
                line: word(),
            }
        });
        taken.collect()
    }

    /// Waits until it took so many.
    #[track_caller]
    fn await_lines(&self, count: usize) -> Vec<Taken> {
        until(&format!("{count} lines"), || Some(self.all()).filter(|all| all.len() >= count))
    }

    /// Waits until it is asked, so that it has a batch.
    #[track_caller]
    fn await_batch(&self, proxy: &Proxy) {
        until("a call of the plugin", || (status(proxy)["in_flight"] == 1).then_some(()));
    }
}

fn logging(origin: &Origin, logs: Value) -> ConfigBuilder {
    ConfigBuilder::to(origin.address()).in_listener("access_logs", logs)
}

/// With one worker, whose lines are in order.
fn start(config: &ConfigBuilder) -> Proxy {
    Proxy::start_with(config, &ProxyOptions { workers: Some(1), ..ProxyOptions::default() })
}

fn ask(proxy: &Proxy, count: usize) {
    let mut client = proxy.client();
    for at in 0..count {
        assert_eq!(client.call(&Call::get(&format!("/{at}"))).status(), 200);
    }
}

fn series(proxy: &Proxy, name: &str, more: &str) -> u64 {
    let name = format!("sidegate_access_log_plugin_{name}{{plugin=\"sink\",log=\"main\"{more}}}");
    proxy.metric(&name).unwrap_or_else(|| panic!("no {name}")) as u64
}

fn dropped(proxy: &Proxy, reason: &str) -> u64 {
    series(proxy, "dropped_total", &format!(",reason=\"{reason}\""))
}

const REASONS: [&str; 5] = ["queue_full", "expired", "refused", "unserved", "stopped"];

/// Waits until nothing is on its way, and gives what was taken and lost.
#[track_caller]
fn await_sum(proxy: &Proxy, lines: u64) -> (u64, u64) {
    until(&format!("{lines} lines that are taken or lost"), || {
        let lost = REASONS.map(|reason| dropped(proxy, reason)).iter().sum();
        let taken = series(proxy, "lines_total", "");
        (taken + lost == lines && series(proxy, "waiting", "") == 0).then_some((taken, lost))
    })
}

#[test]
fn lines_arrive_whole_and_in_order_as_text_and_as_json() {
    let (origin, sink) = (Origin::echo(), Sink::new());
    let file = sink.dir.join("file.log");
    let json = json!({"path": "%path%", "status": "%response_code%", "agent": "%request_header_user-agent%"});
    let proxy = start(&logging(
        &origin,
        json!([
            {"plugin": sink.plugin(json!({})), "log_format": FORMAT},
            {"plugin": sink.plugin(json!({"log_name": "json", "batch_lines": 7})), "json_format": json},
            {"log_path": file, "log_format": FORMAT},
        ]),
    ));
    assert_eq!(proxy.admin_get("/api/v1/plugins").json()["plugins"].as_array().map(Vec::len), Some(1));
    let mut client = proxy.client();
    for at in 0..200 {
        client.call(&Call::get(&format!("/{at}")).header("User-Agent", "a \"b\"\\ é"));
    }
    let all = sink.await_lines(400);
    let of = |log: &str| all.iter().filter(|taken| taken.log == log).cloned().collect::<Vec<_>>();
    let (text, json) = (of("main"), of("json"));
    for (at, (text, json)) in text.iter().zip(&json).enumerate() {
        assert_eq!((text.number, json.number, text.dropped), (at as u64 + 1, at as u64 + 1, 0));
        assert_eq!(text.line, format!("GET /{at} 200"));
        let json: Value = serde_json::from_str(&json.line).unwrap();
        assert_eq!(json, json!({"path": format!("/{at}"), "status": 200, "agent": "a \"b\"\\ é"}));
    }
    assert_eq!((text.len(), json.len()), (200, 200));
    assert_ne!(text[0].run, json[0].run);
    let in_file =
        until("the file", || Some(fs::read_to_string(&file).unwrap()).filter(|text| text.lines().count() == 200));
    assert_eq!(in_file.lines().collect::<Vec<_>>(), text.iter().map(|taken| &*taken.line).collect::<Vec<_>>());
    assert_eq!(await_sum(&proxy, 200), (200, 0));
}

#[test]
fn a_plugin_that_is_killed_under_load_loses_no_line() {
    let (origin, sink) = (Origin::echo(), Sink::new());
    let config = sink.config(&origin, json!({"batch_interval": "1ms", "batch_lines": 20, "retention": "5m"}));
    let proxy = Proxy::start(&config);
    let load = Load::start(proxy.address(), 4, "/x", |answer| match answer.status() {
        200 => Ok(()),
        other => Err(format!("status {other}")),
    });
    let mut last = 0;
    for _ in 0..8 {
        let up = until("another process that is up", || {
            let status = status(&proxy);
            (status["state"] == "up" && pid_of(&status) != last).then_some(status)
        });
        last = pid_of(&up);
        load.more(40);
        let pid = rustix::process::Pid::from_raw(last as i32).unwrap();
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }
    let asked = load.stop();
    let (taken, lost) = await_sum(&proxy, asked);
    assert_eq!((taken, lost), (asked, 0));
    // Those whose answer was lost came twice, under the same numbers.
    let mut numbers: Vec<u64> = sink.all().iter().map(|taken| taken.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (1..=asked).collect::<Vec<u64>>());
    until("the last start", || (status(&proxy)["restarts"].as_u64() == Some(8)).then_some(()));
}

#[test]
fn a_plugin_that_is_too_slow_costs_lines_that_are_counted_and_nothing_else() {
    let (origin, sink) = (Origin::echo(), Sink::new());
    sink.does("wait");
    let proxy = start(&sink.config(&origin, json!({"queue_lines": 50, "batch_lines": 10})));
    ask(&proxy, 120);
    until("the count of what is lost", || (dropped(&proxy, "queue_full") == 70).then_some(()));
    assert_eq!(series(&proxy, "waiting", ""), 50);
    sink.await_batch(&proxy);
    sink.does("");
    assert_eq!(await_sum(&proxy, 120), (50, 70));
    let all = sink.await_lines(50);
    let lines: Vec<String> = all.iter().map(|taken| taken.line.clone()).collect();
    assert_eq!(lines, (0..50).map(|at| format!("GET /{at} 200")).collect::<Vec<_>>());
    await_log(&proxy, "lines of an access log are lost");
    // There is room again, and the plugin is told what it missed.
    ask(&proxy, 1);
    let last = sink.await_lines(51)[50].clone();
    assert_eq!((last.number, last.dropped, &*last.line), (51, 70, "GET /0 200"));
    // Bytes are bounded too.
    sink.does("wait");
    let long = format!("/{}", "x".repeat(4000));
    let more = json!({"queue_bytes": 65536, "batch_bytes": 5000, "log_name": "bytes"});
    let other = start(&sink.config(&origin, more));
    let mut client = other.client();
    for _ in 0..40 {
        client.call(&Call::get(&long));
    }
    let name = "sidegate_access_log_plugin_dropped_total{plugin=\"sink\",log=\"bytes\",reason=\"queue_full\"}";
    let room = 65536 / format!("GET {long} 200").len();
    until("what finds no room", || (other.metric(name) == Some(40.0 - room as f64)).then_some(()));
    sink.does("");
}

#[test]
fn what_the_plugin_does_not_take_is_given_up_and_the_next_goes_on() {
    let (origin, sink) = (Origin::echo(), Sink::new());
    let mut proxy = start(&sink.config(&origin, json!({})));
    sink.does("never");
    ask(&proxy, 3);
    until("lines that are refused", || (dropped(&proxy, "refused") == 3).then_some(()));
    await_log(&proxy, "refused: ");
    await_log(&proxy, "it is told to refuse");
    sink.does("not_now");
    proxy.reload(&sink.config(&origin, json!({"retention": "200ms"})));
    ask(&proxy, 2);
    until("lines that are too old", || (dropped(&proxy, "expired") == 2).then_some(()));
    sink.does("");
    ask(&proxy, 1);
    assert_eq!(await_sum(&proxy, 6), (1, 5));
    // Another retention made it another log, which begins with no losses.
    assert_eq!(sink.all()[0].dropped, 2);
    // A program that takes no access logs.
    let plain = sink.plugin(json!({"command": artifact("sidegate-test-plugin").display().to_string(), "args": [""]}));
    proxy.reload(&logging(&origin, json!([{"plugin": plain}])));
    ask(&proxy, 2);
    until("lines that nobody takes", || (dropped(&proxy, "unserved") == 2).then_some(()));
}

#[test]
fn the_last_lines_are_taken_before_the_process_ends() {
    let (origin, sink) = (Origin::echo(), Sink::new());
    let mut proxy = start(&sink.config(&origin, json!({"batch_interval": "1h"})));
    let plugin = pid_of(&status(&proxy));
    sink.does("slow");
    ask(&proxy, 30);
    assert_eq!(sink.all(), []);
    proxy.signal(Signal::TERM);
    assert!(proxy.wait_exit().success());
    assert_eq!(sink.all().len(), 30);
    assert!(!is_alive(plugin));
}

#[test]
fn a_plugin_that_is_dead_does_not_hold_up_the_end() {
    let (origin, sink) = (Origin::echo(), Sink::new());
    let more = json!({"batch_interval": "1h", "retention": "1h", "restart_backoff": "1h", "restart_backoff_max": "1h"});
    let config = sink.config(&origin, more).in_server("graceful_timeout", json!("10m"));
    let mut proxy = start(&config);
    sink.does("die");
    ask(&proxy, 5);
    proxy.signal(Signal::TERM);
    assert!(proxy.wait_exit().success());
    assert!(proxy.logs().contains("stopped: 5"), "{}", proxy.logs());
    assert_eq!(sink.all(), []);
}

#[test]
fn a_log_that_stays_the_same_goes_on_over_reloads() {
    let (origin, sink) = (Origin::echo(), Sink::new());
    let mut proxy = start(&sink.config(&origin, json!({"batch_interval": "1h"})));
    let pid = pid_of(&status(&proxy));
    ask(&proxy, 2);
    // Another setting of the listener, and another format.
    proxy.reload(&sink.config(&origin, json!({"batch_interval": "1h"})).timeout("request_header", "9s"));
    ask(&proxy, 1);
    let other = json!([{"plugin": sink.plugin(json!({"batch_interval": "1h"})), "log_format": "other %path%"}]);
    proxy.reload(&logging(&origin, other));
    ask(&proxy, 1);
    assert_eq!((pid_of(&status(&proxy)), &status(&proxy)["restarts"]), (pid, &json!(0)));
    assert_eq!((sink.all(), series(&proxy, "waiting", "")), (vec![], 4));
    // Another queue at the same process: what waited in the one before is sent.
    proxy.reload(&sink.config(&origin, json!({})));
    ask(&proxy, 1);
    let all = sink.await_lines(5);
    let of = |all: &[Taken]| all.iter().map(|taken| (taken.number, taken.line.clone())).collect::<Vec<_>>();
    let (former, next): (Vec<Taken>, Vec<Taken>) = all.into_iter().partition(|taken| taken.run == sink.all()[0].run);
    let (former, next) = if former.len() == 4 { (former, next) } else { (next, former) };
    let line = |at: u64, line: &str| (at, line.to_owned());
    let expected = [line(1, "GET /0 200"), line(2, "GET /1 200"), line(3, "GET /0 200"), line(4, "other /0")];
    assert_eq!((of(&former), of(&next)), (expected.to_vec(), vec![line(1, "GET /0 200")]));
    assert_eq!(pid_of(&status(&proxy)), pid);
    // Without it the plugin ends.
    proxy.reload(&logging(&origin, json!([])));
    until("the end of the plugin", || (!is_alive(pid)).then_some(()));
    assert_eq!(proxy.admin_get("/api/v1/plugins").json(), json!({"plugins": []}));
}

#[test]
fn one_that_does_not_come_up_is_not_taken() {
    let (origin, sink) = (Origin::echo(), Sink::new());
    let mut proxy = start(&sink.config(&origin, json!({})));
    let garbage = json!({"command": artifact("sidegate-test-plugin").display().to_string(), "args": ["garbage"]});
    proxy.write(&sink.config(&origin, garbage));
    let refused = proxy.order("/api/v1/config/reload");
    assert_eq!(refused.status(), 422);
    assert!(refused.text().contains("does not come up"), "{}", refused.text());
    assert!(refused.text().contains("access_logs[0].plugin"), "{}", refused.text());
    ask(&proxy, 1);
    sink.await_lines(1);
    proxy.reload(&sink.config(&origin, json!({})));
}

#[test]
fn it_is_switched_and_shown_like_other_plugins_and_its_environment_is_not() {
    let (origin, sink) = (Origin::echo(), Sink::new());
    let secret = json!({"env": {"TEST_LOG_FOLDER": sink.dir.path(), "TOKEN": "s3cret"}});
    let proxy = start(&sink.config(&origin, secret));
    let seen = status(&proxy);
    assert_eq!((&seen["name"], &seen["state"]), (&json!("sink"), &json!("up")));
    let dump = proxy.admin_get("/api/v1/config_dump").text();
    assert!(dump.contains("TOKEN") && !dump.contains("s3cret"), "{dump}");
    // Without its plugin a log waits.
    assert_eq!(proxy.order("/api/v1/plugins/sink/disable").status(), 200);
    await_state(&proxy, "disabled");
    ask(&proxy, 2);
    until("lines that wait", || (series(&proxy, "waiting", "") == 2).then_some(()));
    assert_eq!(proxy.order("/api/v1/plugins/sink/enable").status(), 200);
    assert_eq!(sink.await_lines(2).len(), 2);
}

#[test]
fn one_plugin_may_be_attached_by_several_proxies() {
    let (origin, sink) = (Origin::echo(), Sink::new());
    let runs = start(&sink.config(&origin, json!({})));
    let address = status(&runs)["address"].as_str().unwrap().to_owned();
    let plugin = json!({"address": address, "name": "beside", "log_name": "there", "batch_interval": "10ms"});
    let attached = start(&logging(&origin, json!([{"plugin": plugin, "log_format": FORMAT}])));
    ask(&runs, 1);
    ask(&attached, 1);
    let all = sink.await_lines(2);
    let names: std::collections::BTreeSet<&str> = all.iter().map(|taken| &*taken.log).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["main", "there"]);
    assert_ne!(all[0].run, all[1].run);
}

#[test]
fn mistakes_are_named_where_they_are() {
    let check = |logs: Value| {
        let dir = TempDir::new();
        let config = ConfigBuilder::to(([127, 0, 0, 1], 9).into()).in_listener("access_logs", logs);
        let file = dir.write("config.json", config.build(dir.path()).to_string());
        let checked = sidegate(["check", "-c", file.to_str().unwrap()]);
        assert_eq!(checked.code, Some(1), "{}", checked.output());
        checked.output()
    };
    for (log, said) in [
        (json!({}), "expected exactly one of `log_path` and `plugin`, found none of them"),
        (json!({"log_path": "/tmp/x", "plugin": {"command": "sh"}}), "found both"),
        (json!({"plugin": "sh"}), "access_logs[0].plugin"),
        (json!({"plugin": {}}), "expected exactly one of `log_path` and `plugin`, found none of them"),
        (json!({"plugin": {"name": "a"}}), "expected one of command, address, found none"),
        (json!({"plugin": {"command": "./nowhere"}}), "nowhere: No such file"),
        (json!({"plugin": {"command": "sh", "batch_line": 3}}), "did you mean \"batch_lines\"?"),
        (json!({"plugin": {"command": "sh", "batch_lines": 0}}), "expected an integer from 1"),
        (json!({"plugin": {"command": "sh", "timeout": "0s"}}), "expected a duration above zero"),
        (
            json!({"plugin": {"command": "sh", "queue_lines": 5, "batch_lines": 6}}),
            "plugin.batch_lines: expected 5 or less",
        ),
        (json!({"plugin": {"address": "unix:/x", "args": ["a"]}}), "means nothing beside `address`"),
        (json!({"plugin": {"address": "10.0.0.1:80"}}), "10.0.0.1 is not loopback"),
        (json!({"plugin": {"command": "sh"}, "log_roller": "size=1"}), "means nothing beside `plugin`"),
        (json!({"plugin": {"command": "sh"}, "log_format": "%nothing%"}), "unknown variable"),
    ] {
        let output = check(json!([log]));
        assert!(output.contains(said), "{log}: {output}");
    }
    let two = |one: Value, other: Value| check(json!([{"plugin": one}, {"plugin": other}]));
    let output = two(json!({"command": "sh"}), json!({"command": "sh", "batch_lines": 1}));
    assert!(output.contains("a `log_name` tells them apart"), "{output}");
    let output = two(json!({"command": "sh"}), json!({"command": "sh", "args": ["a"]}));
    assert!(output.contains("is started in another way"), "{output}");
}
