//! What differs in a module.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use sidegate_api::Fingerprint;

use crate::Config;

/// A part of a module that differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModulePart {
    /// The path of its file.
    File,
    /// What is in the file.
    Content,
}

/// A module that filters come from.
pub(super) struct Module {
    pub name: Arc<str>,
    file: PathBuf,
    content: Fingerprint,
}

/// All modules of a configuration, by name.
pub(super) fn modules(config: &Config) -> Vec<Module> {
    let filters = config.listeners.iter().flat_map(|listener| &listener.chain);
    let of_modules = filters.filter_map(|filter| Some((filter.spec.module.as_ref()?, filter.fingerprint)));
    let mut modules = BTreeMap::new();
    for (spec, content) in of_modules {
        modules.entry(spec.name.as_str()).or_insert_with(|| Module {
            name: spec.name.as_str().into(),
            file: spec.so_path.clone(),
            content,
        });
    }
    modules.into_values().collect()
}

pub(super) fn parts(running: &Module, wanted: &Module) -> Vec<ModulePart> {
    let differing =
        [(running.file != wanted.file, ModulePart::File), (running.content != wanted.content, ModulePart::Content)];
    differing.into_iter().filter_map(|(differs, part)| differs.then_some(part)).collect()
}
