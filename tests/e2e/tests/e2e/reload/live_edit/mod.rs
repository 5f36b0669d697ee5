//! Hosts that are edited through the admin interface.

mod refused;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Gate, Load, Message, Origin, Proxy, ProxyOptions, Reply, sidegate, until};

use super::{said, says_one_of};
use crate::modules::Module;

const TOKEN: &str = "Authorization: Bearer opener\r\n";
const HOSTS: &str = "/api/v1/clusters/c/hosts";

fn admin() -> Value {
    let address = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
    json!({"address": address, "token": "opener", "live_edit": true})
}

/// Everything goes to cluster `c` of these hosts.
fn to(hosts: &[SocketAddr]) -> ConfigBuilder {
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster_name": "c"}}]);
    ConfigBuilder::empty().cluster("c", hosts).virtual_host("all", &["*"], routes).top("admin", admin())
}

fn saying(word: &'static str) -> Origin {
    Origin::http(move |_| Reply::ok(word))
}

fn etag(proxy: &Proxy) -> String {
    proxy.admin_get(HOSTS).header("etag").expect("an ETag").to_owned()
}

fn of(host: SocketAddr) -> String {
    format!("{HOSTS}/{host}")
}

/// An edit by who may, of what is there now.
fn try_edit(proxy: &Proxy, method: &str, path: &str, body: &str) -> Message {
    proxy.admin_call(method, path, &format!("{TOKEN}If-Match: {}\r\n", etag(proxy)), body)
}

#[track_caller]
fn edit(proxy: &Proxy, method: &str, path: &str, body: &Value) -> Value {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = try_edit(proxy, method, path, &body);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(answer.header("etag"), Some(&*etag(proxy)), "the next edit needs no GET");
    answer.json()
}

fn shown(proxy: &Proxy, host: SocketAddr) -> Option<Value> {
    let hosts = proxy.admin_get(HOSTS).json()["hosts"].as_array().unwrap().clone();
    hosts.into_iter().find(|shown| shown["address"] == host.to_string())
}

/// What differs from the file, as the dump has it.
fn marked(proxy: &Proxy) -> Value {
    let dump = proxy.admin_get("/api/v1/config_dump?cluster=c").json();
    assert_eq!(proxy.admin_get(HOSTS).json()["live_edit"], dump["live_edit"]);
    let clusters = if dump["live_edit"].is_null() { 0.0 } else { 1.0 };
    assert_eq!(proxy.metric("sidegate_live_edited_clusters"), Some(clusters));
    dump["live_edit"].clone()
}

fn edits(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric(&format!("sidegate_live_edit_total{{result=\"{result}\"}}")).unwrap()
}

