//! Every refusal before a module's code runs, by kind and text.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use sidegate_api::StreamFilterBuilder;
use sidegate_generic_filter::{Policy, Preflight, Refusal, Rule, Verdict, inspect};

use crate::support::{compile, env, generic_filter, only, scratch, spec};

/// Expects one refusal of `file`, of this kind, with these words.
#[track_caller]
fn refused(file: &Path, kind: &str, words: &[&str]) {
    refused_under(file, &Policy::default(), kind, words);
}

#[track_caller]
fn refused_under(file: &Path, policy: &Policy, kind: &str, words: &[&str]) {
    let refusals = Preflight::open(file, None, policy).expect_err("expected a refusal");
    let texts: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
    assert_eq!(refusals.iter().map(Refusal::kind).collect::<Vec<_>>(), [kind], "{texts:?}");
    assert!(texts[0].starts_with(&format!("{}: expected ", file.display())), "{texts:?}");
    for word in words {
        assert!(texts[0].contains(word), "no `{word}` in {texts:?}");
    }
}

#[track_caller]
fn accepted(file: &Path) {
    if let Err(refusals) = Preflight::open(file, None, &Policy::default()) {
        panic!("{}", refusals[0]);
    }
}

/// A module, with symbols of libm, with its bytes changed.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let module = compile("record", &["-DCALL_MATH", "-lm"]);
    let mut bytes = fs::read(&module).unwrap();
    change(&mut bytes);
    fs::write(&module, bytes).unwrap();
    module
}

#[test]
fn a_good_module_passes_and_is_described() {
    let module = changed(|_| ());
    accepted(&module);
    let inspection = inspect(&module);
    assert!(inspection.is_ok());
    let record = inspection.module.as_ref().unwrap();
    assert_eq!((record.name.as_str(), record.version.as_str(), record.abi.as_str()), ("record", "1.2.3", "1.1"));
    assert_eq!(inspection.needed[0], "libm.so.6");
    assert_eq!(inspection.versions, ["GLIBC_2.2.5"]);
    assert_eq!(inspection.not_reloadable, [""; 0]);
    let text = inspection.to_string();
    let sum = Command::new("sha256sum").arg(&module).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    for word in ["verdict         ok", "1.2.3", "reloadable      yes", sum.split(' ').next().unwrap()] {
        assert!(text.contains(word), "no `{word}` in {text}");
    }
    assert_eq!(inspection.to_json()["verdict"]["verdict"], "ok");
    assert_eq!(inspection.to_json()["module"]["panic"], "none");
}

