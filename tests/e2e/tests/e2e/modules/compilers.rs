//! The table of behaviour over what `tests/abi/compilers.sh` built.

use std::path::{Path, PathBuf};

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy};

use super::conformance::Built;
use super::entry;

/// The auth examples, which ask for a header.
fn guards(file: &Path) {
    let origin = Origin::echo();
    let mut filter = entry(file, "", &json!({}));
    filter["config"] = json!({"User": "admin"});
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
    let get = |fields: &str| proxy.get_with("/", fields).status();
    assert_eq!((get(""), get("User: admin\r\n"), get("User: x\r\n")), (403, 200, 403), "{}", file.display());
}

/// The headers examples in C.
fn edits(file: &Path) {
    let origin = Origin::echo();
    let mut filter = entry(file, "", &json!({}));
    filter["config"] = json!({"request": {"set": {"x-team": "edge"}}, "response": {"remove": ["content-type"]}});
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
    let got = proxy.get_with("/", "X-Team: core\r\n");
    assert_eq!((got.status(), got.header("content-type")), (200, None), "{}", file.display());
    assert_eq!(origin.last().head.get("x-team"), Some("edge"), "{}", file.display());
}

#[test]
#[ignore = "needs many compilers: make test-compilers"]
fn modules_of_every_compiler_behave_the_same() {
    let folder = std::env::var_os("SIDEGATE_COMPILED").map(PathBuf::from).expect("run this by `make test-compilers`");
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let dir = entry.unwrap().path();
        let how = dir.file_name().unwrap().to_str().unwrap().to_owned();
        println!("{how}");
        let file = |name: &str| Some(dir.join(name)).filter(|file| file.exists());
        match file("libconform.so") {
            Some(conform) => Built::one(&how, conform).behaves(),
            None => Built::four(&how, dir.clone()).behaves(),
        }
        ["libauth.so", "libauth_c.so", "libauth_cpp.so"].into_iter().filter_map(file).for_each(|file| guards(&file));
        file("libheaders_c.so").iter().for_each(|file| edits(file));
        seen.push(how);
    }
    seen.sort_unstable();
    for wanted in [
        "clang",
        "clang++",
        "g++",
        "gcc",
        "hpp-clang++",
        "hpp-g++",
        "tables-debian",
        "tables-debian-web",
        "tables-pinned",
        "sdk-pinned",
    ] {
        assert!(seen.iter().any(|how| how == wanted), "{wanted} was not built: {seen:?}");
    }
}
