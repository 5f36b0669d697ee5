//! YAML into the same tree: the core schema, one document, no merge keys, no
//! application tags, and aliases within a bound.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::{Key, MAX_DEPTH, Node, NodeValue, Position, SyntaxError, too_deep};

/// How much text and how many nodes all aliases of one document may repeat, so
/// that a few lines cannot grow into gigabytes.
const ALIAS_BUDGET: usize = 4 << 20;

/// Why there is no document.
#[derive(Debug)]
pub(super) enum YamlError {
    /// The scanner stopped; its words are about grammar.
    Scan(SyntaxError),
    /// What we make no sense of.
    Ours(SyntaxError),
}

impl From<SyntaxError> for YamlError {
    fn from(error: SyntaxError) -> Self {
        YamlError::Ours(error)
    }
}

pub(super) fn parse(text: &str) -> Result<Node, YamlError> {
    let mut builder =
        Builder { events: Parser::new_from_str(text), anchors: HashMap::new(), alias_budget: ALIAS_BUDGET };
    let mut root = None;
    while let Some((event, position)) = builder.next()? {
        match event {
            Event::DocumentStart(_) if root.is_some() => {
                return Err(error(position, "one document in the file", "a second one").into());
            }
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            event => root = Some(builder.node(event, position, 0)?.node),
        }
    }
    Ok(root.unwrap_or(Node { value: NodeValue::Null, position: Position::START }))
}

struct Builder<'a> {
    events: Parser<'a, StrInput<'a>>,
    /// Nodes with an anchor that are complete: an alias inside its own anchor
    /// finds nothing.
    anchors: HashMap<usize, Built>,
    alias_budget: usize,
}

/// A node and what copying it costs.
#[derive(Clone)]
struct Built {
    node: Node,
    height: usize,
    weight: usize,
}

impl Built {
    fn leaf(value: NodeValue, position: Position) -> Built {
        let text = match &value {
            NodeValue::String(text) | NodeValue::Number(text) => text.len(),
            _ => 0,
        };
        Built { node: Node { value, position }, height: 0, weight: NODE_WEIGHT + text }
    }
}

const NODE_WEIGHT: usize = 16;

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Position)>, YamlError> {
        match self.events.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, start_of(&span)))),
            Some(Err(scan)) => {
                let mark = *scan.marker();
                let position = Position::new(narrow(mark.line()), narrow(mark.col()).saturating_add(1));
                let found = format!("an error: {}", scan.info().replace('\n', " "));
                Err(YamlError::Scan(error(position, "valid YAML", &found)))
            }
        }
    }

    fn node(&mut self, event: Event<'a>, position: Position, depth: usize) -> Result<Built, YamlError> {
        if depth > MAX_DEPTH {
            return Err(too_deep(position).into());
        }
        let (anchor, built) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref(), position)?;
                (anchor, Built::leaf(value, position))
            }
            Event::SequenceStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "seq", position)?;
                (anchor, self.sequence(position, depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                collection_tag(tag.as_deref(), "map", position)?;
                (anchor, self.mapping(position, depth)?)
            }
            Event::Alias(anchor) => (0, self.alias(anchor, position, depth)?),
            _ => return Err(error(position, "a value", "the end of the document").into()),
        };
        if anchor != 0 {
            self.spend(built.weight, position)?;
            self.anchors.insert(anchor, built.clone());
        }
        Ok(built)
    }

    fn sequence(&mut self, position: Position, depth: usize) -> Result<Built, YamlError> {
        let mut elements = Vec::new();
        let (mut height, mut weight) = (0, NODE_WEIGHT);
        loop {
            match self.next()? {
                Some((Event::SequenceEnd, _)) => break,
                Some((event, at)) => {
                    let built = self.node(event, at, depth + 1)?;
                    height = height.max(built.height + 1);
                    weight = weight.saturating_add(built.weight);
                    elements.push(built.node);
                }
                None => return Err(error(position, "the end of the sequence", "the end of the file").into()),
            }
        }
        Ok(Built { node: Node { value: NodeValue::Array(elements), position }, height, weight })
    }

    fn mapping(&mut self, position: Position, depth: usize) -> Result<Built, YamlError> {
        let mut entries = Vec::new();
        let (mut height, mut weight) = (0, NODE_WEIGHT);
        loop {
            let key = match self.next()? {
                Some((Event::MappingEnd, _)) => break,
                Some((Event::Scalar(text, style, anchor, _), at)) => {
                    if text == "<<" && style == ScalarStyle::Plain {
                        return Err(error(at, "a key", "the merge key `<<`, which YAML 1.2 does not have").into());
                    }
                    if anchor != 0 {
                        return Err(error(at, "a key without anchor", "an anchor").into());
                    }
                    Key { text: text.into_owned(), position: at }
                }
                Some((_, at)) => return Err(error(at, "a plain or quoted key", "a key of another kind").into()),
                None => return Err(error(position, "the end of the mapping", "the end of the file").into()),
            };
            let Some((event, at)) = self.next()? else {
                return Err(error(position, "a value", "the end of the file").into());
            };
            let built = self.node(event, at, depth + 1)?;
            height = height.max(built.height + 1);
            weight = weight.saturating_add(built.weight).saturating_add(key.text.len());
            entries.push((key, built.node));
        }
        Ok(Built { node: Node { value: NodeValue::Object(entries), position }, height, weight })
    }

    /// A copy of the anchored node. It keeps the positions of the original:
    /// that is the text to correct.
    fn alias(&mut self, anchor: usize, position: Position, depth: usize) -> Result<Built, SyntaxError> {
        let Some(built) = self.anchors.get(&anchor) else {
            return Err(error(position, "an alias of a complete node", "an alias inside its own anchor"));
        };
        if depth + built.height > MAX_DEPTH {
            return Err(too_deep(position));
        }
        let weight = built.weight;
        let built = built.clone();
        self.spend(weight, position)?;
        Ok(built)
    }

    fn spend(&mut self, weight: usize, position: Position) -> Result<(), SyntaxError> {
        match self.alias_budget.checked_sub(weight) {
            Some(left) => {
                self.alias_budget = left;
                Ok(())
            }
            None => Err(error(position, "anchors and aliases that repeat less", "more repetition than is allowed")),
        }
    }
}