#[test]
fn names_cannot_steer_a_terminal() {
    let module = changed(|bytes| {
        let name = b"libm.so.6\0";
        let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
        bytes[at..at + 9].copy_from_slice(b"\x1b[31mlibm");
    });
    let inspection = inspect(&module);
    assert_eq!(inspection.needed[0], "\\x1b[31mlibm");
    let text = inspection.to_string();
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn a_manifest_is_read_without_running_code() {
    let text = r#"-DMANIFEST="{\"filters\": [{\"name\": \"record\", \"config\": {\"required\": [\"key\"]}}]}""#;
    let module = compile("record", &[text]);
    accepted(&module);
    let inspection = inspect(&module);
    assert_eq!(inspection.manifest.as_ref().unwrap().filters[0].name, "record");
    assert!(inspection.to_string().contains("filter          record"), "{inspection}");
    assert_eq!(inspection.to_json()["manifest"]["filters"][0]["config"]["required"][0], "key");
    assert!(inspection.to_markdown().unwrap().starts_with("# record 1.2.3"));
    assert!(inspect(&compile("record", &[])).to_json()["manifest"].is_null());
}

#[test]
fn manifests_that_lie() {
    const HEAD: &str = "'S','G','M','A','N','I','F','1'";
    let bytes = |rest: &str| format!("-DMANIFEST_BYTES={HEAD},{rest}");
    for (option, kind, words) in [
        ("-DMANIFEST=\"[]\"".to_owned(), "bad_manifest", "JSON object"),
        ("-DMANIFEST=\"\"".to_owned(), "bad_manifest", "JSON object"),
        ("-DMANIFEST=\"{\"".to_owned(), "bad_manifest", "JSON object"),
        ("-DMANIFEST_BYTES='S','G'".to_owned(), "bad_manifest", "at least 16 bytes, found 2"),
        ("-DMANIFEST_BYTES='S','G','M','A','N','I','F','2',0,0,0,0,0,0,0,0".to_owned(), "bad_manifest", "SGMANIF2"),
        (bytes("2,0,0,0,1,0,0,0,'{','}'"), "bad_manifest", "no flags, found 0x1"),
        (bytes("3,0,0,0,0,0,0,0,'{','}'"), "bad_manifest", "found one of 3 bytes"),
        (bytes("1,0,4,0,0,0,0,0,'{','}'"), "bad_manifest", "at most 262144"),
        (bytes("255,255,255,255,0,0,0,0,'{','}'"), "bad_manifest", "at most 262144"),
        ("-DMANIFEST_IS_WRITABLE".to_owned(), "bad_manifest", "writable segment"),
        ("-DMANIFEST_IN_BSS".to_owned(), "record_not_in_file", "sidegate_manifest_v1"),
        ("-DMANIFEST_IS_RELOCATED".to_owned(), "ambiguous", "relocations"),
        ("-DMANIFEST_IS_A_FUNCTION".to_owned(), "symbol_missing", "sidegate_manifest_v1"),
    ] {
        let module = compile("record", &[&option]);
        let refusals = Preflight::open(&module, None, &Policy::default()).expect_err(&option);
        assert_eq!(refusals[0].kind(), kind, "{option}: {refusals:?}");
        assert!(refusals[0].to_string().contains(words), "no {words:?} for {option} in {refusals:?}");
    }
}

#[test]
fn configurations_are_held_to_the_manifest() {
    let text = concat!(
        r#"-DMANIFEST="{\"filters\": [{\"name\": \"record\", \"config\": {\"properties\":"#,
        r#" {\"key\": {\"type\": \"string\"}}, \"required\": [\"key\"]}}]}""#
    );
    let module = compile("record", &[text]);
    let check = |filter: &str, config: serde_json::Value| {
        let mut spec = spec(&module, filter);
        spec.config = config;
        generic_filter().check(&spec, &env(1))
    };
    assert!(check("record", serde_json::json!({"key": "a"})).is_ok());
    assert!(check("", serde_json::json!({"key": "a"})).is_ok());
    let error = only(check("record", serde_json::json!({"key": 31_337})));
    assert_eq!((error.path.as_str(), error.kind), ("config.key", "config_schema"));
    assert!(error.message.contains("string") && !error.message.contains("31337"), "{}", error.message);
    let error = only(check("record", serde_json::Value::Null));
    assert_eq!(error.path, "config");
    let error = only(check("recrod", serde_json::json!({})));
    assert_eq!((error.path.as_str(), error.kind), ("so_config.filter", "filter_not_found"));
    assert!(error.message.contains("record"), "{}", error.message);
}

#[test]
fn no_such_file() {
    refused(&scratch("none.so"), "no_such_file", &["found nothing"]);
}

#[test]
fn directory() {
    refused(scratch("x").parent().unwrap(), "is_directory", &["a directory"]);
}

#[test]
fn fifo_is_refused_without_waiting_for_a_writer() {
    let fifo = scratch("fifo.so");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
    refused(&fifo, "not_regular_file", &["a FIFO"]);
    refused(Path::new("/dev/null"), "not_regular_file", &["a character device"]);
}

#[test]
fn world_writable() {
    let module = compile("record", &[]);
    fs::set_permissions(&module, fs::Permissions::from_mode(0o666)).unwrap();
    refused(&module, "world_writable", &["0666"]);
}

#[test]
fn foreign_owner() {
    let module = compile("record", &[]);
    if std::os::unix::fs::chown(&module, Some(12345), None).is_err() {
        // Only root can give files away; elsewhere any file of root's passes.
        return;
    }
    refused(&module, "bad_owner", &["found user 12345"]);
}

#[test]
fn too_large() {
    let policy = Policy { max_bytes: 1000, ..Policy::default() };
    refused_under(&compile("record", &[]), &policy, "too_large", &["at most 1000 bytes"]);
}

#[test]
fn not_elf() {
    let file = scratch("text.so");
    fs::write(&file, "#!/bin/sh\n").unwrap();
    refused(&file, "not_elf", &["ELF shared library", "#!/b"]);
    fs::write(&file, "").unwrap();
    refused(&file, "not_elf", &["an empty file"]);
}

#[test]
fn wrong_class_machine_and_type() {
    refused(&changed(|b| b[4] = 1), "wrong_class", &["64-bit", "32-bit"]);
    refused(&changed(|b| b[5] = 2), "wrong_class", &["big-endian"]);
    refused(&changed(|b| b[18..20].copy_from_slice(&8_u16.to_le_bytes())), "wrong_machine", &["machine number 8"]);
    refused(&changed(|b| b[16] = 1), "wrong_type", &["relocatable object"]);
    refused(&changed(|b| b[16] = 2), "wrong_type", &["an executable"]);
}

#[test]
fn truncated_at_any_place() {
    let full = fs::read(compile("record", &[])).unwrap();
    for len in [10, 63, 64, 200, 3000, full.len() / 2, full.len() - 1] {
        let file = changed(|b| b.truncate(len));
        refused(&file, "truncated", &["the file is truncated", &format!("found {len}")]);
    }
}

#[test]
fn symbols_missing() {
    let module = compile("record", &["-DLEAVE_OUT_RECORD"]);
    refused(&module, "symbol_missing", &["`sidegate_module_v1`", "no such symbol"]);
    let module = compile("record", &["-DLEAVE_OUT_CREATE"]);
    refused(&module, "symbol_missing", &["`sidegate_create_filter_factory_v1`", "no such symbol"]);
    let module = compile("record", &["-DCREATE_IS_DATA"]);
    refused(&module, "symbol_missing", &["exported function", "another type"]);
}

#[test]
fn any_other_library_lacks_both_symbols() {
    let library = scratch("libother.so");
    let made = Command::new("cc").args(["-shared", "-x", "c", "/dev/null", "-o"]).arg(&library).status().unwrap();
    assert!(made.success());
    let refusals = Preflight::open(&library, None, &Policy::default()).unwrap_err();
    assert_eq!(refusals.iter().map(Refusal::kind).collect::<Vec<_>>(), ["symbol_missing", "symbol_missing"]);
}

#[test]
fn record_outside_the_file() {
    refused(&compile("record", &["-DRECORD_IN_BSS"]), "record_not_in_file", &["initialized data"]);
}

#[test]
fn record_too_small() {
    refused(&compile("record", &["-DRECORD_IS_TINY"]), "record_too_small", &["at least 280 bytes, found 4"]);
    refused(&compile("record", &["-DRECORD_IS_SHORT"]), "record_too_small", &["at least 280 bytes, found 40"]);
    refused(&compile("record", &["-DRECORD_SIZE=279"]), "record_too_small", &["found 279"]);
    accepted(&compile("record", &["-DRECORD_SIZE=280"]));
}

#[test]
fn record_of_something_else() {
    let module = compile("record", &["-DMAGIC='S','I','D','E','G','A','T','3'"]);
    refused(&module, "bad_magic", &["SIDEGATE", "SIDEGAT3"]);
}

#[test]
fn abi_versions() {
    refused(&compile("record", &["-DMAJOR=2"]), "abi_major_too_new", &["ABI major 1, found 2"]);
    refused(&compile("record", &["-DMAJOR=0"]), "abi_major_unknown", &["ABI major 1, found 0"]);
    refused(&compile("record", &["-DMIN_HOST_MINOR=2"]), "host_minor_too_old", &["1.1 or older", "at least 1.2"]);
    accepted(&compile("record", &["-DMIN_HOST_MINOR=1"]));
}

#[test]
fn flags_of_a_record_that_nobody_knows() {
    refused(&compile("record", &["-DFLAGS=0x10"]), "record_flags", &["expected no flags", "found 0x10"]);
}

#[test]
fn panic_abort_needs_permission() {
    let module = compile("record", &["-DPANIC=2"]);
    refused(&module, "panic_abort", &["panic=abort"]);
    let policy = Policy { panic_abort: Rule::Permit, ..Policy::default() };
    assert!(Preflight::open(&module, None, &policy).is_ok());
}

#[test]
fn record_texts() {
    refused(&compile("record", &["-DNAME=\"\\xff\""]), "bad_record_text", &["`name`"]);
    refused(&compile("record", &["-DNAME=\"a\\033[31m\""]), "bad_record_text", &["`name`"]);
}

#[test]
fn undefined_symbols_are_all_named() {
    let module = compile("record", &["-DCALL_NOBODY"]);
    refused(&module, "undefined_symbols", &["nobody_defines_this", "nobody_defines_that"]);
}

#[test]
fn undefined_version_of_a_known_symbol() {
    // Only the text is changed: hashes of versions matter to the loader alone.
    let renamed = |version: &'static [u8; 12]| {
        changed(|bytes| {
            let at = bytes.windows(12).position(|w| w == b"GLIBC_2.2.5\0").unwrap();
            bytes[at..at + 12].copy_from_slice(version);
        })
    };
    refused(&renamed(b"GLIBC_2.1.9\0"), "undefined_symbols", &["tgamma@GLIBC_2.1.9"]);
    refused(&renamed(b"GLIBC_9.2.5\0"), "glibc_too_old", &["needs glibc 9.2.5"]);
}

