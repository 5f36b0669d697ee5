//! What prevents unloading, and what does not.

use std::path::Path;
use std::process::Command;

use sidegate_api::{GenerationState, StreamFilterBuilder};
use sidegate_generic_filter::{What, inspect};

use crate::kit::{Holds, Served, alone, compile_cpp, until};
use crate::support::{compile, only, scratch, spec};

#[test]
fn a_file_that_asks_never_to_be_unloaded_is_unloaded() {
    let _alone = alone();
    let file = compile("leaves", &["-lpthread", "-Wl,-z,nodelete"]);
    let inspection = inspect(&file);
    assert!(inspection.no_delete_cleared && inspection.not_reloadable.is_empty(), "{inspection}");
    let before = Holds::now().modules;
    let served = Served::new();
    served.live(&file);
    served.until_gone();
    assert_eq!(Holds::now().modules, before);
    let shown = served.reload(&file, What::Fresh).unwrap().module().unwrap().sha256;
    let sum = Command::new("sha256sum").arg(&file).output().unwrap().stdout;
    assert_eq!(Some(shown.as_str()), String::from_utf8(sum).unwrap().split(' ').next(), "the digest is the file's");
    served.until_gone();
}

#[test]
fn one_that_stays_is_kept_whole_and_says_why() {
    let _alone = alone();
    // An inline variable of a template, which is unique by default.
    let source = scratch("unique.cpp");
    let leaves = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("tests/modules/leaves.c");
    let unique = "template <class T> struct holder { static inline T value{}; };\n\
                  extern \"C\" int *unique() { return &holder<int>::value; }\n";
    std::fs::write(&source, format!("#include \"{}\"\n{unique}", leaves.display())).unwrap();
    let file = source.with_file_name("libunique.so");
    let include = leaves.ancestors().nth(3).unwrap().join("ffi-api/include");
    let mut gpp = Command::new("g++");
    gpp.args(["-std=c++17", "-shared", "-fPIC", "-fgnu-unique", "-o"]).arg(&file).arg(&source).arg("-I").arg(include);
    assert!(gpp.arg("-lpthread").status().unwrap().success());
    let inspection = inspect(&file);
    assert!(inspection.not_reloadable.iter().any(|why| why.contains("STB_GNU_UNIQUE")), "{inspection}");

    let (before, served) = (Holds::now(), Served::new());
    served.live(&file);
    let is_kept = || served.states() == [(1, GenerationState::Kept)];
    until(is_kept, || format!("{:?}", served.generations()));
    let why = served.generations()[0].reason.clone().unwrap();
    assert!(why.contains("STB_GNU_UNIQUE"), "{why}");
    assert_eq!(served.counted("sidegate_module_generations_kept_total"), 1);
    // What it left on threads was taken back all the same.
    assert_eq!((served.counted("left_values"), served.counted("left_threads")), (2, 1));
    let holds = Holds::settled();
    assert!(holds.modules > before.modules);
    // The next one finds its unique symbols in the first, and goes.
    served.live(&file);
    let is_gone = || served.states()[1..] == [(2, GenerationState::Unmapped)];
    until(is_gone, || format!("{:?}", served.generations()));
    holds.again();
}

#[test]
fn a_module_in_cpp_without_the_option_is_told_apart() {
    let _alone = alone();
    let inspection = inspect(&compile_cpp(&["-fno-gnu-unique"]));
    assert!(inspection.not_reloadable.is_empty(), "{inspection}");
}

/// No Go compiler is needed: what tells a Go runtime is a note of the linker's.
#[test]
fn a_go_runtime_is_loaded_once_and_never_leaves() {
    let _alone = alone();
    let note = scratch("note.s");
    let text = ".section .note.go.buildid,\"a\",@note\n.long 3,4,4\n.asciz \"Go\"\n.balign 4\n.long 0\n\
                .section .note.GNU-stack,\"\",@progbits\n";
    std::fs::write(&note, text).unwrap();
    let file = compile("leaves", &["-lpthread", "-Wl,-z,nodelete", note.to_str().unwrap()]);
    let inspection = inspect(&file);
    assert!(inspection.is_ok() && !inspection.no_delete_cleared, "{inspection}");
    assert!(inspection.not_reloadable[0].contains("Go runtime"), "{inspection}");

    let served = Served::new();
    let first = served.reload(&file, What::Fresh).unwrap();
    let lasting = served.builder.lasting();
    assert_eq!((lasting.len(), lasting[0].module.as_str(), &lasting[0].file), (1, "libleaves", &file));
    assert!(lasting[0].why[0].contains("Go runtime"), "{lasting:?}");
    served.attach(&first);
    // The same one again is no second one.
    let shared = served.builder.build(&spec(&file, ""), &served.next_env()).unwrap();
    assert_eq!(shared.module().unwrap().generation, 1);
    drop(shared);
    let refusal = only(served.reload(&file, What::Fresh));
    assert_eq!(refusal.kind, "go_runtime");
    assert!(refusal.message.contains("`libleaves` has brought it already"), "{}", refusal.message);
    let other = file.with_file_name("other.so");
    std::fs::copy(&file, &other).unwrap();
    assert_eq!(only(served.builder.build(&spec(&other, ""), &served.next_env())).kind, "go_runtime");
    served.detach(&first);
    drop(first);
    let is_kept = || served.states() == [(1, GenerationState::Kept)];
    until(is_kept, || format!("{:?}", served.generations()));
}
