//! Plugins that are not as they should be: each fault is bounded, told, and
//! traffic goes as `on_error` says.

use std::net::TcpListener;
use std::thread;

use serde_json::json;
use sidegate_harness::{
    Call, ConfigBuilder, Frame, Frames, Origin, Proxy, TempDir, Wire, artifact, block, flag, kind, until,
};

use super::{PROGRAM, asks, await_log, await_state, entry, failures, faults, is_alive, pid_of, start, status};

/// Both policies, for a plugin that never comes up.
#[track_caller]
fn never_up(how: &str, said: &str) {
    let origin = Origin::echo();
    let never = json!({"start_timeout": "300ms", "restart_backoff": "1h", "restart_backoff_max": "1h"});
    let proxy = start(&origin, how, never.clone());
    let down = await_state(&proxy, "down");
    assert!(down["last_error"].as_str().unwrap().contains(said), "{down}");
    await_log(&proxy, said);
    assert_eq!((proxy.call(&asks("")).status(), origin.count()), (500, 0));
    let line = proxy.access_line("the failure", |line| line.status == 500);
    assert_eq!(line.details, "plugin_failed");
    assert_eq!(failures(&proxy, "down"), 1.0);
    assert_eq!(faults(&proxy, "handshake"), 1.0);
    let mut allows = never;
    allows["on_error"] = "allow".into();
    let proxy = start(&origin, how, allows);
    await_state(&proxy, "down");
    assert_eq!((proxy.call(&asks("")).status(), origin.count()), (200, 1));
}

#[test]
fn one_that_exits_at_once() {
    never_up("exit", "it exited with code 7 before its handshake");
}

#[test]
fn one_that_prints_garbage() {
    never_up("garbage", "it printed \"hello, world\" where");
}

#[test]
fn one_that_prints_without_an_end() {
    never_up("endless", "without the end of a line");
}

#[test]
fn one_that_never_prints() {
    never_up("silent", "it printed no handshake in 300ms");
}

#[test]
fn one_of_another_version() {
    never_up("version", "it speaks version \"2\" of the plugin protocol");
}

#[test]
fn one_that_listens_elsewhere() {
    never_up("foreign", "192.0.2.1 is not loopback");
}

#[test]
fn one_whose_socket_is_somebody_elses() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tried: nobody but root can give a socket away");
        return;
    }
    never_up("others", "belongs to user 65534, not to user 0");
}

#[test]
fn one_that_wants_tls() {
    never_up("certificate", "AutoMTLS");
}

/// The second might be the refusal.
#[test]
fn one_that_answers_twice_has_not_answered() {
    let origin = Origin::echo();
    let proxy = start(&origin, "twice", json!({}));
    for deed in ["deny", ""] {
        assert_eq!(proxy.call(&asks(deed)).status(), 500);
    }
    await_log(&proxy, "it answered twice");
    let status = status(&proxy);
    assert_eq!((&status["failures"], &status["restarts"], origin.count()), (&json!(2), &json!(0), 0));
}

#[test]
fn what_it_says_by_a_service_is_in_the_log() {
    let origin = Origin::echo();
    let proxy = start(&origin, "stdio", json!({}));
    await_log(&proxy, "said by the service");
    let logs = proxy.logs();
    assert!(logs.lines().any(|line| line.contains("said by the service") && line.contains("WARN")), "{logs}");
}

#[test]
fn its_last_words_are_in_the_log() {
    let origin = Origin::echo();
    let proxy = start(&origin, "closed", json!({"restart_backoff": "1h", "restart_backoff_max": "1h"}));
    await_state(&proxy, "down");
    await_log(&proxy, "no word on stdout");
}