/// How many of so many requests each origin gets.
fn counts(proxy: &Proxy, requests: usize, origins: &[&Origin]) -> Vec<usize> {
    let before: Vec<usize> = origins.iter().map(|origin| origin.count()).collect();
    let mut client = proxy.connect();
    for _ in 0..requests {
        assert_eq!(client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").response().status(), 200);
    }
    origins.iter().zip(before).map(|(origin, before)| origin.count() - before).collect()
}

#[test]
fn hosts_come_and_go_under_load() {
    let (one, other) = (saying("one"), saying("other"));
    let proxy = Proxy::start(&to(&[one.address()]));
    let load = Load::start(proxy.address(), 4, "/", says_one_of(&["one", "other"]));
    for round in 1..=5_u64 {
        load.more(20);
        let answer = edit(&proxy, "POST", HOSTS, &json!({"address": other.address().to_string()}));
        assert_eq!((&answer["ok"], &answer["number"], &answer["unchanged"]), (&json!(true), &json!(1), &json!(false)));
        assert_eq!(answer["changes"]["after"], "weight 1");
        let both = counts(&proxy, 20, &[&one, &other]);
        assert!(both.iter().all(|count| *count > 0), "{both:?}");
        let marks = marked(&proxy);
        assert_eq!(
            (&marks["added"], &marks["by"]),
            (&json!([other.address().to_string()]), &json!("token from 127.0.0.1"))
        );
        edit(&proxy, "DELETE", &of(other.address()), &Value::Null);
        // What was on its way may still arrive.
        let gone = other.count() + 4;
        load.more(40);
        assert!(other.count() <= gone, "no new requests: {} > {gone}", other.count());
        assert_eq!((marked(&proxy), shown(&proxy, other.address())), (Value::Null, None));
        assert_eq!(edits(&proxy, "success"), 2.0 * round as f64);
    }
    load.stop();
    until("closed connections", || (other.open_connections() == 0).then_some(()));
    let logs = proxy.logs();
    let audited = logs.lines().filter(|line| line.contains("live edit: ")).collect::<Vec<_>>();
    assert_eq!(audited.len(), 10, "one line each: {audited:#?}");
    assert!(
        audited.iter().all(|line| line.contains("token from 127.0.0.1") && line.contains("not there")),
        "{audited:#?}"
    );
    assert!(!logs.contains("opener"), "the token is nobody's business");
}

#[test]
fn a_drained_host_ends_what_it_has_and_gets_nothing_new() {
    let (open, arrived) = (Gate::new(), Gate::new());
    let (opened, seen, first) = (open.clone(), arrived.clone(), AtomicBool::new(true));
    let slow = Origin::http(move |head| {
        if head.head.target() == "/slow" && first.swap(false, Ordering::Relaxed) {
            seen.open();
            opened.wait();
        }
        Reply::ok("slow")
    });
    let proxy = Proxy::start(&to(&[slow.address()]));
    let other = saying("other");
    // Some connections that idle, and one in use.
    let load = Load::start(proxy.address(), 3, "/", says_one_of(&["slow", "other"]));
    load.more(20);
    let mut client = proxy.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    arrived.wait();
    edit(&proxy, "POST", HOSTS, &json!({"address": other.address().to_string(), "weight": 2}));
    let answer = edit(&proxy, "PATCH", &of(slow.address()), &json!({"drained": true}));
    assert_eq!(
        (&answer["changes"]["before"], &answer["changes"]["after"]),
        (&json!("weight 1"), &json!("weight 1, drained"))
    );
    until("the connections that idle to close", || (slow.open_connections() == 1).then_some(()));
    let before = slow.count();
    load.more(60);
    load.stop();
    assert_eq!((slow.count(), counts(&proxy, 10, &[&slow, &other])), (before, vec![0, 10]));
    let drained = shown(&proxy, slow.address()).unwrap();
    assert_eq!(
        (&drained["drained"], &drained["healthy"], &drained["active_requests"]),
        (&json!(true), &json!(true), &json!(1))
    );
    assert_eq!(marked(&proxy)["drained"], json!([slow.address().to_string()]));
    open.open();
    assert_eq!(client.response().text(), "slow");
    until("the last connection to close", || (slow.open_connections() == 0).then_some(()));
    // Again is no change, and back is as before.
    let again = edit(&proxy, "PATCH", &of(slow.address()), &json!({"drained": true}));
    assert_eq!(again["unchanged"], true);
    edit(&proxy, "PATCH", &of(slow.address()), &json!({"drained": false}));
    edit(&proxy, "DELETE", &of(other.address()), &Value::Null);
    assert_eq!((marked(&proxy), said(proxy.address())), (Value::Null, "slow".to_owned()));
    // Series went on.
    let requests = proxy.metric(&format!("upstream_request_total{{cluster=\"c\",host=\"{}\"}}", slow.address()));
    assert_eq!(requests, Some((before + 1) as f64));
}

#[test]
fn weights_count_at_once() {
    let (one, other) = (saying("one"), saying("other"));
    let options = ProxyOptions { workers: Some(1), ..Default::default() };
    let proxy = Proxy::start_with(&to(&[one.address(), other.address()]), &options);
    assert_eq!(counts(&proxy, 20, &[&one, &other]), [10, 10]);
    edit(&proxy, "PATCH", &of(one.address()), &json!({"weight": 4}));
    assert_eq!(counts(&proxy, 20, &[&one, &other]), [16, 4]);
    assert_eq!(marked(&proxy)["weights"], json!({one.address().to_string(): {"file": 1, "now": 4}}));
    assert_eq!(shown(&proxy, one.address()).unwrap()["weight"], 4);
}

#[test]
fn health_is_looked_after_whoever_comes_and_drains() {
    let ill = Origin::http(|seen| if seen.head.target() == "/health" { Reply::new(503) } else { Reply::ok("ill") });
    let well = saying("well");
    let check = json!({
        "protocol": "Http1", "interval": "10ms", "timeout": "5s",
        "unhealthy_threshold": 1, "healthy_threshold": 1, "service_name": "c",
        "check_config": {"http_check_config": {"path": "/health"}},
    });
    let config =
        to(&[well.address()]).in_cluster("health_check", check).in_cluster("healthy_panic_threshold", json!(0));
    let proxy = Proxy::start(&config);
    edit(&proxy, "POST", HOSTS, &json!({"address": ill.address().to_string()}));
    let failed = || shown(&proxy, ill.address()).is_some_and(|host| host["failed_check"] == true);
    assert!(failed(), "it is checked before it gets a request");
    (0..10).for_each(|_| assert_eq!(said(proxy.address()), "well"));
    assert!(ill.seen().iter().all(|seen| seen.head.target() == "/health"));
    edit(&proxy, "PATCH", &of(ill.address()), &json!({"drained": true}));
    let host = shown(&proxy, ill.address()).unwrap();
    assert_eq!((&host["drained"], &host["failed_check"]), (&json!(true), &json!(true)));
    let checks = || ill.seen().iter().filter(|seen| seen.head.target() == "/health").count();
    let before = checks();
    until("checks of a drained host", || (checks() > before + 2).then_some(()));
    edit(&proxy, "PATCH", &of(ill.address()), &json!({"drained": false}));
    assert!(failed(), "coming back from a drain says nothing of health");
    edit(&proxy, "DELETE", &of(ill.address()), &Value::Null);
}

#[test]
fn a_host_that_is_checked_first_holds_up_nobody_else() {
    let (open, asked) = (Gate::new(), Gate::new());
    let (opened, seen) = (open.clone(), asked.clone());
    let late = Origin::http(move |_| {
        seen.open();
        opened.wait();
        Reply::ok("late")
    });
    let known = saying("known");
    let check = json!({
        "protocol": "Http1", "interval": "1h", "timeout": "60s", "service_name": "c",
        "check_config": {"http_check_config": {"path": "/"}},
    });
    let proxy = Proxy::start(&to(&[known.address()]).in_cluster("health_check", check));
    let fields = format!("{TOKEN}If-Match: *\r\n");
    let body = json!({"address": late.address().to_string()}).to_string();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| proxy.admin_call("POST", HOSTS, &fields, &body));
        asked.wait();
        let again = proxy.admin_call("POST", HOSTS, &fields, &body);
        assert_eq!((again.status(), &again.json()["refused"]), (409, &json!("busy")));
        edit(&proxy, "PATCH", &of(known.address()), &json!({"weight": 7}));
        assert_eq!(shown(&proxy, late.address()), None);
        open.open();
        assert_eq!(first.join().unwrap().status(), 200);
    });
    assert_eq!(shown(&proxy, late.address()).unwrap()["healthy"], true);
    assert_eq!(shown(&proxy, known.address()).unwrap()["weight"], 7);
}

