//! Objects: keys without case, and no key left unread without a word.

use super::Cursor;
use crate::diagnostic::{Finding, kind};
use crate::document::{Key, Node, NodeValue};
use crate::nearest::nearest;

/// Hands out an object's values by key and notes which were asked for.
pub(crate) struct ObjectReader<'a> {
    cursor: Cursor<'a>,
    entries: &'a [(Key, Node)],
    read: Vec<bool>,
    known: Vec<&'static str>,
    /// Required keys that are not there, and what they should hold.
    missing: Vec<(&'static str, String)>,
}

/// A key that MOSN knows and nobody here reads.
pub(crate) struct InertKey {
    name: &'static str,
    judgement: Judgement,
    why: &'static str,
}

enum Judgement {
    /// Going on without it changes nothing that anybody relies on.
    Warn,
    /// Going on without it would send traffic elsewhere, in clear text, or
    /// unguarded.
    Refuse,
}

/// A key that is warned about.
pub(crate) const fn warned(name: &'static str, why: &'static str) -> InertKey {
    InertKey { name, judgement: Judgement::Warn, why }
}

/// A key that is an error unless its value says nothing (`null`, `false`, 0,
/// empty).
pub(crate) const fn refused(name: &'static str, why: &'static str) -> InertKey {
    InertKey { name, judgement: Judgement::Refuse, why }
}

impl<'a> ObjectReader<'a> {
    pub(super) fn new(cursor: Cursor<'a>, entries: &'a [(Key, Node)]) -> ObjectReader<'a> {
        ObjectReader { read: vec![false; entries.len()], cursor, entries, known: Vec::new(), missing: Vec::new() }
    }

    pub fn cursor(&self) -> &Cursor<'a> {
        &self.cursor
    }

    /// The value of `name`, if there and not `null` (which in Go leaves the
    /// default).
    pub fn get(&mut self, name: &'static str) -> Option<Cursor<'a>> {
        if !self.known.contains(&name) {
            self.known.push(name);
        }
        self.take(name).filter(|value| value.node.value != NodeValue::Null)
    }

    /// Passes over keys that are known and of no interest; whether any is
    /// there.
    pub fn pass_over(&mut self, names: &[&'static str]) -> bool {
        names.iter().filter(|name| self.get(name).is_some()).count() > 0
    }

    /// Whether there is a value for `name`; it still counts as unread.
    pub fn has(&self, name: &str) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|(key, node)| key.text.eq_ignore_ascii_case(name) && node.value != NodeValue::Null)
    }

    /// The value of `name`, and an error (by [`finish`](Self::finish)) if it is
    /// not there.
    pub fn required(&mut self, name: &'static str, expected: &str) -> Option<Cursor<'a>> {
        let value = self.get(name);
        if value.is_none() {
            self.missing.push((name, expected.to_owned()));
        }
        value
    }

    /// Entries of an object whose keys are names the user chose.
    pub fn entries(mut self) -> Vec<(&'a str, Cursor<'a>)> {
        self.read.fill(true);
        let entries = self.entries.iter();
        entries.map(|(key, node)| (key.text.as_str(), self.cursor.child(node, self.path_of(&key.text)))).collect()
    }

    /// Reports what nobody asked for: `inert` keys by their judgement, all
    /// others as unknown.
    pub fn finish(mut self, inert: &[InertKey]) {
        for InertKey { name, judgement, why } in inert {
            let Some(value) = self.take(name) else { continue };
            match judgement {
                Judgement::Warn if value.node.value == NodeValue::Null => {}
                Judgement::Warn => value.inert(format!("known MOSN key that does nothing here: {why}")),
                Judgement::Refuse if value.says_nothing() => {}
                Judgement::Refuse => value
                    .unsupported(format!("not available yet: {why}; expected no such key, found {}", value.shown())),
            }
        }
        let mut misspelt = Vec::new();
        let known = || self.known.iter().copied();
        for ((key, _), read) in self.entries.iter().zip(&self.read) {
            if *read {
                continue;
            }
            let guess = nearest(&key.text, known().chain(inert.iter().map(|key| key.name)));
            let (message, expected) = match guess {
                Some(name) => {
                    misspelt.push(name);
                    (format!("unknown key; did you mean {name:?}?"), format!("key {name:?}"))
                }
                None => {
                    let names = known().collect::<Vec<_>>().join(", ");
                    (format!("unknown key; known here are {names}"), format!("one of {names}"))
                }
            };
            let found = Some(format!("key {:?}", key.text));
            let finding = Finding { kind: kind::UNKNOWN_KEY, message, expected: Some(expected), found };
            self.cursor.report.error(Some(key.position), &self.path_of(&key.text), finding);
        }
        for (name, expected) in &self.missing {
            // One slip is one error.
            if misspelt.contains(name) {
                continue;
            }
            let finding = Finding {
                kind: kind::MISSING_KEY,
                message: format!("required key is missing; expected {expected}"),
                expected: Some(expected.clone()),
                found: Some("nothing".to_owned()),
            };
            self.cursor.report.error(Some(self.cursor.node.position), &self.path_of(name), finding);
        }
    }

    fn path_of(&self, name: &str) -> String {
        crate::document::join(&self.cursor.path, name)
    }

    fn take(&mut self, name: &str) -> Option<Cursor<'a>> {
        let mut first: Option<(&Key, &'a Node)> = None;
        for ((key, node), read) in self.entries.iter().zip(&mut self.read) {
            if !key.text.eq_ignore_ascii_case(name) {
                continue;
            }
            *read = true;
            match first {
                None => first = Some((key, node)),
                // Keys that are exactly alike are reported once for the whole
                // document.
                Some((other, _)) if other.text != key.text => {
                    let place = self.cursor.report.name_place(other.position);
                    let message = format!(
                        "key stands twice, {:?} and {:?} are the same; the first is at {place}",
                        other.text, key.text
                    );
                    let finding = Finding::said(kind::DUPLICATE_KEY, message);
                    let path = crate::document::join(&self.cursor.path, &key.text);
                    self.cursor.report.error(Some(key.position), &path, finding);
                }
                Some(_) => {}
            }
        }
        let (key, node) = first?;
        Some(self.cursor.child(node, self.path_of(&key.text)))
    }
}
