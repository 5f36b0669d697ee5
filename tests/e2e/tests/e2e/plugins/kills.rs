//! A plugin that is killed under load loses the calls in flight and no others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::json;
use sidegate_harness::{Client, Origin, Signal, until};

use super::{asks, start, status};

const CLIENTS: u64 = 4;

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    lost: AtomicU64,
    ended: AtomicBool,
}

/// Kills the plugin so often while clients ask without a pause.
fn kill_under_load(kills: u64) {
    let origin = Origin::echo();
    // Somebody else may have the processors for longer than usual.
    let more = json!({"timeout": "5m", "restart_backoff": "0s", "restart_backoff_max": "0s"});
    let proxy = start(&origin, "", more);
    let counts = Arc::<Counts>::default();
    let clients: Vec<JoinHandle<()>> = (0..CLIENTS)
        .map(|_| {
            let (counts, address) = (counts.clone(), proxy.address());
            thread::spawn(move || {
                let mut client = Client::to(address);
                while !counts.ended.load(Ordering::Relaxed) {
                    // Whoever is refused was answered by the plugin.
                    match client.call(&asks("deny")).status() {
                        403 => counts.answered.fetch_add(1, Ordering::Relaxed),
                        500 => counts.lost.fetch_add(1, Ordering::Relaxed),
                        other => panic!("status {other}"),
                    };
                }
            })
        })
        .collect();
    let mut last = 0;
    for _ in 0..kills {
        let answered = counts.answered.load(Ordering::Relaxed);
        let pid = until("another process that is up", || {
            let status = status(&proxy);
            status["pid"].as_u64().filter(|pid| status["state"] == "up" && *pid != last)
        });
        until("answers of it", || (counts.answered.load(Ordering::Relaxed) >= answered + CLIENTS).then_some(()));
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
        last = pid;
    }
    until("the last start", || (status(&proxy)["restarts"].as_u64() == Some(kills)).then_some(()));
    counts.ended.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    let (answered, lost) = (counts.answered.load(Ordering::Relaxed), counts.lost.load(Ordering::Relaxed));
    eprintln!("{kills} kills: {answered} answered, {lost} lost in flight");
    // One call per client can have been in flight each time.
    assert!(lost <= kills * CLIENTS, "{lost} calls lost by {kills} kills");
    assert_eq!(origin.count(), 0);
    // All of them were in flight: none was refused for want of a plugin.
    for reason in ["down", "timeout", "too_many", "error", "bad_answer", "disabled"] {
        assert_eq!(super::failures(&proxy, reason), 0.0, "{reason}");
    }
    assert_eq!(super::failures(&proxy, "lost") as u64, lost);
    assert_eq!(proxy.call(&asks("")).status(), 200);
}

#[test]
fn ten_kills_under_load_lose_only_the_calls_in_flight() {
    kill_under_load(10);
}

#[test]
#[ignore = "takes minutes; `make test-slow` runs it"]
fn a_thousand_kills_under_load_lose_only_the_calls_in_flight() {
    kill_under_load(1000);
}
