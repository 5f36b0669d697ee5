//! Single values and arrays.

use std::time::Duration;

use super::{Cursor, ObjectReader};
use crate::diagnostic::{Finding, kind};
use crate::document::{Key, Node, NodeValue};
use crate::duration::parse_duration;
use crate::schema::{Object, Shape};

impl<'a> Cursor<'a> {
    pub fn string(&self) -> Option<&'a str> {
        self.shaped(Shape::is_string);
        match &self.node.value {
            NodeValue::String(text) if text == crate::dump::REDACTED => self.redacted(),
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
        self.shaped(|shape| shape.any(|one| matches!(one, Shape::Bool | Shape::Only(_))));
        match self.node.value {
            NodeValue::Bool(value) => Some(value),
            _ => self.wrong_type("true or false"),
        }
    }

    /// An integer within the bounds of its table.
    pub fn integer(&self) -> Option<u64> {
        self.shaped(|shape| shape.bounds().is_some());
        let (low, high) = self.shape.bounds().unwrap_or((0, u64::MAX));
        let expected = || match (low, high) {
            (0, u64::MAX) => "an integer that is not negative".to_owned(),
            (low, u64::MAX) => format!("an integer from {low} up"),
            (low, high) => format!("an integer from {low} to {high}"),
        };
        let text = match &self.node.value {
            NodeValue::Number(text) => text,
            NodeValue::String(text) if text.parse::<u64>().is_ok() => {
                return self.wrong_type(&format!("{} (without quotes)", expected()));
            }
            _ => return self.wrong_type(&expected()),
        };
        match text.parse::<u64>() {
            Ok(value) if (low..=high).contains(&value) => Some(value),
            _ => {
                self.mismatch(kind::BAD_VALUE, expected());
                None
            }
        }
    }

    /// A number that is not negative.
    pub fn decimal(&self) -> Option<f64> {
        self.shaped(|shape| shape.any(|one| matches!(one, Shape::Decimal)));
        let NodeValue::Number(text) = &self.node.value else { return self.wrong_type("a number that is not negative") };
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() && value >= 0.0 => Some(value),
            _ => {
                self.mismatch(kind::BAD_VALUE, "a number that is not negative");
                None
            }
        }
    }

    /// Whether it is a number, where a string would fit too.
    pub fn is_number(&self) -> bool {
        matches!(self.node.value, NodeValue::Number(_))
    }

    /// An integer as a number of things in memory.
    pub fn size(&self) -> Option<usize> {
        self.integer().and_then(|n| usize::try_from(n).ok())
    }

    /// A duration; above zero, if the table says so.
    pub fn duration(&self) -> Option<Duration> {
        self.shaped(|shape| shape.any(|one| matches!(one, Shape::Duration | Shape::PositiveDuration)));
        let text = match &self.node.value {
            NodeValue::String(text) => text,
            // No time needs no unit, with or without quotes.
            NodeValue::Number(text) if text == "0" => text,
            _ => return self.wrong_type("a duration string such as \"30s\""),
        };
        let duration = parse_duration(text).map_err(|problem| self.refuse(&problem)).ok()?;
        if duration.is_zero() && self.shape.any(|one| matches!(one, Shape::PositiveDuration)) {
            self.mismatch(kind::BAD_VALUE, "a duration above zero");
            return None;
        }
        Some(duration)
    }

    /// A duration where zero means that there is no bound.
    pub fn bound(&self) -> Option<Option<Duration>> {
        self.duration().map(|duration| Some(duration).filter(|d| !d.is_zero()))
    }

    /// A string that `parse` accepts.
    pub fn parsed<T, E: std::fmt::Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        parse(self.string()?).map_err(|problem| self.refuse(&problem)).ok()
    }

    /// One of a few words, which are those of its table.
    pub fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        self.shaped(|shape| {
            shape.any(|one| matches!(one, Shape::Words(own) if own.iter().eq(words.iter().map(|(word, _)| word))))
        });
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

    /// The elements that are there. `null` is an absent one: Go makes an empty
    /// value of it, which is a mistake or means nothing in all lists there are.
    pub fn array(&self) -> Option<Vec<Cursor<'a>>> {
        self.shaped(|shape| shape.element().is_some());
        let NodeValue::Array(elements) = &self.node.value else { return self.wrong_type("an array") };
        let shape = self.shape.element().unwrap_or(&Shape::Anything);
        let elements = elements.iter().enumerate();
        let elements = elements.map(|(index, node)| self.child(node, format!("{}[{index}]", self.path), shape));
        let is_there = |element: &Cursor<'a>| {
            let is_there = element.node.value != NodeValue::Null;
            if !is_there {
                element.inert("an element without a value counts as absent");
            }
            is_there
        };
        Some(elements.filter(is_there).collect())
    }

    /// An object with the keys of `table`.
    pub fn object(&self, table: &'static Object) -> Option<ObjectReader<'a>> {
        self.shaped(|shape| shape.is_object(table));
        match &self.node.value {
            NodeValue::Object(entries) => Some(ObjectReader::new(self.clone(), entries, table)),
            _ => self.wrong_type("an object"),
        }
    }

    /// The entries of an object whose keys are names that the user chose.
    pub fn map(&self) -> Option<Vec<(&'a str, Cursor<'a>)>> {
        self.shaped(|shape| shape.map_value().is_some());
        let NodeValue::Object(entries) = &self.node.value else { return self.wrong_type("an object") };
        let shape = self.shape.map_value().unwrap_or(&Shape::Anything);
        let entry = |(key, node): &'a (Key, Node)| {
            let path = crate::document::join(&self.path, &key.text);
            (key.text.as_str(), self.child(node, path, shape))
        };
        Some(entries.iter().filter(|(_, node)| node.value != NodeValue::Null).map(entry).collect())
    }

    /// The value as JSON, if it is an object.
    pub fn json_object(&self) -> Option<serde_json::Value> {
        self.shaped(|shape| shape.any(|one| matches!(one, Shape::Free)));
        match &self.node.value {
            NodeValue::Object(_) => Some(self.node.to_json()),
            _ => self.wrong_type("an object"),
        }
    }

    /// A reader that does not agree with its table is a bug that tests find.
    fn shaped(&self, fits: impl FnOnce(&'static Shape) -> bool) {
        debug_assert!(
            matches!(self.shape, Shape::Anything) || fits(self.shape),
            "{} is not read as its table says: {:?}",
            self.path,
            self.shape
        );
    }

    /// It is needed, and a dump left it out.
    fn redacted<T>(&self) -> Option<T> {
        let found = "what a dump shows in place of a secret";
        self.error(Finding::mismatch(kind::BAD_VALUE, "the secret itself", found));
        None
    }

    fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        self.mismatch(kind::WRONG_TYPE, expected);
        None
    }
}
