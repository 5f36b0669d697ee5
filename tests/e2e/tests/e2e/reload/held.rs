//! Generations that streams hold.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Wire, until};

use super::shelf::mapped;
use crate::modules::Module;

/// Of one module there may be so many.
const GENERATIONS: usize = 8;

#[test]
fn one_generation_too_many_is_refused_and_those_who_hold_the_others_are_named() {
    let (module, origin) = (Module::compile("fault"), Origin::echo());
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(module.entry("", &json!({}))));
    let reload = || proxy.order("/api/v1/modules/libfault/reload");
    let mut waiting: Vec<Wire> = Vec::new();
    for round in 1..=GENERATIONS {
        let mut client = proxy.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Do: pending\r\n\r\n");
        until("the stream", || {
            let modules = proxy.admin_get("/api/v1/modules").json();
            let generations = modules["modules"][0]["generations"].as_array().unwrap().clone();
            let now = generations.iter().find(|g| g["generation"] == round).cloned();
            now.is_some_and(|now| now["streams"] == 1).then_some(())
        });
        waiting.push(client);
        if round < GENERATIONS {
            assert_eq!(reload().status(), 200);
        }
    }
    assert_eq!(mapped(&proxy).len(), GENERATIONS);
    for _ in 0..3 {
        let answer = reload();
        let error = answer.json()["errors"][0].clone();
        assert_eq!((answer.status(), &error["kind"]), (422, &json!("too_many_generations")), "{error:#}");
        let said = error["message"].as_str().unwrap();
        for generation in 1..=GENERATIONS {
            let holder = format!("generation {generation} (");
            let held = said.split(", generation ").find(|part| format!("generation {part}").contains(&holder));
            assert!(held.is_some_and(|held| held.contains("streams in filter `libfault`: 1 on worker ")), "{said}");
        }
        until("the same in the log", || proxy.logs().contains(said).then_some(()));
        assert_eq!(mapped(&proxy).len(), GENERATIONS);
        assert_eq!(proxy.get("/").status(), 200);
    }
    // One stream less is one generation less.
    drop(waiting.remove(3));
    until("the generation to leave", || (mapped(&proxy).len() == GENERATIONS - 1).then_some(()));
    assert_eq!(reload().status(), 200);
    drop(waiting);
    until("all the others to leave", || (mapped(&proxy) == [(9, "current".to_owned())]).then_some(()));
}
