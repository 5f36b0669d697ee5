//! The file as a tree with a position on every node, the same for JSON and
//! YAML. Nothing here knows MOSN's schema.

mod digest;
mod json;
mod locate;
mod yaml;
mod yaml_hint;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

pub use digest::NodeDigest;
pub(crate) use locate::join;
pub use locate::{Duplicate, Location};

/// Nesting allowed in a document; every walk over a tree recurses this deep.
pub const MAX_DEPTH: usize = 100;

/// Largest document that is read, in bytes.
pub const MAX_BYTES: usize = 16 << 20;

/// Which of the files that a configuration is read from: 0 is the file itself,
/// others come from directories that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileNumber(pub u32);

/// Where something stands in a file; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// File.
    pub file: FileNumber,
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl Position {
    /// The first character.
    pub const START: Position = Position::new(1, 1);

    /// A place in the file itself.
    pub const fn new(line: u32, column: u32) -> Position {
        Position { file: FileNumber(0), line, column }
    }

    /// The same place in another file.
    pub(crate) fn in_file(self, file: FileNumber) -> Position {
        Position { file, ..self }
    }
}

/// A value and where it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: NodeValue,
    /// Its first character.
    pub position: Position,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeValue {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, in JSON's notation and as exact as it was written.
    Number(String),
    /// A string.
    String(String),
    /// Elements in order.
    Array(Vec<Node>),
    /// Entries in order; keys that stand twice are all kept.
    Object(Vec<(Key, Node)>),
}

/// The key of an object's entry and where it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The key as written.
    pub text: String,
    /// Its first character.
    pub position: Position,
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 8259, nothing more.
    Json,
    /// YAML 1.2, core schema.
    Yaml,
}

impl Format {
    /// By the file's extension; where that says nothing, text that starts with
    /// a brace is JSON.
    pub fn of(path: &Path, text: &str) -> Format {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match extension.as_str() {
            "json" => Format::Json,
            "yaml" | "yml" => Format::Yaml,
            _ if strip_bom(text).trim_start().starts_with('{') => Format::Json,
            _ => Format::Yaml,
        }
    }
}

/// Text that is not a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct SyntaxError {
    /// Where reading stopped.
    pub position: Position,
    /// What may stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

/// Reads a whole document.
pub fn parse(text: &str, format: Format) -> Result<Node, SyntaxError> {
    if text.len() > MAX_BYTES {
        return Err(SyntaxError {
            position: Position::START,
            expected: format!("at most {MAX_BYTES} bytes"),
            found: format!("{} bytes", text.len()),
        });
    }
    let text = strip_bom(text);
    match format {
        Format::Json => json::parse(text),
        Format::Yaml => yaml::parse(text).map_err(|error| match error {
            yaml::YamlError::Scan(error) => yaml_hint::explain(text, error.position).unwrap_or(error),
            yaml::YamlError::Ours(error) => error,
        }),
    }
}

fn strip_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn too_deep(position: Position) -> SyntaxError {
    SyntaxError { position, expected: format!("at most {MAX_DEPTH} levels of nesting"), found: "one more".to_owned() }
}

/// A value as error messages show it: kind and a short form of the value.
impl fmt::Display for NodeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeValue::Null => f.write_str("null"),
            NodeValue::Bool(value) => write!(f, "{value}"),
            NodeValue::Number(text) => write!(f, "number {}", Shortened(text)),
            NodeValue::String(text) => write!(f, "string {:?}", Shortened(text).to_string()),
            NodeValue::Array(_) => f.write_str("an array"),
            NodeValue::Object(_) => f.write_str("an object"),
        }
    }
}

impl NodeValue {
    /// Whether it is what Go takes for an absent value.
    pub(crate) fn says_nothing(&self) -> bool {
        match self {
            NodeValue::Null | NodeValue::Bool(false) => true,
            NodeValue::Bool(true) => false,
            NodeValue::Number(text) => text == "0",
            NodeValue::String(text) => text.is_empty(),
            NodeValue::Array(elements) => elements.iter().all(|node| node.value == NodeValue::Null),
            NodeValue::Object(entries) => entries.iter().all(|(_, node)| node.value == NodeValue::Null),
        }
    }

    /// Whether it is what Go writes where nothing was given: an absent value,
    /// no time, no bytes, or an object of nothing but such.
    pub(crate) fn was_left_out(&self) -> bool {
        let left_out = |value: &NodeValue| match value {
            NodeValue::String(text) => matches!(text.as_str(), "" | "0s" | "0B"),
            NodeValue::Object(_) => false,
            other => other.says_nothing(),
        };
        match self {
            NodeValue::Object(entries) => entries.iter().all(|(_, node)| left_out(&node.value)),
            other => left_out(other),
        }
    }
}

/// The first characters of a text, for messages of one line.
pub(crate) struct Shortened<'a>(pub &'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 60;
        match self.0.char_indices().nth(SHOWN) {
            Some((end, _)) => write!(f, "{}…", self.0.get(..end).unwrap_or_default()),
            None => f.write_str(self.0),
        }
    }
}

impl Node {
    /// The same value for `serde_json`; of keys that stand twice the last
    /// wins.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(value) => Value::Bool(*value),
            NodeValue::Number(text) => serde_json::from_str(text).unwrap_or(Value::Null),
            NodeValue::String(text) => Value::String(text.clone()),
            NodeValue::Array(elements) => elements.iter().map(Node::to_json).collect(),
            NodeValue::Object(entries) => {
                Value::Object(entries.iter().map(|(key, node)| (key.text.clone(), node.to_json())).collect())
            }
        }
    }
}