#[test]
fn a_program_that_is_gone_by_the_time_it_is_needed() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let program = dir.join("gone");
    std::fs::copy(artifact(PROGRAM), &program).unwrap();
    let more = json!({"command": program.display().to_string(), "name": PROGRAM, "restart_backoff": "0s"});
    let proxy = start(&origin, "", more);
    assert_eq!(proxy.call(&asks("")).status(), 200);
    std::fs::remove_file(&program).unwrap();
    assert_eq!(proxy.call(&asks("die")).status(), 500);
    until("the program is missed", || {
        status(&proxy)["last_error"].as_str().is_some_and(|why| why.contains("cannot start")).then_some(())
    });
    assert!(faults(&proxy, "start") >= 1.0);
    // There, but not to be executed.
    std::fs::copy(artifact(PROGRAM), dir.join("partial")).unwrap();
    std::fs::set_permissions(dir.join("partial"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::rename(dir.join("partial"), &program).unwrap();
    until("it is refused", || {
        status(&proxy)["last_error"].as_str().is_some_and(|why| why.contains("Permission denied")).then_some(())
    });
    assert_eq!(proxy.call(&Call::get("/").header("X-Do", "")).status(), 500);
    // It is there again, and so is the plugin.
    std::fs::remove_file(&program).unwrap();
    std::fs::copy(artifact(PROGRAM), dir.join("partial")).unwrap();
    std::fs::rename(dir.join("partial"), &program).unwrap();
    until("an answer", || (proxy.call(&asks("deny")).status() == 403).then_some(()));
}

#[test]
fn one_that_dies_in_a_call_costs_that_call() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({"restart_backoff": "0s"}));
    let before = pid_of(&status(&proxy));
    assert_eq!(proxy.call(&asks("die")).status(), 500);
    // The next one waits for the next process.
    for _ in 0..5 {
        assert_eq!(proxy.call(&asks("deny")).status(), 403);
    }
    let after = status(&proxy);
    assert_ne!(pid_of(&after), before);
    assert_eq!((after["restarts"].clone(), failures(&proxy, "lost")), (json!(1), 1.0));
    await_log(&proxy, "it exited with code 9");
    assert_eq!(faults(&proxy, "exit"), 1.0);
    assert_eq!(origin.count(), 0);
}

#[test]
fn one_that_hangs_or_answers_late_is_given_up() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({"timeout": "200ms"}));
    for deed in ["hang", "wait=2000"] {
        assert_eq!(proxy.call(&asks(deed)).status(), 500, "{deed}");
    }
    assert_eq!(failures(&proxy, "timeout"), 2.0);
    let allowing = start(&origin, "", json!({"timeout": "200ms", "on_error": "allow"}));
    assert_eq!(allowing.call(&asks("hang")).status(), 200);
    assert_eq!(origin.count(), 1);
    // Late answers are nobody's.
    until("no call in flight", || (status(&proxy)["in_flight"] == 0).then_some(()));
}

#[test]
fn a_call_ends_with_its_stream() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({"timeout": "1h"}));
    let begun = proxy.client().begin(&asks("hang"));
    until("a call in flight", || (status(&proxy)["in_flight"] == 1).then_some(()));
    drop(begun);
    until("no call in flight", || (status(&proxy)["in_flight"] == 0).then_some(()));
    let cancelled = format!("sidegate_plugin_calls_cancelled_total{{plugin=\"{PROGRAM}\"}}");
    assert_eq!(proxy.metric(&cancelled), Some(1.0));
}

#[test]
fn one_that_fails_calls() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({}));
    assert_eq!(proxy.call(&asks("fail")).status(), 500);
    assert_eq!(failures(&proxy, "error"), 1.0);
    await_log(&proxy, "as it was told");
}

#[test]
fn calls_in_flight_are_bounded_and_hold_up_nobody() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({"timeout": "1h", "max_in_flight": 2}));
    let held: Vec<_> = (0..2).map(|_| proxy.client().begin(&asks("hang"))).collect();
    until("two calls in flight", || (status(&proxy)["in_flight"] == 2).then_some(()));
    assert_eq!(proxy.call(&asks("")).status(), 500);
    assert_eq!(failures(&proxy, "too_many"), 1.0);
    drop(held);
    until("no call in flight", || (status(&proxy)["in_flight"] == 0).then_some(()));
    assert_eq!(proxy.call(&asks("")).status(), 200);
}

