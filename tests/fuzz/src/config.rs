//! The configuration, from text to what the layers own.

use std::path::{Path, PathBuf};

use sidegate_api::{Metrics, Registry};
use sidegate_config::{ConfigFile, LoadEnv, LoadMode};

/// Text is understood, or refused with words that name a place in it. The first
/// byte says in which format it is.
pub fn resolved(input: &[u8]) {
    let Some((format, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let name = if format % 2 == 0 { "fuzz.json" } else { "fuzz.yaml" };
    let path = PathBuf::from("/nowhere").join(name);
    let understood = ConfigFile::parse(&path, text).and_then(|file| {
        file.known_modules(Path::new("/nowhere"));
        file.module_policy(Path::new("/nowhere"));
        file.resolve(&registry(), &env(), LoadMode::NoLoad, None).map(|_| ())
    });
    if let Err(errors) = understood {
        let said = errors.to_string();
        assert!(said.contains(name), "{said:?} names no file");
    }
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    sidegate_filters::register(&mut registry);
    registry
}

fn env() -> LoadEnv {
    LoadEnv { metrics: Metrics::new(1), workers: 1, working_dir: PathBuf::from("/nowhere"), key_log: None }
}
