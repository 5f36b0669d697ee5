//! `run --watch`.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;

use serde_json::json;
use sidegate_harness::{Proxy, ProxyOptions, TempDir, until};

use super::{said, saying};

fn watching() -> ProxyOptions {
    ProxyOptions { arguments: vec!["--watch".to_owned()], ..ProxyOptions::default() }
}

#[track_caller]
fn await_said(proxy: &Proxy, word: &str) {
    until(&format!("{word} to be said"), || (said(proxy.address()) == word).then_some(()));
}

#[test]
fn a_file_that_is_renamed_over_is_taken() {
    let proxy = Proxy::start_with(&saying("0"), &watching());
    for round in 1..4 {
        proxy.write(&saying(&round.to_string()));
        await_said(&proxy, &round.to_string());
    }
    assert_eq!(proxy.admin_get("/api/v1/config").json()["origin"], "watch");
}

#[test]
fn what_is_written_in_place_is_taken_when_it_is_closed() {
    let mut proxy = Proxy::start_with(&saying("0"), &watching());
    let text = saying("1").build(proxy.dir().path()).to_string();
    let mut file = File::create(proxy.config_file()).unwrap();
    let (first, second) = text.as_bytes().split_at(text.len() / 2);
    file.write_all(first).unwrap();
    file.flush().unwrap();
    assert_eq!(said(proxy.address()), "0");
    file.write_all(second).unwrap();
    drop(file);
    await_said(&proxy, "1");
    // Workers serve it before it is known by its number.
    proxy.await_number(2);
    assert_eq!(proxy.number(), 2, "half a file was never taken");
    assert_eq!(proxy.metric("sidegate_config_reload_total{result=\"rejected\"}"), Some(0.0));
}

#[test]
fn a_config_map_is_followed() {
    let dir = TempDir::new();
    let mount = dir.join("mount");
    fs::create_dir(&mount).unwrap();
    let publish = |round: usize| {
        let version = format!("..version_{round}");
        fs::create_dir(mount.join(&version)).unwrap();
        let text = saying(&round.to_string()).build(dir.path()).to_string();
        fs::write(mount.join(&version).join("config.json"), text).unwrap();
        symlink(&version, mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        if round > 0 {
            fs::remove_dir_all(mount.join(format!("..version_{}", round - 1))).unwrap();
        }
    };
    publish(0);
    let file = mount.join("config.json");
    symlink("..data/config.json", &file).unwrap();
    let proxy = Proxy::run(TempDir::new(), &file, &watching());
    for round in 1..4 {
        publish(round);
        await_said(&proxy, &round.to_string());
    }
}

#[test]
fn a_file_that_goes_and_comes_back_is_waited_for() {
    let proxy = Proxy::start_with(&saying("0"), &watching());
    fs::remove_file(proxy.config_file()).unwrap();
    until("the refusal", || {
        (proxy.metric("sidegate_config_reload_total{result=\"rejected\"}") == Some(1.0)).then_some(())
    });
    assert_eq!(said(proxy.address()), "0");
    proxy.write(&saying("1"));
    await_said(&proxy, "1");
    // One that is refused, and mended.
    proxy.write_text("{");
    until("the refusal", || {
        (proxy.metric("sidegate_config_reload_total{result=\"rejected\"}") == Some(2.0)).then_some(())
    });
    proxy.write(&saying("2"));
    await_said(&proxy, "2");
}

#[test]
fn directories_that_the_file_names_are_followed() {
    let dir = TempDir::new();
    let hosts = dir.join("hosts");
    fs::create_dir(&hosts).unwrap();
    let host = |word: &str| {
        json!({"name": "all", "domains": ["*"], "routers": [
            {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": word}}]})
    };
    let put = |word: &str| {
        fs::write(hosts.join("all.partial"), host(word).to_string()).unwrap();
        fs::rename(hosts.join("all.partial"), hosts.join("all.json")).unwrap();
    };
    put("0");
    let mut config = saying("x").build(dir.path());
    let router = config["servers"][0]["routers"][0].as_object_mut().unwrap();
    router.remove("virtual_hosts");
    router.insert("router_configs".to_owned(), json!("hosts"));
    let file = dir.write("config.json", config.to_string());
    let proxy = Proxy::run(TempDir::new(), &file, &watching());
    assert_eq!(said(proxy.address()), "0");
    for round in 1..4 {
        put(&round.to_string());
        await_said(&proxy, &round.to_string());
    }
}

#[test]
fn without_it_nothing_is_taken_by_itself() {
    let proxy = Proxy::start(&saying("0"));
    proxy.write(&saying("1"));
    // By the time of an answer to something else, nothing has happened.
    assert_eq!(proxy.order("/api/v1/config/diff").status(), 200);
    assert_eq!((said(proxy.address()), proxy.number()), ("0".to_owned(), 1));
}
