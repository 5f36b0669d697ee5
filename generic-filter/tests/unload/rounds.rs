//! Hundreds of generations, each with all that a module can leave on threads.

use std::path::PathBuf;

use crate::kit::{Holds, Served, WORKERS, alone, compile_cpp, compile_rust};
use crate::support::compile;

/// So many generations of a module come and go, and leave nothing.
fn rounds(make: impl FnOnce() -> PathBuf, rounds: u64) {
    let _alone = alone();
    let file = &make();
    // What other tests have kept mapped on purpose.
    let kept = Holds::now().modules;
    let served = Served::new();
    // The first ones fill what is kept for all: symbols, allocators, the bytes
    // that there is a way back to.
    for _ in 0..4 {
        served.live(file);
        served.until_gone();
    }
    let before = Holds::settled();
    assert_eq!(before.modules, kept, "{before:?}");
    for round in 0..rounds {
        assert_eq!(served.live(file), round + 5);
        served.until_gone();
    }
    before.again();
    let all = rounds + 4;
    let of = |name: &str| served.counted(name);
    // Two workers; thread-local objects also on the module's own thread.
    assert_eq!(of("left_values"), all * WORKERS as u64);
    assert_eq!(of("left_objects"), all * (WORKERS as u64 + 1));
    assert_eq!(of("left_threads"), all);
    // And module-control.
    assert_eq!(of("left_detached"), all * (WORKERS as u64 + 1));
    assert_eq!(of("sidegate_module_generations_unmapped_total"), all);
    assert_eq!(of("sidegate_module_generations_kept_total"), 0);
    assert_eq!(of("sidegate_module_generations"), 0, "no generation in any state");
}

#[test]
fn three_hundred_generations_in_c_leave_nothing() {
    rounds(|| compile("leaves", &["-lpthread"]), 300);
}

#[test]
fn generations_in_cpp_leave_nothing() {
    rounds(|| compile_cpp(&["-fno-gnu-unique"]), 20);
}

#[test]
fn generations_in_rust_leave_nothing() {
    rounds(compile_rust, 20);
}

/// What `tests/abi/compilers.sh` built, by every compiler.
#[test]
#[ignore = "needs many compilers: make test-compilers"]
fn generations_of_every_compiler_leave_nothing() {
    let folder = std::env::var_os("SIDEGATE_COMPILED").expect("run this by `make test-compilers`");
    let mut built = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path().join("libleaves.so");
        if file.exists() {
            println!("{}", file.display());
            rounds(|| file, 20);
            built += 1;
        }
    }
    assert!(built >= 7, "{built}");
}
