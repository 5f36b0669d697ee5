//! Type layouts that a module carries.

use std::path::Path;
use std::process::Command;

use sidegate_generic_filter::inspect;

use crate::support::{build, compile, only};

#[test]
fn layouts_of_another_description_are_not_compared() {
    let module = compile("layout", &["-DABI_STABLE=\"0.0.1\""]);
    let inspection = inspect(&module);
    assert_eq!(inspection.optional_symbols, ["sidegate_layout_v1"]);
    assert_eq!(inspection.module.unwrap().abi_stable_version, "0.0.1");
    build(&module, "").unwrap();
}

#[test]
fn layouts_that_are_none_are_refused_unless_the_digest_is_known() {
    let version = format!("-DABI_STABLE=\"{}\"", sidegate_abi::ABI_STABLE_VERSION);
    let refused = only(build(&compile("layout", &[&version, "-DDIGEST=7"]), ""));
    assert_eq!(refused.kind, "layout_mismatch");
    assert!(refused.message.ends_with("found others: it returned NULL"), "{}", refused.message);
    let known: Vec<String> = sidegate_abi::LAYOUT_DIGEST.iter().map(u8::to_string).collect();
    build(&compile("layout", &[&version, &format!("-DDIGEST={}", known.join(","))]), "").unwrap();
}

#[test]
#[ignore = "builds abi_stable once more"]
fn a_module_of_the_sdk_carries_the_same_layouts() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("layouts");
    let done = Command::new(env!("CARGO"))
        .args(["build", "--offline", "-p", "auth", "--features", "sidegate-sdk/abi_stable", "--target-dir"])
        .arg(&target)
        .current_dir(repository)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let module = target.join("debug/libauth.so");
    let inspection = inspect(&module);
    assert!(inspection.optional_symbols.contains(&"sidegate_layout_v1"), "{inspection}");
    let record = inspection.module.unwrap();
    assert_eq!(record.abi_stable_version, sidegate_abi::ABI_STABLE_VERSION);
    // Were its digest another one, a difference would refuse it.
    let mut bytes = std::fs::read(&module).unwrap();
    let at = bytes.windows(32).position(|window| window == sidegate_abi::LAYOUT_DIGEST).unwrap();
    bytes[at] ^= 1;
    let changed = crate::support::scratch("libauth.so");
    std::fs::write(&changed, bytes).unwrap();
    build(&changed, "").unwrap();
}
