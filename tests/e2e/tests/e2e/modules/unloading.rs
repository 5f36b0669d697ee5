//! Generations that leave a running proxy, with all that they left on its
//! threads.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Proxy, until};

use super::{Module, counter};
use crate::support::answer;

/// Descriptors, threads, and mappings of modules.
fn holds(proxy: &Proxy) -> [usize; 3] {
    let of = |what: &str| format!("/proc/{}/{what}", proxy.pid());
    let entries = |what: &str| std::fs::read_dir(of(what)).unwrap().count();
    let maps = std::fs::read_to_string(of("maps")).unwrap();
    [entries("fd"), entries("task"), maps.lines().filter(|line| line.contains("/memfd:sidegate")).count()]
}

fn reloads(rounds: u64) {
    const FIRST: u64 = 4;
    let module = Module::compile("leaves");
    let config = ConfigBuilder::empty()
        .virtual_host("all", &["*"], json!([answer(json!({"prefix": "/"}), "served")]))
        .filter(module.entry("", &json!({"name": "leaves"})));
    let proxy = Proxy::start(&config);
    let mut before = None;
    for round in 1..=FIRST + rounds {
        // Connections of their own, so that every worker has some.
        for _ in 0..4 {
            assert_eq!(proxy.get("/").text(), "served");
        }
        let answer = proxy.admin_call("POST", "/api/v1/modules/leaves/reload", "", "");
        assert_eq!(answer.status(), 200, "{}", answer.text());
        until("all but the new generation to be gone", || {
            let modules = proxy.admin_get("/api/v1/modules").json();
            let generations = modules["modules"][0]["generations"].as_array().unwrap().clone();
            let (last, gone) = generations.split_last().unwrap();
            let is_over = last["generation"] == round + 1
                && last["state"] == "current"
                && gone.iter().all(|generation| generation["state"] == "unmapped");
            is_over.then_some(())
        });
        if round == FIRST {
            before = Some(holds(&proxy));
        }
    }
    let before = before.unwrap();
    // Connections and threads that have ended are seen for a moment, which may
    // have been counted before.
    until("no more than there was before", || {
        holds(&proxy).iter().zip(before).all(|(now, before)| *now <= before).then_some(())
    });
    assert_eq!(counter(&proxy, "module_generations_unmapped_total"), FIRST + rounds);
    assert_eq!(counter(&proxy, "left_threads"), FIRST + rounds);
}

#[test]
fn thirty_reloads_leave_nothing_in_the_process() {
    reloads(30);
}

#[test]
#[ignore = "takes a minute"]
fn three_hundred_reloads_leave_nothing_in_the_process() {
    reloads(300);
}
