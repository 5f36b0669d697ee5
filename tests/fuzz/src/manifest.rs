//! What a module says of itself, and configurations that are held to it.

use serde_json::Value;
use sidegate_generic_filter::Manifest;

/// The text of a manifest and, after a NUL, of a configuration: it is read or
/// refused, and whatever is said of either is text that no terminal obeys.
pub fn read(input: &[u8]) {
    let (text, config) = match input.iter().position(|&byte| byte == 0) {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &b"{}"[..]),
    };
    let manifest = match Manifest::parse(text) {
        Ok(manifest) => manifest,
        Err(why) => return shown(&why),
    };
    let page = manifest.to_markdown("module", "1.0.0");
    shown(&page);
    // What is shown for tools is read as the same.
    let json = serde_json::to_vec(&manifest).unwrap();
    assert_eq!(Manifest::parse(&json).unwrap().to_markdown("module", "1.0.0"), page);
    let config: Value = serde_json::from_slice(config).unwrap_or_default();
    for filter in &manifest.filters {
        filter.problems(&config, &config).iter().for_each(|problem| shown(problem));
    }
}

fn shown(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}
