//! Single values.

use std::cell::RefCell;
use std::time::Duration;

use serde_json::Value;
use sidegate_api::duration::parse_duration;
use sidegate_api::{FilterConfigError, RegexBudget};

use super::object::{Object, join};
use super::table::{Shape, Table};

/// What was wrong so far, and what is left for regular expressions.
#[derive(Debug)]
pub struct Report {
    errors: RefCell<Vec<FilterConfigError>>,
    regexes: RegexBudget,
}

/// One value and where it stands.
pub struct Setting<'a> {
    value: &'a Value,
    path: String,
    shape: &'static Shape,
    report: &'a Report,
}

impl Report {
    pub(super) fn new(regexes: &RegexBudget) -> Report {
        Report { errors: RefCell::default(), regexes: regexes.clone() }
    }

    pub(super) fn error(&self, path: String, message: String) {
        self.errors.borrow_mut().push(FilterConfigError::new(path, message));
    }

    pub(super) fn into_errors(self) -> Vec<FilterConfigError> {
        self.errors.into_inner()
    }
}

impl<'a> Setting<'a> {
    pub(super) fn new(value: &'a Value, path: String, shape: &'static Shape, report: &'a Report) -> Setting<'a> {
        Setting { value, path, shape, report }
    }

    /// Reports that something is wrong with it.
    pub fn error(&self, message: impl Into<String>) {
        self.report.error(self.path.clone(), message.into());
    }

    /// Reports that something else was expected.
    pub fn expected(&self, what: impl std::fmt::Display) {
        self.error(format!("expected {what}, found {}", shown(self.value)));
    }

    /// A string; not empty, if the table says so.
    pub fn text(&self) -> Option<&'a str> {
        debug_assert!(matches!(self.shape, Shape::Text | Shape::Name), "{}: no text in the table", self.path);
        match self.value.as_str() {
            Some("") if matches!(self.shape, Shape::Name) => self.refuse("a string that is not empty"),
            Some(text) => Some(text),
            None => self.refuse("a string"),
        }
    }

    /// A string that `parse` accepts; its error says what was expected.
    pub fn parsed<T, E: std::fmt::Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match parse(self.text()?) {
            Ok(parsed) => Some(parsed),
            Err(problem) => {
                self.error(format!("{problem}, found {}", shown(self.value)));
                None
            }
        }
    }

    /// A regular expression that `compile` makes, if the configuration's
    /// budget for them has room for it.
    pub fn regex<T, E: std::fmt::Display>(&self, compile: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        if let Err(refused) = self.report.regexes.pay(self.text()?) {
            self.error(format!("{refused}, found {}", shown(self.value)));
            return None;
        }
        self.parsed(compile)
    }

    /// A truth value.
    pub fn bool(&self) -> Option<bool> {
        debug_assert!(matches!(self.shape, Shape::Bool), "{}: no bool in the table", self.path);
        self.value.as_bool().or_else(|| self.refuse("true or false"))
    }

    /// An integer within the bounds of its table.
    pub fn integer(&self) -> Option<u64> {
        let Shape::Integer(low, high) = *self.shape else {
            debug_assert!(false, "{}: no integer in the table", self.path);
            return None;
        };
        match self.value.as_u64() {
            Some(value) if (low..=high).contains(&value) => Some(value),
            _ => self.refuse(&format!("an integer from {low} to {high}")),
        }
    }

    /// A number within the bounds of its table.
    pub fn number(&self) -> Option<f64> {
        let Shape::Number(low, high) = *self.shape else {
            debug_assert!(false, "{}: no number in the table", self.path);
            return None;
        };
        match self.value.as_f64() {
            Some(value) if (low..=high).contains(&value) => Some(value),
            _ => self.refuse(&format!("a number from {low} to {high}")),
        }
    }

    /// A duration.
    pub fn duration(&self) -> Option<Duration> {
        debug_assert!(matches!(self.shape, Shape::Duration), "{}: no duration in the table", self.path);
        let text = match self.value {
            Value::String(text) => text.as_str(),
            // No time needs no unit.
            Value::Number(number) if number.as_u64() == Some(0) => "0",
            _ => return self.refuse("a duration string such as \"30s\""),
        };
        match parse_duration(text) {
            Ok(duration) => Some(duration),
            Err(problem) => {
                self.error(format!("{problem}, found {}", shown(self.value)));
                None
            }
        }
    }

    /// One of the words of its table.
    pub fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        debug_assert!(
            matches!(self.shape, Shape::Words(own) if own.iter().eq(words.iter().map(|(word, _)| word))),
            "{}: other words in the table",
            self.path
        );
        let found = words.iter().find(|(word, _)| Some(*word) == self.value.as_str());
        found.map(|(_, value)| *value).or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.refuse(&words.join(" or "))
        })
    }

    /// The elements of an array that are there; `null` is an absent one.
    pub fn list(&self) -> Vec<Setting<'a>> {
        let Shape::Array(shape) = self.shape else {
            debug_assert!(false, "{}: no array in the table", self.path);
            return Vec::new();
        };
        let Some(elements) = self.value.as_array() else {
            self.expected("an array");
            return Vec::new();
        };
        let element = |(index, value)| Setting::new(value, format!("{}[{index}]", self.path), shape, self.report);
        elements.iter().enumerate().filter(|(_, value)| !value.is_null()).map(element).collect()
    }

    /// An object with the table that its own names.
    pub fn object(&self) -> Option<Object<'a>> {
        match *self.shape {
            Shape::Object(table) => self.object_of(table),
            _ => {
                debug_assert!(false, "{}: no object in the table", self.path);
                None
            }
        }
    }

    /// Whatever it is.
    pub fn any(&self) -> &'a Value {
        debug_assert!(matches!(self.shape, Shape::Any), "{}: the table says more of it", self.path);
        self.value
    }

    /// The entries of an object whose keys are names that the user chose.
    pub fn entries(&self) -> Vec<(&'a str, Setting<'a>)> {
        let Shape::Map(shape) = self.shape else {
            debug_assert!(false, "{}: no map in the table", self.path);
            return Vec::new();
        };
        let Some(entries) = self.value.as_object() else {
            self.expected("an object");
            return Vec::new();
        };
        let entry = |(name, value): (&'a String, &'a Value)| {
            (name.as_str(), Setting::new(value, join(&self.path, name), shape, self.report))
        };
        entries.iter().filter(|(_, value)| !value.is_null()).map(entry).collect()
    }

    fn object_of(&self, table: &'static Table) -> Option<Object<'a>> {
        Object::open(self.value, self.path.clone(), table, self.report)
    }

    fn refuse<T>(&self, expected: &str) -> Option<T> {
        self.expected(expected);
        None
    }
}

/// A value in an error message: short, and no text that may hold a key.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() > 60 => format!("a string of {} characters", text.chars().count()),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}