fn error(position: Position, expected: &str, found: &str) -> SyntaxError {
    SyntaxError { position, expected: expected.to_owned(), found: found.to_owned() }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn start_of(span: &Span) -> Position {
    Position::new(narrow(span.start.line()).max(1), narrow(span.start.col()).saturating_add(1))
}

fn collection_tag(tag: Option<&Tag>, expected: &str, position: Position) -> Result<(), SyntaxError> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == expected) => Err(foreign_tag(tag, position)),
        _ => Ok(()),
    }
}

fn foreign_tag(tag: &Tag, position: Position) -> SyntaxError {
    error(position, "no tag but the core schema's", &format!("the tag `{tag}`"))
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, position: Position) -> Result<NodeValue, SyntaxError> {
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain {
            plain(text, position)
        } else {
            Ok(NodeValue::String(text.to_owned()))
        };
    };
    if !tag.is_yaml_core_schema() {
        return Err(foreign_tag(tag, position));
    }
    if tag.suffix == "str" {
        return Ok(NodeValue::String(text.to_owned()));
    }
    let value = plain(text, position)?;
    let fits = match tag.suffix.as_str() {
        "null" => matches!(value, NodeValue::Null),
        "bool" => matches!(value, NodeValue::Bool(_)),
        "int" | "float" => matches!(value, NodeValue::Number(_)),
        _ => return Err(foreign_tag(tag, position)),
    };
    if fits {
        Ok(value)
    } else {
        Err(error(position, &format!("a value of the tag `!!{}`", tag.suffix), &value.to_string()))
    }
}

/// Types a plain scalar by the core schema (YAML 1.2.2, section 10.3.2), which
/// has neither `yes` nor sexagesimal numbers.
fn plain(text: &str, position: Position) -> Result<NodeValue, SyntaxError> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(NodeValue::Null),
        "true" | "True" | "TRUE" => return Ok(NodeValue::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(NodeValue::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(error(position, "a finite number", text));
    }
    let number = radix(text, "0x", 16).or_else(|| radix(text, "0o", 8)).or_else(|| decimal(text, unsigned));
    Ok(number.map_or_else(|| NodeValue::String(text.to_owned()), NodeValue::Number))
}

fn radix(text: &str, prefix: &str, radix: u32) -> Option<String> {
    let digits = text.strip_prefix(prefix).filter(|d| d.bytes().all(|b| b.is_ascii_alphanumeric()))?;
    u64::from_str_radix(digits, radix).ok().map(|n| n.to_string())
}

/// Integers and floats in JSON's notation, which has no plus sign, no leading
/// zero and digits on both sides of the point.
fn decimal(text: &str, unsigned: &str) -> Option<String> {
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (unsigned.get(..at)?, Some(unsigned.get(at + 1..)?)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !fraction.is_none_or(digits) || (whole.is_empty() && fraction.is_none_or(str::is_empty)) {
        return None;
    }
    let mut number = if text.starts_with('-') { "-".to_owned() } else { String::new() };
    let whole = whole.trim_start_matches('0');
    number.push_str(if whole.is_empty() { "0" } else { whole });
    if let Some(fraction) = fraction.filter(|f| !f.is_empty()) {
        number.push('.');
        number.push_str(fraction);
    }
    if let Some(exponent) = exponent {
        let plain = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if plain.is_empty() || !digits(plain) {
            return None;
        }
        number.push('e');
        number.push_str(exponent);
    }
    Some(number)
}
