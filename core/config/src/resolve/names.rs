//! Names that are defined in the file and referred to elsewhere in it.

use std::collections::BTreeSet;

use crate::diagnostic::{Finding, kind};
use crate::nearest::hint;
use crate::reader::Cursor;

/// A set of defined names.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    pub fn insert(&mut self, name: &str) {
        self.0.insert(name.to_owned());
    }

    /// Reports `name` if it is not defined.
    pub fn check(&self, cursor: &Cursor<'_>, what: &str, name: &str) -> bool {
        if self.0.contains(name) {
            return true;
        }
        let defined = self.0.iter().map(String::as_str);
        let mut finding = Finding::mismatch(kind::UNDEFINED, format!("the name of a {what}"), cursor.shown());
        // Looking for the nearest of many names, many times, would take long.
        let few = cursor.report().error_count() < 100;
        let hint = if few { hint(name, defined.clone()) } else { String::new() };
        finding.message = if self.0.is_empty() {
            format!("{what} {name:?} is not defined; no {what} is")
        } else if hint.is_empty() && self.0.len() <= 8 {
            format!("{what} {name:?} is not defined; defined are {}", defined.collect::<Vec<_>>().join(", "))
        } else {
            format!("{what} {name:?} is not defined{hint}")
        };
        cursor.error(finding);
        false
    }
}