#[test]
fn system_libraries_are_allowed_and_their_symbols_found() {
    let module = compile("record", &["-DCALL_MATH", "-lm", "-Wl,--no-as-needed", "-lpthread", "-ldl"]);
    accepted(&module);
    assert!(inspect(&module).needed.iter().any(|n| n == "libm.so.6"));
}

#[test]
fn foreign_libraries_need_permission() {
    let other = scratch("libother.so");
    let options = ["-shared", "-x", "c", "/dev/null", "-Wl,-soname,libother.so", "-o"];
    assert!(Command::new("cc").args(options).arg(&other).status().unwrap().success());
    let folder = other.parent().unwrap().display().to_string();
    let link = ["-Wl,--no-as-needed", &format!("-L{folder}"), "-lother"];
    let module = compile("record", &link);
    refused(&module, "foreign_needed", &["libc, libm, libgcc and libstdc++", "libother.so"]);
    let policy = Policy { foreign_libraries: Rule::Permit, ..Policy::default() };
    assert!(Preflight::open(&module, None, &policy).is_ok());
}

#[test]
fn run_paths_need_permission() {
    for option in ["-Wl,-rpath,/opt/x,--disable-new-dtags", "-Wl,-rpath,/opt/x,--enable-new-dtags"] {
        let module = compile("record", &[option]);
        refused(&module, "runpath", &["no RPATH or RUNPATH", "/opt/x"]);
        let policy = Policy { run_path: Rule::Permit, ..Policy::default() };
        assert!(Preflight::open(&module, None, &policy).is_ok());
    }
}

