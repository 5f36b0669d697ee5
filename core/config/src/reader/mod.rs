//! Reading typed values out of a document: every mistake is reported and
//! reading goes on.

mod object;
mod scalar;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

pub(crate) use object::ObjectReader;

use crate::diagnostic::{Diagnostic, Finding, Report, kind};
use crate::document::{Node, NodeValue};
use crate::schema::Shape;

/// A value and the path that led to it.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    node: &'a Node,
    path: String,
    report: &'a Report,
    /// What its table says of it.
    shape: &'static Shape,
}

impl<'a> Cursor<'a> {
    pub fn root(node: &'a Node, report: &'a Report, shape: &'static Shape) -> Cursor<'a> {
        Cursor { node, path: String::new(), report, shape }
    }

    pub fn node(&self) -> &'a Node {
        self.node
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn report(&self) -> &'a Report {
        self.report
    }

    /// `config.json:3:7 (servers[0].name)`
    pub fn place(&self) -> String {
        format!("{} ({})", self.report.name_place(self.node.position), self.path)
    }

    /// The same for a diagnostic that is made later.
    pub fn diagnostic(&self) -> Diagnostic {
        self.report.place(Some(self.node.position), &self.path, Finding::default())
    }

    pub fn error(&self, finding: Finding) {
        self.report.error(Some(self.node.position), &self.path, finding);
    }

    pub fn warning(&self, finding: Finding) {
        self.report.warning(Some(self.node.position), &self.path, finding);
    }

    /// `expected …, found` this value.
    pub fn mismatch(&self, kind: &'static str, expected: impl Into<String>) {
        self.error(Finding::mismatch(kind, expected, self.shown()));
    }

    /// Passes on what a parser said, and adds the value where it did not.
    pub fn refuse(&self, problem: &dyn fmt::Display) {
        let said = problem.to_string();
        let found = self.shown();
        let message = match &said {
            said if said.contains(", found ") => said.clone(),
            said if said.ends_with('?') => format!("{said} (found {found})"),
            said => format!("{said}, found {found}"),
        };
        let expected =
            said.strip_prefix("expected ").map(|rest| rest.split(", found ").next().unwrap_or(rest).to_owned());
        self.error(Finding { kind: kind::BAD_VALUE, message, expected, found: Some(found) });
    }

    /// Whether the budget for regular expressions has room for this one; if
    /// not, that is reported.
    pub fn can_afford(&self, pattern: &str) -> bool {
        let paid = self.report.regexes().pay(pattern).map_err(|problem| self.refuse(&problem));
        paid.is_ok()
    }

    /// MOSN has it, we do not, and going on without it would be wrong.
    pub fn unsupported(&self, message: impl Into<String>) {
        let found = Some(self.shown());
        self.error(Finding { kind: kind::UNSUPPORTED, message: message.into(), expected: None, found });
    }

    /// It does nothing here.
    pub fn inert(&self, message: impl Into<String>) {
        self.warning(Finding::said(kind::INERT, message));
    }

    /// The value for messages; of secrets only the kind.
    pub fn shown(&self) -> String {
        let key = self.path.rsplit('.').next().unwrap_or_default();
        let key = key.split('[').next().unwrap_or_default();
        match &self.node.value {
            NodeValue::String(_) if crate::dump::is_secret(key) => "a string that is not shown".to_owned(),
            NodeValue::Number(_) if crate::dump::is_secret(key) => "a number that is not shown".to_owned(),
            value => value.to_string(),
        }
    }

    /// Whether it is what Go takes for an absent value.
    pub fn says_nothing(&self) -> bool {
        self.node.value.says_nothing()
    }

    /// Whether it is an object, and what Go writes where nothing was given.
    pub fn is_empty_section(&self) -> bool {
        matches!(self.node.value, NodeValue::Object(_)) && self.node.value.was_left_out()
    }

    fn child(&self, node: &'a Node, path: String, shape: &'static Shape) -> Cursor<'a> {
        Cursor { node, path, report: self.report, shape }
    }
}

/// Finds values that must be given once only.
#[derive(Default)]
pub(crate) struct Unique {
    seen: HashMap<String, String>,
}

impl Unique {
    /// Reports `key` at `cursor` if it was given before, naming both places.
    pub fn check(&mut self, cursor: &Cursor<'_>, what: &str, key: impl Into<String>) -> bool {
        let key = key.into();
        if let Some(first) = self.seen.get(&key) {
            let message = format!("{what} {key:?} is given twice; the first is at {first}");
            let found = Some(cursor.shown());
            cursor.error(Finding { kind: kind::DUPLICATE, message, expected: None, found });
            return false;
        }
        self.seen.insert(key, cursor.place());
        true
    }
}
