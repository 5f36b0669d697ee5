#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sidegate_fuzz::manifest::read(input));