#[test]
fn the_last_host_may_go_with_a_warning() {
    let origin = saying("back");
    let proxy = Proxy::start(&to(&[origin.address()]));
    let answer = edit(&proxy, "DELETE", &of(origin.address()), &Value::Null);
    assert_eq!(answer["warnings"][0]["kind"], "no_hosts", "{answer:#}");
    assert_eq!(proxy.get("/").status(), 502);
    assert_eq!(marked(&proxy)["removed"], json!([origin.address().to_string()]));
    edit(&proxy, "POST", HOSTS, &json!({"address": origin.address().to_string(), "hostname": "name.example"}));
    assert_eq!(
        (said(proxy.address()), shown(&proxy, origin.address()).unwrap()["hostname"].clone()),
        ("back".into(), json!("name.example"))
    );
}

#[test]
fn an_edit_lasts_until_the_file_is_taken_again() {
    let (one, other) = (saying("one"), saying("other"));
    let directory = sidegate_harness::TempDir::new();
    let module = Module::compile_with("tests/e2e/modules/stamp.c", &["-DSTAMP=\"1\""]);
    std::fs::copy(&module.file, directory.join("libstamp.so")).unwrap();
    let stamped = |config: ConfigBuilder| {
        let so_config = json!({"so_path": directory.join("libstamp.so"), "name": "stamp"});
        config.filter(json!({"type": "loadso", "so_config": so_config}))
    };
    let config = stamped(to(&[one.address()]));
    let mut proxy = Proxy::start(&config);
    let replace = |proxy: &Proxy| {
        edit(proxy, "POST", HOSTS, &json!({"address": other.address().to_string()}));
        edit(proxy, "PATCH", &of(one.address()), &json!({"drained": true}));
    };
    replace(&proxy);
    assert_eq!(said(proxy.address()), "other");
    // What is refused changes nothing, and a module is not the file.
    proxy.write_text("{");
    assert_eq!(proxy.order("/api/v1/config/reload").status(), 422);
    let anew = proxy.order("/api/v1/modules/stamp/reload");
    assert_eq!((anew.status(), &anew.json()["live_edits_dropped"]), (200, &json!([])));
    assert_eq!((said(proxy.address()), proxy.number()), ("other".to_owned(), 2));
    assert_eq!(marked(&proxy)["edits"], 2);
    // The same file: nothing but the hosts is different.
    proxy.write(&config);
    let told = proxy.order("/api/v1/config/diff").json();
    assert_eq!(told["live_edits_dropped"], json!(["c"]));
    let file = proxy.config_file().as_os_str();
    let told = sidegate(["check".as_ref(), "-c".as_ref(), file, "--against".as_ref(), proxy.admin_text().as_ref()]);
    assert!(
        told.stdout.contains("! clusters c: hosts that were edited are those of the file again"),
        "{}",
        told.output()
    );
    let stale = etag(&proxy);
    let taken = proxy.reload_file();
    assert_eq!(
        (&taken["live_edits_dropped"], &taken["unchanged"], &taken["number"]),
        (&json!(["c"]), &json!(false), &json!(3))
    );
    assert_eq!(
        (said(proxy.address()), marked(&proxy), shown(&proxy, other.address())),
        ("one".to_owned(), Value::Null, None)
    );
    let late = proxy.admin_call("DELETE", &of(one.address()), &format!("{TOKEN}If-Match: {stale}\r\n"), "");
    assert_eq!((late.status(), &late.json()["refused"]), (412, &json!("stale")));
    assert_eq!(proxy.reload_file()["unchanged"], true);
    // The one before is the one before that, not the same once more.
    replace(&proxy);
    assert_eq!(proxy.order("/api/v1/config/rollback").status(), 409);
    proxy.reload(&stamped(to(&[other.address(), one.address()])));
    assert_eq!(marked(&proxy), Value::Null);
    edit(&proxy, "DELETE", &of(one.address()), &Value::Null);
    let back = proxy.order("/api/v1/config/rollback").json();
    assert_eq!((&back["live_edits_dropped"], said(proxy.address())), (&json!(["c"]), "one".to_owned()));
    assert!(proxy.logs().contains("live edits of hosts are gone: c"));
}

