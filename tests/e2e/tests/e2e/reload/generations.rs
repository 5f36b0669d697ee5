//! Modules that are loaded anew.

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Proxy, until};

use super::shelf::{Shelf, load, mapped, origin, reload_module};

#[test]
fn a_module_is_loaded_anew_under_load_and_the_old_one_leaves() {
    let (shelf, origin) = (Shelf::new(), origin());
    let proxy = Proxy::start(&shelf.config(&origin, json!({})));
    assert_eq!(proxy.get("/").text(), "1");
    let load = load(&proxy);
    for round in 2..=5_u64 {
        shelf.put(&round.to_string(), &[]);
        let taken = reload_module(&proxy, "");
        assert_eq!(
            (&taken["number"], &taken["reason"], &taken["module"]),
            (&json!(round), &json!("module"), &json!("stamp"))
        );
        assert_eq!(proxy.get("/").text(), round.to_string());
        load.more(10);
    }
    // The same bytes are a generation too.
    reload_module(&proxy, "");
    until("old generations to leave", || (mapped(&proxy).len() == 1).then_some(()));
    assert_eq!(mapped(&proxy), [(6, "current".to_owned())]);
    load.stop();
    assert_eq!(proxy.metric("sidegate_module_reload_total{result=\"success\"}"), Some(5.0));
}

#[test]
fn a_reload_of_the_file_takes_a_module_only_if_it_changed() {
    let (shelf, origin) = (Shelf::new(), origin());
    let mut proxy = Proxy::start(&shelf.config(&origin, json!({})));
    assert_eq!(proxy.reload_file()["unchanged"], true);
    shelf.put("2", &[]);
    let taken = proxy.reload_file();
    assert_eq!(taken["unchanged"], false, "{taken:#}");
    assert_eq!(taken["changes"]["modules"]["changed"][0]["name"], "stamp", "{taken:#}");
    assert_eq!(proxy.get("/").text(), "2");
}

#[test]
fn a_watched_module_is_taken_when_it_changes() {
    let (shelf, origin) = (Shelf::new(), origin());
    let options = sidegate_harness::ProxyOptions { arguments: vec!["--watch".to_owned()], ..Default::default() };
    let proxy = Proxy::start_with(&shelf.config(&origin, json!({"watch": true})), &options);
    shelf.put("2", &[]);
    until("the new module", || (proxy.get("/").text() == "2").then_some(()));
}

#[test]
fn a_module_that_is_refused_leaves_the_old_one_serving() {
    let (shelf, origin) = (Shelf::new(), origin());
    let mut proxy = Proxy::start(&shelf.config(&origin, json!({})));
    let load = load(&proxy);
    shelf.put("2", &["-DREFUSE"]);
    let refused = |proxy: &Proxy, path: &str| {
        let answer = proxy.order(path);
        assert_eq!(answer.status(), 422, "{}", answer.text());
        answer.json()["errors"][0]["message"].as_str().unwrap().to_owned()
    };
    refused(&proxy, "/api/v1/modules/stamp/reload");
    refused(&proxy, "/api/v1/config/reload");
    std::fs::write(shelf.file(), "no module").unwrap();
    refused(&proxy, "/api/v1/modules/stamp/reload");
    std::fs::remove_file(shelf.file()).unwrap();
    refused(&proxy, "/api/v1/modules/stamp/reload");
    let none = proxy.order("/api/v1/modules/nobody/reload");
    assert_eq!((none.status(), &none.json()["refused"]), (404, &json!("not_found")));
    assert_eq!(proxy.get("/").text(), "1");
    load.more(10);
    load.stop();
    shelf.put("3", &[]);
    reload_module(&proxy, "");
    assert_eq!(proxy.get("/").text(), "3");
    proxy.learn();
}

#[test]
fn a_module_goes_with_the_last_filter_that_comes_from_it() {
    let (shelf, origin) = (Shelf::new(), origin());
    let plain = ConfigBuilder::to(origin.address());
    let mut proxy = Proxy::start(&plain);
    assert_eq!(proxy.get("/").text(), "none");
    for _ in 0..3 {
        proxy.reload(&shelf.config(&origin, json!({})));
        assert_eq!(proxy.get("/").text(), "1");
        proxy.reload(&plain);
        assert_eq!(proxy.get("/").text(), "none");
        until("the module to leave", || mapped(&proxy).is_empty().then_some(()));
    }
}

/// Files of modules are those of now, so what a file of a module brought is no
/// step of the way back.
#[test]
fn the_way_back_leads_past_a_module_that_changed() {
    let (shelf, origin) = (Shelf::new(), origin());
    let config = |time: &str| shelf.config(&origin, json!({})).in_server("graceful_timeout", json!(time));
    let mut proxy = Proxy::start(&config("1s"));
    proxy.reload(&config("2s"));
    shelf.put("2", &[]);
    assert_eq!(proxy.reload_file()["number"], 3);
    let back = proxy.order("/api/v1/config/rollback");
    assert_eq!((back.status(), &back.json()["same_as"]), (200, &json!(1)), "{}", back.text());
    assert_eq!(proxy.admin_get("/api/v1/config_dump").json()["mosn_config"]["servers"][0]["graceful_timeout"], "1s");
    assert_eq!(proxy.get("/").text(), "2");
    assert_eq!(proxy.order("/api/v1/config/rollback").status(), 409);
}

#[test]
fn a_watched_module_that_goes_and_comes_back_is_waited_for() {
    let (shelf, origin) = (Shelf::new(), origin());
    let options = sidegate_harness::ProxyOptions { arguments: vec!["--watch".to_owned()], ..Default::default() };
    let proxy = Proxy::start_with(&shelf.config(&origin, json!({"watch": true})), &options);
    for round in 1..3 {
        std::fs::remove_file(shelf.file()).unwrap();
        let refused = "sidegate_config_reload_total{result=\"rejected\"}";
        until("the refusal", || (proxy.metric(refused) == Some(f64::from(round))).then_some(()));
        assert_eq!(proxy.get("/").text(), round.to_string());
        let stamp = (round + 1).to_string();
        shelf.put(&stamp, &[]);
        until("the new module", || (proxy.get("/").text() == stamp).then_some(()));
    }
}
