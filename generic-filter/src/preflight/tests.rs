//! Files that are almost modules.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use sidegate_abi::SYMBOL_CREATE;

use super::{Facts, check_bytes};
use crate::elf::{Elf, Relocations, SymbolTable};
use crate::policy::Policy;
use crate::refusal::Reason;

/// A module compiled from C, once for all tests.
fn module() -> &'static [u8] {
    static MODULE: OnceLock<Vec<u8>> = OnceLock::new();
    MODULE.get_or_init(compile)
}

fn compile() -> Vec<u8> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = std::env::temp_dir().join(format!("sidegate-preflight-{}.so", std::process::id()));
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-s", "-DCALL_MATH", "-I"])
        .arg(repository.join("ffi-api/include"))
        .arg(repository.join("tests/modules/record.c"))
        .args(["-lm", "-o"])
        .arg(&output)
        .status();
    assert!(done.unwrap().success());
    let bytes = std::fs::read(&output).unwrap();
    std::fs::remove_file(&output).unwrap();
    bytes
}

fn check(bytes: &[u8]) -> (Facts, Vec<Reason>) {
    let (mut facts, mut problems) = (Facts::default(), Vec::new());
    if let Err(reason) = check_bytes(bytes, &Policy::default(), &mut facts, &mut problems) {
        problems.push(reason);
    }
    (facts, problems)
}

/// xorshift: the same files on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

#[test]
fn mutated_files_are_judged_without_panic() {
    let good = module();
    assert_eq!(check(good).1, []);
    // Where the loader's tables are, mutations hit something.
    let tables = 0..0x700.min(good.len());
    let dynamic = good.len().saturating_sub(0x1800)..good.len();
    let mut random = Random(0x5eed_1234_5678_9abc);
    let mut refused = 0_u32;
    for round in 0..20_000 {
        let mut bytes = good.to_vec();
        for _ in 0..=random.below(4) {
            let range = match random.below(4) {
                0 => 0..bytes.len(),
                1 => dynamic.clone(),
                2 => 0..64,
                _ => tables.clone(),
            };
            let at = range.start + random.below(range.len());
            bytes[at] = match random.below(4) {
                0 => 0,
                1 => 0xff,
                2 => bytes[at] ^ 1 << random.below(8),
                _ => random.below(256) as u8,
            };
        }
        if round % 10 == 0 {
            bytes.truncate(random.below(bytes.len()));
        }
        refused += u32::from(!check(&bytes).1.is_empty());
    }
    assert!(refused > 5_000, "the mutations hit too little: {refused}");
}

#[test]
fn every_length_of_a_cut_file_is_refused() {
    let good = module();
    for len in (0..good.len()).step_by(7) {
        assert!(!check(&good[..len]).1.is_empty(), "{len}");
    }
}

#[test]
fn huge_numbers_in_every_header_field_are_survived() {
    let good = module();
    for at in 0..0x400 {
        for len in [2, 4, 8] {
            for value in [0xff, 0x7f, 0x80] {
                let mut bytes = good.to_vec();
                bytes[at..at + len].fill(value);
                check(&bytes);
            }
        }
    }
}

/// A host looks the function up and calls what it finds.
#[test]
fn a_factory_that_is_no_code_of_the_file_is_refused() {
    let good = module();
    let elf = Elf::parse(good).unwrap();
    let table = SymbolTable::read(&elf, &Relocations::of(&elf).unwrap()).unwrap();
    let index = table.symbols.iter().position(|symbol| symbol.name == SYMBOL_CREATE.as_bytes()).unwrap() + 1;
    // What is first in the file lies where its offsets say.
    let at = usize::try_from(elf.dynamic.symtab).unwrap() + index * 24;
    let data = elf.dynamic.symtab;
    let changed = |offset: usize, with: &[u8]| {
        let mut bytes = good.to_vec();
        bytes[at + offset..][..with.len()].copy_from_slice(with);
        check(&bytes).1
    };
    let (info, other, section, value) = (4, 5, 6, 8);
    for (offset, with, found) in [
        (value, data.to_le_bytes().as_slice(), "it outside the file's code"),
        (value, &0_u64.to_le_bytes(), "it outside the file's code"),
        (value, &(1_u64 << 47).to_le_bytes(), "it outside the file's code"),
        (value, &u64::MAX.to_le_bytes(), "it outside the file's code"),
        (section, &0xfff1_u16.to_le_bytes(), "a number that is no address of the file"),
        (section, &0xfff2_u16.to_le_bytes(), "a number that is no address of the file"),
        (info, &[0x1a], "a symbol of another type"),
        (info, &[0x11], "a symbol of another type"),
        (info, &[0x02], "it hidden"),
        (other, &[2], "it hidden"),
    ] {
        let expected = Reason::SymbolMissing { symbol: SYMBOL_CREATE, expected: "function", found };
        assert_eq!(changed(offset, with), [expected], "{with:x?} at {offset}");
    }
}
