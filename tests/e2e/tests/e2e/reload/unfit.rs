//! A new version of a module that is not fit leaves the old one serving.

use std::fs;
use std::path::Path;

use serde_json::json;
use sidegate_harness::{Proxy, Signal, TempDir, artifact, until};

use super::shelf::{Shelf, load, mapped, origin, reload_module};
use crate::modules::Module;

/// Puts something that is no good into the place of a module.
type Spoil<'a> = Box<dyn Fn(&Path) + 'a>;

fn compiled<'a>(source: &'a str, option: &'a str) -> Spoil<'a> {
    Box::new(move |place| copy(&Module::compile_with(source, &[option]).file, place))
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
}

fn count(proxy: &Proxy, what: &str, result: &str) -> f64 {
    proxy.metric(&format!("sidegate_{what}_reload_total{{result=\"{result}\"}}")).unwrap_or_default()
}

#[test]
fn each_kind_of_an_unfit_version_is_refused_with_its_reason() {
    let (shelf, origin) = (Shelf::new(), origin());
    let good = fs::read(shelf.file()).unwrap();
    let elsewhere = TempDir::new();
    let (stamp, record) = ("tests/e2e/modules/stamp.c", "tests/modules/record.c");
    let spoils: Vec<(&str, Spoil<'_>)> = vec![
        ("factory_refused", compiled(stamp, "-DREFUSE")),
        ("factory_panicked", Box::new(|place| copy(&artifact("libpanicky.so"), place))),
        ("abi_major_too_new", compiled(record, "-DMAJOR=9")),
        ("host_minor_too_old", compiled(record, "-DMIN_HOST_MINOR=999")),
        ("symbol_missing", compiled(record, "-DLEAVE_OUT_RECORD")),
        ("truncated", Box::new(|place| fs::write(place, &good[..good.len() / 2]).unwrap())),
        ("truncated", Box::new(|place| fs::write(place, &good[..good.len() - 1]).unwrap())),
        ("not_elf", Box::new(|place| fs::write(place, "").unwrap())),
        ("not_elf", Box::new(|place| fs::write(place, "no module").unwrap())),
        ("is_directory", Box::new(|place| fs::create_dir(place).unwrap())),
        ("not_regular_file", Box::new(|place| rustix::fs::mkfifoat(rustix::fs::CWD, place, 0o600.into()).unwrap())),
        ("no_such_file", Box::new(|place| std::os::unix::fs::symlink(elsewhere.join("nothing"), place).unwrap())),
        ("unreadable", Box::new(|place| std::os::unix::fs::symlink(place, place).unwrap())),
    ];
    let mut config = shelf.config(&origin, json!({})).build(elsewhere.path());
    config["servers"][0]["listeners"][0]["stream_filters"][0]["config"] = json!({"panic": true});
    let file = elsewhere.write("config.json", config.to_string());
    let proxy = Proxy::run(TempDir::new(), &file, &Default::default());
    let load = load(&proxy);
    for (kind, spoil) in spoils {
        remove(&shelf.file());
        spoil(&shelf.file());
        let (of_module, of_file) = (count(&proxy, "module", "rejected"), count(&proxy, "config", "rejected"));
        for path in ["/api/v1/modules/stamp/reload", "/api/v1/config/reload"] {
            let answer = proxy.order(path);
            let body = answer.json();
            assert_eq!((answer.status(), &body["refused"]), (422, &json!("configuration")), "{kind} {path}: {body:#}");
            assert_eq!(body["errors"][0]["kind"], kind, "{path}: {body:#}");
            let said = body["errors"][0]["message"].as_str().unwrap().to_owned();
            until(&format!("{said:?} in the log"), || proxy.logs().contains(&said).then_some(()));
        }
        assert_eq!(count(&proxy, "module", "rejected"), of_module + 1.0, "{kind}");
        assert_eq!(count(&proxy, "config", "rejected"), of_file + 1.0, "{kind}");
        // A signal is refused as well, and only metrics and log can say so.
        proxy.signal(Signal::HUP);
        until("the signal's refusal", || (count(&proxy, "config", "rejected") == of_file + 2.0).then_some(()));
        assert_eq!((proxy.get("/").text().as_str(), proxy.number()), ("1", 1), "{kind}");
        until("the old one alone", || (mapped(&proxy) == [(1, "current".to_owned())]).then_some(()));
        load.more(5);
    }
    remove(&shelf.file());
    shelf.put("2", &[]);
    reload_module(&proxy, "");
    assert_eq!(proxy.get("/").text(), "2");
    load.stop();
}

fn remove(place: &Path) {
    match fs::symlink_metadata(place) {
        Ok(found) if found.is_dir() => fs::remove_dir(place).unwrap(),
        Ok(_) => fs::remove_file(place).unwrap(),
        Err(_) => {}
    }
}

/// Copies half a file into the place, without a rename, while reloads are asked
/// for: each answer is a whole library's, or a refusal.
#[test]
fn a_file_that_is_written_in_place_is_whole_or_refused() {
    let (shelf, origin) = (Shelf::new(), origin());
    let proxy = Proxy::start(&shelf.config(&origin, json!({})));
    let load = load(&proxy);
    let versions: Vec<_> = (2..5)
        .map(|stamp: u32| {
            let option = format!("-DSTAMP=\"{stamp}\"");
            fs::read(Module::compile_with("tests/e2e/modules/stamp.c", &[&option]).file).unwrap()
        })
        .collect();
    for version in &versions {
        for part in [0, 1, 64, version.len() / 3, version.len() / 2, version.len() - 1] {
            fs::write(shelf.file(), &version[..part]).unwrap();
            assert_eq!(proxy.order("/api/v1/modules/stamp/reload").status(), 422, "{part} bytes");
        }
        fs::write(shelf.file(), version).unwrap();
        reload_module(&proxy, "");
    }
    assert_eq!(proxy.get("/").text(), "4");
    load.stop();
}