#[test]
fn a_file_that_says_what_was_edited_takes_the_mark_away() {
    let (one, other) = (saying("one"), saying("other"));
    let mut proxy = Proxy::start(&to(&[one.address()]));
    edit(&proxy, "POST", HOSTS, &json!({"address": other.address().to_string()}));
    let before = etag(&proxy);
    proxy.reload(&to(&[one.address(), other.address()]));
    assert_eq!((marked(&proxy), etag(&proxy)), (Value::Null, before));
}

#[test]
fn paths_of_sockets_and_metadata_are_told_as_in_the_file() {
    let subsets = json!({"subset_selectors": [["version"]], "fall_back_policy": 0});
    let one = saying("one");
    let routes = json!([{"match": {"prefix": "/"}, "route": {
        "cluster_name": "c", "metadata_match": {"filter_metadata": {"mosn.lb": {"version": "2"}}}}}]);
    let config = ConfigBuilder::empty()
        .cluster("c", &[])
        .in_cluster("lb_subset_config", subsets)
        .virtual_host("all", &["*"], routes)
        .top("admin", admin());
    let proxy = Proxy::start(&config);
    let metadata = json!({"filter_metadata": {"mosn.lb": {"version": "2"}}});
    edit(&proxy, "POST", HOSTS, &json!({"address": one.address().to_string(), "metadata": metadata}));
    assert_eq!(said(proxy.address()), "one");
    // Drained hosts are in no subset.
    edit(&proxy, "PATCH", &of(one.address()), &json!({"drained": true}));
    assert_eq!(proxy.get("/").status(), 502);
    edit(&proxy, "POST", HOSTS, &json!({"address": "unix:/nowhere/a b"}));
    edit(&proxy, "DELETE", &format!("{HOSTS}/unix:%2Fnowhere%2Fa%20b"), &Value::Null);
    edit(&proxy, "POST", HOSTS, &json!({"address": "[::1]:9"}));
    edit(&proxy, "DELETE", &format!("{HOSTS}/[::1]:9"), &Value::Null);
    assert_eq!(proxy.admin_get(HOSTS).json()["total"], 1);
}