#[test]
fn one_that_floods_its_output_is_read_to_the_end() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({}));
    let before = proxy.resident_bytes();
    assert_eq!(proxy.call(&asks("flood")).status(), 200);
    assert_eq!(proxy.call(&asks("deny")).status(), 403);
    await_log(&proxy, "writes to its standard output after the handshake");
    assert!(proxy.resident_bytes() < before + (24 << 20), "{before} and then {}", proxy.resident_bytes());
}

#[test]
fn what_it_says_is_in_the_log_at_its_level() {
    let origin = Origin::echo();
    let proxy = start(&origin, "", json!({}));
    proxy.call(&asks("log=watch out"));
    await_log(&proxy, "watch out");
    let logs = proxy.logs();
    let line = logs.lines().find(|line| line.contains("watch out")).unwrap();
    assert!(line.contains("WARN") && line.contains(PROGRAM), "{line}");
}

#[test]
fn one_that_says_that_it_is_ill_is_shown_so_and_called() {
    let origin = Origin::echo();
    let proxy = start(&origin, "ill", json!({}));
    assert_eq!(status(&proxy)["healthy"], json!(false));
    assert_eq!(proxy.call(&asks("deny")).status(), 403);
}

#[test]
fn its_children_end_with_it() {
    let origin = Origin::echo();
    let mut proxy = start(&origin, "forks", json!({"restart_backoff": "0s"}));
    let first = pid_of(&status(&proxy));
    let child = until("its child", || child_of(first));
    assert_eq!(proxy.call(&asks("die")).status(), 500);
    until("the end of the child", || (!is_alive(child)).then_some(()));
    let second = until("its successor", || Some(pid_of(&await_state(&proxy, "up"))).filter(|pid| *pid != first));
    let child = until("the next child", || child_of(second));
    proxy.signal(sidegate_harness::Signal::TERM);
    assert!(proxy.wait_exit().success());
    assert!(!is_alive(second) && !is_alive(child));
}

fn child_of(pid: u64) -> Option<u64> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

#[test]
fn two_filters_may_ask_one_plugin() {
    let origin = Origin::echo();
    let mut second = entry("", json!({"timeout": "200ms", "on_error": "allow"}));
    second["name"] = "second".into();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(entry("", json!({}))).filter(second));
    assert_eq!(proxy.call(&Call::get("/")).status(), 200);
    assert_eq!(status(&proxy)["calls"], 2);
}

/// Who ended the connection, and by what, is what its author needs.
#[test]
fn one_that_breaks_http2_is_told_from_one_that_closes() {
    let origin = Origin::echo();
    let detected = "its connection broke: http2 error: connection error detected: ";
    let received = "its connection broke: http2 error: connection error received: ";
    // HEADERS on a stream that only the client opens, and DATA on none.
    let odd = Frame::headers(5, flag::END_HEADERS, block(&[(":status", "200")]));
    for (frame, said) in [
        (Some(odd), detected),
        (Some(Frame::data(0, 0, "x")), detected),
        (Some(Frame::new(kind::PUSH_PROMISE, flag::END_HEADERS, 1, [0, 0, 0, 2])), detected),
        (Some(Frame::go_away(0, 11)), received),
        (None, "it closed its connection"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = json!({
            "address": listener.local_addr().unwrap().to_string(), "name": PROGRAM,
            "restart_backoff": "1h", "restart_backoff_max": "1h",
        });
        let plugin = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut frames = Frames::serve(Wire::over(stream), &[]).unwrap();
            frames.next_of(|frame| frame.kind == kind::HEADERS).unwrap();
            if let Some(frame) = frame {
                frames.send(&frame);
                // What it is told of that; then it goes.
                let _ = frames.next_of(|frame| frame.kind == kind::GOAWAY);
            }
        });
        let entry = json!({"type": "plugin", "config": config});
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(entry));
        let down = await_state(&proxy, "down");
        assert!(down["last_error"].as_str().unwrap().starts_with(said), "{down}");
        await_log(&proxy, said);
        assert_eq!(faults(&proxy, "connection"), 1.0);
        drop(proxy);
        plugin.join().unwrap();
    }
}
