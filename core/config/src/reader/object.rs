//! Objects: keys without case, and no key left unread without a word.

use super::Cursor;
use crate::diagnostic::{Finding, kind};
use crate::document::{Key, Node, NodeValue};
use crate::nearest::nearest;
use crate::schema::{Absent, Object, Shape, Standing};

/// Hands out an object's values by key and notes which were asked for.
pub(crate) struct ObjectReader<'a> {
    cursor: Cursor<'a>,
    table: &'static Object,
    entries: &'a [(Key, Node)],
    read: Vec<bool>,
    /// Required keys that are not there, and what they should hold.
    missing: Vec<(&'static str, &'static str)>,
}

impl<'a> ObjectReader<'a> {
    pub(super) fn new(cursor: Cursor<'a>, entries: &'a [(Key, Node)], table: &'static Object) -> ObjectReader<'a> {
        ObjectReader { read: vec![false; entries.len()], cursor, table, entries, missing: Vec::new() }
    }

    pub fn cursor(&self) -> &Cursor<'a> {
        &self.cursor
    }

    /// The value of `name`, if there and not `null` (which in Go leaves the
    /// default). `name` is a key of the table that is read.
    pub fn get(&mut self, name: &'static str) -> Option<Cursor<'a>> {
        let key = self.table.key(name);
        debug_assert!(
            key.is_some_and(|key| key.name == name && key.standing.is_read()),
            "the table of {:?} has no such key to read: {name:?}",
            self.table.name
        );
        #[cfg(test)]
        self.cursor.report.note_read(self.table.name, name);
        let shape = key.map_or(&Shape::Anything, |key| &key.shape);
        self.take(name, shape).filter(|value| value.node.value != NodeValue::Null)
    }

    /// A string and where it stands; an empty one is an absent one, as in MOSN.
    pub fn text(&mut self, name: &'static str) -> Option<(Cursor<'a>, &'a str)> {
        let cursor = self.get(name)?;
        let text = cursor.string().filter(|text| !text.is_empty())?;
        Some((cursor, text))
    }

    /// Whether there is a value for `name`; it still counts as unread.
    pub fn has(&self, name: &str) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|(key, node)| key.text.eq_ignore_ascii_case(name) && node.value != NodeValue::Null)
    }

    /// The value of `name`, which the table requires: without it
    /// [`finish`](Self::finish) reports an error.
    pub fn required(&mut self, name: &'static str) -> Option<Cursor<'a>> {
        let value = self.get(name);
        let absent = self.table.key(name).map(|key| key.absent);
        debug_assert!(matches!(absent, Some(Absent::Error(_))), "{name:?} is not required in the table");
        if let (None, Some(Absent::Error(expected))) = (&value, absent) {
            self.missing(name, expected);
        }
        value
    }

    /// Makes [`finish`](Self::finish) report that `name` is not there, although
    /// here it must be.
    pub fn missing(&mut self, name: &'static str, expected: &'static str) {
        self.missing.push((name, expected));
    }

    /// Reports keys that nobody reads: those of the table by their standing,
    /// all others as unknown.
    pub fn finish(mut self) {
        for key in self.table.keys() {
            if key.standing.is_read() {
                continue;
            }
            let Some(value) = self.take(key.name, &Shape::Anything) else { continue };
            match key.standing {
                Standing::Warned if !value.node.value.was_left_out() => {
                    value.inert(format!("known MOSN key that does nothing here: {}", key.doc))
                }
                Standing::Refused if !value.node.value.was_left_out() => value.unsupported(format!(
                    "not available yet: {}; expected no such key, found {}",
                    key.doc,
                    value.shown()
                )),
                _ => {}
            }
        }
        let misspelt = self.report_unknown();
        for (name, expected) in &self.missing {
            // One slip is one error.
            if misspelt.contains(name) {
                continue;
            }
            let finding = Finding {
                kind: kind::MISSING_KEY,
                message: format!("required key is missing; expected {expected}"),
                expected: Some((*expected).to_owned()),
                found: Some("nothing".to_owned()),
            };
            self.cursor.report.error(Some(self.cursor.node.position), &self.path_of(name), finding);
        }
    }

    /// Reports keys that the table does not have; gives the names that were
    /// probably meant.
    fn report_unknown(&self) -> Vec<&'static str> {
        let mut misspelt = Vec::new();
        for (key, node) in self.entries.iter().filter(|(key, _)| self.table.key(&key.text).is_none()) {
            if node.value == NodeValue::Null {
                // As good as absent, and perhaps a slip.
                let finding = Finding::said(kind::INERT, "unknown key without a value");
                self.cursor.report.warning(Some(key.position), &self.path_of(&key.text), finding);
                continue;
            }
            if let Some(inner) =
                self.table.keys().find(|inner| inner.shape.objects().any(|o| o.key(&key.text).is_some()))
            {
                let message = format!("unknown key here; it belongs one level deeper, into {:?}", inner.name);
                let (expected, found) = (Some(format!("it in {:?}", inner.name)), Some(format!("key {:?}", key.text)));
                let finding = Finding { kind: kind::UNKNOWN_KEY, message, expected, found };
                self.cursor.report.error(Some(key.position), &self.path_of(&key.text), finding);
                continue;
            }
            let guess = nearest(&key.text, self.table.keys().map(|key| key.name));
            let (message, expected) = match guess {
                Some(name) => {
                    misspelt.push(name);
                    (format!("unknown key; did you mean {name:?}?"), format!("key {name:?}"))
                }
                None => {
                    let known = self.table.keys().filter(|key| key.standing.is_read()).map(|key| key.name);
                    let names = known.collect::<Vec<_>>().join(", ");
                    (format!("unknown key; known here are {names}"), format!("one of {names}"))
                }
            };
            let found = Some(format!("key {:?}", key.text));
            let finding = Finding { kind: kind::UNKNOWN_KEY, message, expected: Some(expected), found };
            self.cursor.report.error(Some(key.position), &self.path_of(&key.text), finding);
        }
        misspelt
    }

    fn path_of(&self, name: &str) -> String {
        crate::document::join(&self.cursor.path, name)
    }

    fn take(&mut self, name: &str, shape: &'static Shape) -> Option<Cursor<'a>> {
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
        Some(self.cursor.child(node, self.path_of(&key.text), shape))
    }
}
