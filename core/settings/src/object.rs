//! Objects: known keys only, each once, and none missing.

use serde_json::{Map, Value};
use sidegate_api::nearest::nearest;

use super::table::{Absent, Choice, Shape, Table};
use super::value::{Report, Setting, shown};

/// An object whose keys were checked against its table.
pub struct Object<'a> {
    entries: &'a Map<String, Value>,
    path: String,
    table: &'static Table,
    report: &'a Report,
}

impl<'a> Object<'a> {
    /// Reports keys that are unknown, refused, missing or there twice.
    pub(super) fn open(
        value: &'a Value,
        path: String,
        table: &'static Table,
        report: &'a Report,
    ) -> Option<Object<'a>> {
        let Some(entries) = value.as_object() else {
            report.error(path, format!("expected an object, found {}", shown(value)));
            return None;
        };
        let object = Object { entries, path, table, report };
        let misspelt = object.unknown();
        object.refused();
        for key in table.keys {
            if let Absent::Error(expected) = key.absent
                && object.get(key.name).is_none()
                && !misspelt.contains(&key.name)
            {
                object.error(key.name, format!("required key is missing; expected {expected}"));
            }
        }
        let there: Vec<&str> = table.alternatives.iter().copied().filter(|&name| object.get(name).is_some()).collect();
        let expected = || format!("expected one of {}", table.alternatives.join(", "));
        match there[..] {
            [] if table.choice == Choice::Required && !table.alternatives.iter().any(|key| misspelt.contains(key)) => {
                object.error("", format!("{}, found none", expected()));
            }
            [_, second, ..] => object.error(second, format!("{}, found {}", expected(), there.join(" and "))),
            _ => {}
        }
        Some(object)
    }

    /// The value of `name`, a key of the table, if there and not `null`.
    pub fn get(&self, name: &'static str) -> Option<Setting<'a>> {
        let key = self.table.key(name);
        debug_assert!(key.is_some_and(|key| key.name == name), "the table has no key {name:?}");
        let key = key?;
        let is_it = |written: &str| self.table.key(written).is_some_and(|other| other.name == key.name);
        let (written, value) = self.entries.iter().find(|(written, _)| is_it(written))?;
        let path = join(&self.path, written);
        (!value.is_null()).then(|| Setting::new(value, path, &key.shape, self.report))
    }

    /// Reports an error at the key `name`, or at the object for an empty name.
    pub fn error(&self, name: &str, message: String) {
        self.report.error(join(&self.path, name), message);
    }

    /// Reports keys that the table does not have, and those that mean the same;
    /// gives the names that were probably meant.
    fn unknown(&self) -> Vec<&'static str> {
        let mut misspelt = Vec::new();
        let mut seen: Vec<(&'static str, &str)> = Vec::new();
        // `null` is an absent value.
        for (written, _) in self.entries.iter().filter(|(_, value)| !value.is_null()) {
            if let Some(key) = self.table.key(written) {
                match seen.iter().find(|(name, _)| *name == key.name) {
                    Some((_, first)) => self.error(written, format!("key stands twice, the first is {first:?}")),
                    None => seen.push((key.name, written)),
                }
                continue;
            }
            let known = || self.table.keys.iter().filter(|key| !matches!(key.shape, Shape::Refused));
            let message = match nearest(written, known().map(|key| key.name)) {
                Some(name) => {
                    misspelt.push(name);
                    format!("unknown key; did you mean {name:?}?")
                }
                None if self.table.keys.is_empty() => "unknown key; this object has none".to_owned(),
                None => {
                    let names = known().map(|key| key.name).collect::<Vec<_>>().join(", ");
                    format!("unknown key; known here are {names}")
                }
            };
            self.error(written, message);
        }
        misspelt
    }

    fn refused(&self) {
        for key in self.table.keys.iter().filter(|key| matches!(key.shape, Shape::Refused)) {
            if let Some(setting) = self.get(key.name) {
                setting.error(format!("not available: {}", key.doc));
            }
        }
    }
}

/// `path.name`, or the one that is not empty.
pub(super) fn join(path: &str, name: &str) -> String {
    match (path, name) {
        ("", name) => name.to_owned(),
        (path, "") => path.to_owned(),
        (path, name) => format!("{path}.{name}"),
    }
}
