//! What a process takes at its start and keeps.

use crate::diagnostic::kind;
use crate::{Config, Diagnostic};

/// What cannot become of a process that runs `running`, each with where
/// `wanted` says it. Nothing stands in the way of a reload otherwise.
pub fn needs_restart(running: &Config, wanted: &Config) -> Vec<Diagnostic> {
    let places = &wanted.places;
    let mut found = Vec::new();
    if running.built_for != wanted.built_for {
        let (now, then) = (running.built_for, wanted.built_for);
        found.push(Diagnostic {
            expected: Some(now.to_string()),
            found: Some(then.to_string()),
            ..said(&places.workers, format!("the number of workers: {now} run, {then} are wanted"))
        });
    }
    found
}

fn said(place: &Diagnostic, what: String) -> Diagnostic {
    let message = format!("changes with a restart alone: {what}");
    Diagnostic { kind: kind::NEEDS_RESTART, message, ..place.clone() }
}
