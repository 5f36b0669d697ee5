//! Changes while a module does not return from its making.

use std::thread;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Message, Proxy, TempDir, Wire, until};

use super::shelf::{Shelf, load, mapped, origin};
use super::with_listener;
use crate::modules::Module;
use crate::modules::hangs::trouble;
use crate::support::answer;

/// Asks on a thread of its own, for answers that take their time.
fn ask(proxy: &Proxy, path: &'static str) -> thread::JoinHandle<Message> {
    let admin = proxy.admin();
    thread::spawn(move || {
        let request =
            format!("POST {path} HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        Wire::connect(admin).send(request).response()
    })
}

fn refused(answer: &Message) -> (u16, Value, Value) {
    let body = answer.json();
    (answer.status(), body["refused"].clone(), body["errors"][0]["kind"].clone())
}

#[test]
fn only_what_needs_modules_is_refused_while_one_does_not_return() {
    let (shelf, origin, dir) = (Shelf::new(), origin(), TempDir::new());
    let module = Module::compile("trouble");
    let calm = || shelf.config(&origin, json!({}));
    let hanging = |what: &str| calm().filter(trouble(&module, &dir.join("gate"), what));
    let hung = (503, json!("module_control_hung"), json!("module-control-hung"));
    let mut proxy = Proxy::start(&calm());
    let load = load(&proxy);
    proxy.write(&hanging("create:hang"));
    let answered = proxy.order("/api/v1/config/reload");
    assert_eq!(refused(&answered), hung, "{}", answered.text());
    let said = answered.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    for part in ["module libtrouble", "create_filter_factory"] {
        assert!(said.contains(part), "{said}");
    }
    until("the same in the log", || proxy.logs().contains(&said).then_some(()));
    assert_eq!(proxy.metric("sidegate_config_reload_total{result=\"failed\"}"), Some(1.0));
    // At once from now on.
    for path in ["/api/v1/config/reload", "/api/v1/modules/stamp/reload"] {
        assert_eq!(refused(&proxy.order(path)), hung, "{path}");
    }
    assert_eq!((proxy.get("/").text(), proxy.number()), ("1".to_owned(), 1));
    // Routes, hosts and listeners change beside modules that stay.
    let routes = |word: &str| calm().virtual_host("more", &["more"], json!([answer(json!({"prefix": "/"}), word)]));
    proxy.reload(&routes("hello"));
    let more = |proxy: &Proxy| proxy.exchange("GET / HTTP/1.1\r\nHost: more\r\n\r\n").text();
    assert_eq!((more(&proxy), proxy.get("/").text()), ("hello".to_owned(), "1".to_owned()));
    let mut wider = with_listener(&routes("wider").build(proxy.dir().path()), "plain", "127.0.0.1:0");
    wider["servers"][0]["listeners"][1].as_object_mut().unwrap().remove("stream_filters");
    proxy.write_value(&wider);
    proxy.reload_file();
    assert_eq!((more(&proxy), super::said(proxy.listener("plain"))), ("wider".to_owned(), "none".to_owned()));
    let back = proxy.order("/api/v1/config/rollback");
    assert_eq!((back.status(), more(&proxy)), (200, "hello".to_owned()), "{}", back.text());
    load.more(10);
    load.stop();
    // A module goes, although nobody can destroy what it made yet.
    proxy.reload(&ConfigBuilder::to(origin.address()));
    assert_eq!(proxy.get("/").text(), "none");
    // It goes on: what came too late is gone, and modules are loaded again.
    dir.write("gate", "");
    until("modules to leave", || mapped(&proxy).is_empty().then_some(()));
    proxy.reload(&hanging(""));
    assert_eq!(proxy.get("/").text(), "1");
}

/// What a change is made of was read before; what is asked for meanwhile waits
/// or is refused.
#[test]
fn changes_wait_for_the_one_that_is_made_or_are_refused() {
    let (shelf, origin, dir) = (Shelf::new(), origin(), TempDir::new());
    let module = Module::compile("trouble");
    let host = |word: &str| ("more", ["more"], json!([answer(json!({"prefix": "/"}), word)]));
    let config = |word: &str| {
        let (name, domains, routes) = host(word);
        ConfigBuilder::to(origin.address())
            .virtual_host(name, &domains, routes)
            .filter(trouble(&module, &dir.join("gate"), "create:hang"))
            .filter(
                shelf.config(&origin, json!({})).build(dir.path())["servers"][0]["listeners"][0]["stream_filters"][0]
                    .clone(),
            )
    };
    let mut proxy = Proxy::start(&shelf.config(&origin, json!({})));
    let load = load(&proxy);
    proxy.write(&config("first"));
    let first = ask(&proxy, "/api/v1/config/reload");
    until("the module to be made", || dir.join("gate.hangs").exists().then_some(()));
    // The file and the module change while they are taken.
    let read = shelf.file();
    let before = std::fs::read(&read).unwrap();
    shelf.put("2", &[]);
    proxy.write(&config("second"));
    for path in ["/api/v1/config/rollback", "/api/v1/modules/stamp/reload"] {
        let busy = proxy.order(path);
        assert_eq!(refused(&busy), (409, json!("busy"), json!("busy")), "{path}: {}", busy.text());
    }
    let more: Vec<_> = (0..5).map(|_| ask(&proxy, "/api/v1/config/reload")).collect();
    assert_eq!(proxy.metric("sidegate_module_reload_total{result=\"busy\"}"), Some(1.0));
    load.more(10);
    assert_eq!(proxy.number(), 1);
    dir.write("gate", "");
    let first = first.join().unwrap();
    assert_eq!((first.status(), &first.json()["number"]), (200, &json!(2)), "{}", first.text());
    let digests: Vec<Value> = more
        .into_iter()
        .map(|asked| {
            let answer = asked.join().unwrap();
            assert_eq!((answer.status(), &answer.json()["number"]), (200, &json!(3)), "{}", answer.text());
            answer.json()["digest"].clone()
        })
        .collect();
    assert!(digests.iter().all(|digest| *digest == digests[0] && *digest != first.json()["digest"]));
    assert_eq!(proxy.exchange("GET / HTTP/1.1\r\nHost: more\r\n\r\n").text(), "second");
    assert_eq!(proxy.get("/").text(), "2");
    // What is in the file is what is taken, also where it was there before.
    std::fs::write(&read, before).unwrap();
    proxy.reload_file();
    assert_eq!(proxy.get("/").text(), "1");
    load.stop();
}
