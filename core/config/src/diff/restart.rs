//! What a process takes at its start and keeps.

use crate::diagnostic::kind;
use crate::{Config, Diagnostic};

/// What cannot become of a process that runs `running`, each with where
/// `wanted` says it. Nothing in front of a reload otherwise.
pub fn needs_restart(running: &Config, wanted: &Config) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if running.built_for != wanted.built_for {
        let (now, then) = (running.built_for, wanted.built_for);
        found.push(Diagnostic {
            kind: kind::NEEDS_RESTART,
            message: format!("the number of workers changes with a restart alone: {now} run, {then} are wanted"),
            expected: Some(now.to_string()),
            found: Some(then.to_string()),
            ..wanted.places.workers.clone()
        });
    }
    found
}
