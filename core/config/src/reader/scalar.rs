//! Single values and arrays.

use std::time::Duration;

use super::{Cursor, ObjectReader};
use crate::diagnostic::kind;
use crate::document::NodeValue;
use crate::duration::parse_duration;

impl<'a> Cursor<'a> {
    pub fn string(&self) -> Option<&'a str> {
        match &self.node.value {
            NodeValue::String(text) => Some(text),
            _ => self.wrong_type("a string"),
        }
    }

    /// A string with something in it.
    pub fn name(&self) -> Option<&'a str> {
        let text = self.string()?;
        if text.is_empty() {
            self.mismatch(kind::BAD_VALUE, "a string that is not empty");
            return None;
        }
        Some(text)
    }

    pub fn bool(&self) -> Option<bool> {
        match self.node.value {
            NodeValue::Bool(value) => Some(value),
            _ => self.wrong_type("true or false"),
        }
    }

    /// An integer from `low` to `high`, both included.
    pub fn integer(&self, low: u64, high: u64) -> Option<u64> {
        let expected = || match (low, high) {
            (0, u64::MAX) => "an integer that is not negative".to_owned(),
            (low, u64::MAX) => format!("an integer from {low} up"),
            (low, high) => format!("an integer from {low} to {high}"),
        };
        let NodeValue::Number(text) = &self.node.value else { return self.wrong_type(&expected()) };
        match text.parse::<u64>() {
            Ok(value) if (low..=high).contains(&value) => Some(value),
            _ => {
                self.mismatch(kind::BAD_VALUE, expected());
                None
            }
        }
    }

    pub fn size(&self, low: u64) -> Option<usize> {
        self.integer(low, MAX_SIZE).and_then(|n| usize::try_from(n).ok())
    }

    pub fn duration(&self) -> Option<Duration> {
        let NodeValue::String(text) = &self.node.value else {
            return self.wrong_type("a duration string such as \"30s\"");
        };
        parse_duration(text).map_err(|problem| self.refuse(&problem)).ok()
    }

    /// A duration where zero means that there is no bound.
    pub fn bound(&self) -> Option<Option<Duration>> {
        self.duration().map(|duration| Some(duration).filter(|d| !d.is_zero()))
    }

    /// A string that `parse` accepts.
    pub fn parsed<T, E: std::fmt::Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        parse(self.string()?).map_err(|problem| self.refuse(&problem)).ok()
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.string()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            let expected = match words.split_last() {
                Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
                _ => words.concat(),
            };
            self.mismatch(kind::BAD_VALUE, expected);
        }
        found
    }

    pub fn array(&self) -> Option<Vec<Cursor<'a>>> {
        let NodeValue::Array(elements) = &self.node.value else { return self.wrong_type("an array") };
        let elements = elements.iter().enumerate();
        Some(elements.map(|(index, node)| self.child(node, format!("{}[{index}]", self.path))).collect())
    }

    pub fn object(&self) -> Option<ObjectReader<'a>> {
        match &self.node.value {
            NodeValue::Object(entries) => Some(ObjectReader::new(self.clone(), entries)),
            _ => self.wrong_type("an object"),
        }
    }

    /// The value as JSON, if it is an object.
    pub fn json_object(&self) -> Option<serde_json::Value> {
        match &self.node.value {
            NodeValue::Object(_) => Some(self.node.to_json()),
            _ => self.wrong_type("an object"),
        }
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        self.mismatch(kind::WRONG_TYPE, expected);
        None
    }
}

/// Sizes are bounded so that sums of them cannot overflow.
const MAX_SIZE: u64 = 1 << 40;
