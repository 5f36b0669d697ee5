//! What is read of a module before any code of it runs.

use std::fs;

use sidegate_generic_filter::{Policy, inspect_with};

use crate::walk::folder;

/// Any bytes are described, or refused with a reason.
pub fn inspected(input: &[u8]) {
    let file = folder().join("input.so");
    fs::write(&file, input).unwrap();
    let found = inspect_with(&file, &Policy::default());
    let (text, json) = (found.to_string(), found.to_json().to_string());
    assert!(!text.is_empty() && !json.is_empty());
    // Terminals show it.
    assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
}
