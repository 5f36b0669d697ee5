//! Paths into a document: finding the node a path names, and keys that stand
//! twice.

use std::collections::HashMap;

use super::{Node, NodeValue, Position};

/// What a path led to.
#[derive(Debug, Clone, Copy)]
pub struct Location {
    /// The value that was found, or the deepest one on the way to it.
    pub position: Position,
}

/// A key that stands more than once in one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    /// The later one.
    pub position: Position,
    /// The first one.
    pub first: Position,
    /// Path of the later one.
    pub path: String,
}

/// `path.key`
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl Node {
    /// Follows a path such as `config.rules[2].name`. Keys match without case;
    /// a key may contain dots. A path that leads nowhere gives the deepest node
    /// on the way.
    pub fn locate(&self, path: &str) -> Location {
        let mut node = self;
        let mut rest = path;
        while !rest.is_empty() {
            let Some((next, after)) = node.child(rest) else { break };
            node = next;
            rest = after;
        }
        Location { position: node.position }
    }

    /// The child that `path` starts with and what of the path is left.
    fn child<'a, 'p>(&'a self, path: &'p str) -> Option<(&'a Node, &'p str)> {
        match &self.value {
            NodeValue::Array(elements) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                let element = elements.get(index.parse::<usize>().ok()?)?;
                Some((element, rest.strip_prefix('.').unwrap_or(rest)))
            }
            NodeValue::Object(entries) => entries
                .iter()
                .filter_map(|(key, node)| {
                    let head = path.get(..key.text.len())?;
                    let rest = path.get(key.text.len()..)?;
                    let ends_here = rest.is_empty() || rest.starts_with(['.', '[']);
                    (ends_here && head.eq_ignore_ascii_case(&key.text))
                        .then(|| (key.text.len(), node, rest.strip_prefix('.').unwrap_or(rest)))
                })
                .max_by_key(|(length, ..)| *length)
                .map(|(_, node, rest)| (node, rest)),
            _ => None,
        }
    }

    /// Keys that stand twice in one object, exactly alike, anywhere below.
    pub fn duplicates(&self) -> Vec<Duplicate> {
        let mut found = Vec::new();
        collect(self, &mut Vec::new(), &mut found);
        found
    }
}

/// A step of the way to a node; put together only where a path is asked for.
#[derive(Clone, Copy)]
enum Step<'n> {
    Key(&'n str),
    Index(usize),
}

fn collect<'n>(node: &'n Node, way: &mut Vec<Step<'n>>, found: &mut Vec<Duplicate>) {
    match &node.value {
        NodeValue::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                if matches!(element.value, NodeValue::Array(_) | NodeValue::Object(_)) {
                    way.push(Step::Index(index));
                    collect(element, way, found);
                    way.pop();
                }
            }
        }
        NodeValue::Object(entries) => {
            let mut seen = HashMap::with_capacity(entries.len());
            for (key, value) in entries {
                way.push(Step::Key(&key.text));
                if let Some(first) = seen.insert(key.text.as_str(), key.position) {
                    found.push(Duplicate { position: key.position, first, path: path(way) });
                }
                collect(value, way, found);
                way.pop();
            }
        }
        _ => {}
    }
}

fn path(way: &[Step<'_>]) -> String {
    way.iter().fold(String::new(), |path, step| match step {
        Step::Key(key) => join(&path, key),
        Step::Index(index) => format!("{path}[{index}]"),
    })
}
