//! Every kept input, and small changes of each.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

use sidegate_fuzz::TARGETS;

/// Changed inputs for each kept one.
const CHANGES: usize = 64;

#[test]
fn kept_inputs_and_small_changes_of_them_hold() {
    for (name, target) in TARGETS {
        let inputs = corpus(name);
        assert!(!inputs.is_empty(), "corpus/{name} is empty");
        target(b"");
        for (number, input) in inputs.iter().enumerate() {
            target(input);
            let mut numbers = Numbers(number as u64);
            for _ in 0..CHANGES {
                target(&changed(input, &mut numbers));
            }
        }
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// `input` with up to four bytes replaced, inserted or removed.
fn changed(input: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut input = input.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(input.len() + 1);
        let byte = numbers.below(256) as u8;
        match numbers.below(3) {
            0 => input.insert(at, byte),
            1 if at < input.len() => input[at] = byte,
            _ if at < input.len() => drop(input.remove(at)),
            _ => input.push(byte),
        }
    }
    input
}

/// The same numbers in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }
}