#[test]
fn pinned_digest() {
    let module = compile("record", &[]);
    let digest = Preflight::open(&module, None, &Policy::default()).unwrap().sha256;
    assert!(Preflight::open(&module, Some(digest), &Policy::default()).is_ok());
    let mut spec = spec(&module, "");
    spec.module.as_mut().unwrap().sha256 = Some([0xab; 32]);
    let error = only(generic_filter().check(&spec, &env(1)));
    assert_eq!((error.kind, error.path.as_str()), ("hash_mismatch", "so_config.sha256"));
    assert!(error.message.contains(&"ab".repeat(32)), "{error}");
}

#[test]
fn what_keeps_a_module_from_unloading_is_told() {
    let module = compile("record", &["-DSTATIC_TLS", "-Wl,-z,nodelete"]);
    accepted(&module);
    let inspection = inspect(&module);
    let text = inspection.to_string();
    assert!(text.contains("DF_STATIC_TLS") && text.contains("DF_1_NODELETE"), "{text}");
    assert!(!text.contains("reloadable      yes"));
}

#[test]
fn several_reasons_are_reported_at_once() {
    let module = compile("record", &["-DPANIC=2", "-DMIN_HOST_MINOR=7", "-Wl,-rpath,/opt/x"]);
    let inspection = inspect(&module);
    let Verdict::Refused { reasons } = &inspection.verdict else { panic!() };
    let kinds: Vec<_> = reasons.iter().map(|r| r.kind).collect();
    assert_eq!(kinds, ["host_minor_too_old", "panic_abort", "runpath"]);
    let text = inspection.to_string();
    assert!(text.contains("verdict         refused") && text.contains("record"), "{text}");
    assert_eq!(inspection.to_json()["verdict"]["reasons"][1]["kind"], "panic_abort");
}

#[test]
fn no_code_of_the_file_runs_before_it_is_loaded() {
    let flag = scratch("flag");
    let module = compile("record", &[&format!("-DINIT_FLAG_FILE=\"{}\"", flag.display())]);
    accepted(&module);
    assert!(inspect(&module).is_ok());
    generic_filter().check(&spec(&module, ""), &env(1)).unwrap();
    assert!(!flag.exists());
    generic_filter().build(&spec(&module, ""), &env(1)).unwrap();
    assert!(flag.exists(), "the flag tells when code ran");
}
