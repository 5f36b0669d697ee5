//! Formats whose lines are JSON objects.

use serde_json::{Map, Value};

use super::LogStyle;
use super::field::Field;
use super::template::{FormatError, Piece, cut};

/// A line in the making: everything between the values is ready JSON text, so
/// that a line is written front to back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JsonPart {
    Text(Box<str>),
    /// A value of its own.
    Whole(Field),
    /// Part of a string.
    Within(Field),
}

/// The parts of an object of templates.
pub(super) fn compile(object: &Map<String, Value>) -> Result<Box<[JsonPart]>, FormatError> {
    if object.is_empty() {
        return Err(FormatError::Empty);
    }
    let mut compiler = Compiler { parts: Vec::new(), text: String::new(), path: Vec::new() };
    compiler.object(object)?;
    compiler.end_text();
    Ok(compiler.parts.into())
}

struct Compiler {
    parts: Vec<JsonPart>,
    /// JSON text that follows the last part.
    text: String,
    path: Vec<String>,
}

impl Compiler {
    fn value(&mut self, value: &Value) -> Result<(), FormatError> {
        match value {
            Value::Object(object) => self.object(object)?,
            Value::Array(elements) => {
                self.text.push('[');
                for (index, element) in elements.iter().enumerate() {
                    self.separate(index);
                    self.within(index.to_string(), |this| this.value(element))?;
                }
                self.text.push(']');
            }
            Value::String(template) => self.template(template)?,
            constant @ (Value::Null | Value::Bool(_) | Value::Number(_)) => self.text.push_str(&constant.to_string()),
        }
        Ok(())
    }

    fn object(&mut self, object: &Map<String, Value>) -> Result<(), FormatError> {
        self.text.push('{');
        for (index, (key, value)) in object.iter().enumerate() {
            self.separate(index);
            self.text.push_str(&Value::from(key.as_str()).to_string());
            self.text.push(':');
            self.within(key.clone(), |this| this.value(value))?;
        }
        self.text.push('}');
        Ok(())
    }

    fn template(&mut self, template: &str) -> Result<(), FormatError> {
        let pieces = cut(template, LogStyle::Own)
            .map_err(|problem| FormatError::Within { path: self.path.join("."), problem: Box::new(problem) })?;
        if let [Piece::Field(field)] = pieces.as_slice() {
            self.part(JsonPart::Whole(field.clone()));
            return Ok(());
        }
        self.text.push('"');
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    let quoted = Value::from(&*text).to_string();
                    self.text.push_str(&quoted[1..quoted.len() - 1]);
                }
                Piece::Field(field) => self.part(JsonPart::Within(field)),
            }
        }
        self.text.push('"');
        Ok(())
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.text.push(',');
        }
    }

    fn within(
        &mut self,
        step: String,
        body: impl FnOnce(&mut Self) -> Result<(), FormatError>,
    ) -> Result<(), FormatError> {
        self.path.push(step);
        let result = body(self);
        self.path.pop();
        result
    }

    fn part(&mut self, part: JsonPart) {
        self.end_text();
        self.parts.push(part);
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.parts.push(JsonPart::Text(std::mem::take(&mut self.text).into()));
        }
    }
}
