//! The record that modules carry.

use std::mem::{offset_of, size_of};
use std::process::Command;

use sidegate_abi::{ModuleRecord, ABI_MAJOR, ABI_MINOR, PANIC_UNWIND, RECORD_MAGIC};

use crate::run;

/// The texts of a record.
pub struct Record {
    pub name: String,
    pub version: String,
    pub sdk: String,
    pub compiler: String,
    pub panic: u16,
}

/// Finds the record in a module's bytes.
pub fn find(file: &[u8]) -> Record {
    let fits = |start: &usize| {
        let size = (size_of::<ModuleRecord>() as u32).to_le_bytes();
        file[*start..].starts_with(&RECORD_MAGIC) && file[*start + RECORD_MAGIC.len()..].starts_with(&size)
    };
    let start = (0..file.len() - size_of::<ModuleRecord>()).find(fits).expect("no record");
    let record = &file[start..][..size_of::<ModuleRecord>()];
    let short = |offset: usize| u16::from_le_bytes([record[offset], record[offset + 1]]);
    let text = |offset: usize, len: usize| {
        String::from_utf8(record[offset..][..len].iter().copied().take_while(|byte| *byte != 0).collect()).unwrap()
    };
    assert_eq!(short(offset_of!(ModuleRecord, abi_major)), ABI_MAJOR);
    assert_eq!(short(offset_of!(ModuleRecord, abi_minor)), ABI_MINOR);
    Record {
        name: text(offset_of!(ModuleRecord, name), 64),
        version: text(offset_of!(ModuleRecord, version), 32),
        sdk: text(offset_of!(ModuleRecord, sdk), 32),
        compiler: text(offset_of!(ModuleRecord, compiler), 64),
        panic: short(offset_of!(ModuleRecord, panic)),
    }
}

#[test]
fn the_example_module_carries_its_record() {
    let built = run(Command::new(env!("CARGO"))
        .args(["build", "--offline", "--package", "auth", "--message-format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR")));
    let file = built
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "auth")
        .find_map(|message| message["filenames"][0].as_str().map(str::to_owned))
        .expect("cargo names the file it built");
    assert!(file.ends_with("libauth.so"), "{file}");
    let record = find(&std::fs::read(file).unwrap());
    assert_eq!((record.name.as_str(), record.version.as_str()), ("auth", "1.0.0"));
    assert_eq!(record.sdk, "sidegate-sdk");
    assert!(record.compiler.starts_with("rustc"), "{}", record.compiler);
    assert_eq!(record.panic, PANIC_UNWIND);
}
