//! Names that are defined in the file and referred to elsewhere in it.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::diagnostic::{Finding, kind};
use crate::nearest::hint;
use crate::reader::Cursor;

/// A set of defined names.
#[derive(Debug, Default)]
pub(super) struct Names {
    defined: BTreeSet<String>,
    /// Those that were asked for since they were last taken.
    asked: RefCell<Vec<String>>,
}

impl Names {
    pub fn insert(&mut self, name: &str) {
        self.defined.insert(name.to_owned());
    }

    /// Whether it is defined.
    pub fn has(&self, name: &str) -> bool {
        self.defined.contains(name)
    }

    /// Names that were checked since this was last called.
    pub fn take_asked(&self) -> Vec<String> {
        self.asked.take()
    }

    /// Reports `name` if it is not defined.
    pub fn check(&self, cursor: &Cursor<'_>, what: &str, name: &str) -> bool {
        self.asked.borrow_mut().push(name.to_owned());
        if self.has(name) {
            return true;
        }
        let defined = self.defined.iter().map(String::as_str);
        let mut finding = Finding::mismatch(kind::UNDEFINED, format!("the name of a {what}"), cursor.shown());
        // Looking for the nearest of many names, many times, would take long.
        let few = cursor.report().error_count() < 100;
        let hint = if few { hint(name, defined.clone()) } else { String::new() };
        finding.message = if self.defined.is_empty() {
            format!("{what} {name:?} is not defined; no {what} is")
        } else if hint.is_empty() && self.defined.len() <= 8 {
            format!("{what} {name:?} is not defined; defined are {}", defined.collect::<Vec<_>>().join(", "))
        } else {
            format!("{what} {name:?} is not defined{hint}")
        };
        cursor.error(finding);
        false
    }
}
