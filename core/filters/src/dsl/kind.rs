//! Kinds of values, and values.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::IpAddr;

use super::clock::{Span, Stamp};
use super::names::{DnsName, Email, Uri};

/// What a value is; known of every part of an expression before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Double,
    Text,
    Stamp,
    Span,
    Map,
    List,
    Ip,
    Email,
    Uri,
    DnsName,
}

/// A value; texts are borrowed from the stream or the expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'v> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Cow<'v, str>),
    Stamp(Stamp),
    Span(Span),
    Map(Map),
    List(Vec<Cow<'v, str>>),
    /// `None`: an address that is not there, or a text that is none.
    Ip(Option<IpAddr>),
    Email(Box<Email>),
    Uri(Box<Uri>),
    DnsName(Box<DnsName>),
}

/// A map from texts to texts, by where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Map {
    RequestHeaders,
    ResponseHeaders,
    Query,
    Empty,
}

/// Why an expression had no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fail {
    /// No such key in a map.
    NoSuchKey,
    /// A number out of range, or a division by zero.
    Arithmetic,
    /// A text that cannot be converted.
    Conversion,
    /// An index beyond the end.
    Index,
    /// More work than one expression may do.
    Work,
    /// A value of another kind; the check of kinds should have seen it.
    Kind,
}

/// What is left for one evaluation, in bytes that are looked at or made.
pub(super) struct Work(Cell<usize>);

impl Work {
    const BYTES: usize = 1 << 20;
    /// For one text.
    const TEXT: usize = 64 << 10;

    pub(super) fn new() -> Work {
        Work(Cell::new(Self::BYTES))
    }

    /// Pays for looking at `bytes`.
    pub(super) fn look(&self, bytes: usize) -> Result<(), Fail> {
        // Calls count too, if only a little.
        self.0.set(self.0.get().checked_sub(bytes.saturating_add(8)).ok_or(Fail::Work)?);
        Ok(())
    }

    /// Pays for making a text of `bytes`.
    pub(super) fn make(&self, bytes: usize) -> Result<(), Fail> {
        if bytes > Self::TEXT { Err(Fail::Work) } else { self.look(bytes) }
    }
}

impl Kind {
    /// For messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Bool => "bool",
            Kind::Int => "int",
            Kind::Double => "double",
            Kind::Text => "string",
            Kind::Stamp => "timestamp",
            Kind::Span => "duration",
            Kind::Map => "map",
            Kind::List => "list",
            Kind::Ip => "IP address",
            Kind::Email => "email address",
            Kind::Uri => "URI",
            Kind::DnsName => "DNS name",
        }
    }

    /// Whether values of it can be compared with `<`.
    pub(super) fn has_order(self) -> bool {
        matches!(self, Kind::Bool | Kind::Int | Kind::Double | Kind::Text | Kind::Stamp | Kind::Span)
    }

    pub(super) fn has_equality(self) -> bool {
        self != Kind::Map
    }

    /// What MOSN takes for an attribute that is not there.
    pub(super) fn nothing(self) -> Value<'static> {
        match self {
            Kind::Bool => Value::Bool(false),
            Kind::Int => Value::Int(0),
            Kind::Double => Value::Double(0.0),
            Kind::Text => Value::text(""),
            Kind::Stamp => Value::Stamp(Stamp::EPOCH),
            Kind::Span => Value::Span(Span::ZERO),
            Kind::Map => Value::Map(Map::Empty),
            Kind::List => Value::List(Vec::new()),
            Kind::Ip => Value::Ip(None),
            Kind::Email => Value::Email(Box::default()),
            Kind::Uri => Value::Uri(Box::default()),
            Kind::DnsName => Value::DnsName(Box::default()),
        }
    }
}

impl<'v> Value<'v> {
    pub(super) fn text(text: impl Into<Cow<'v, str>>) -> Value<'v> {
        Value::Text(text.into())
    }

    pub(super) fn truth(self) -> Result<bool, Fail> {
        match self {
            Value::Bool(truth) => Ok(truth),
            _ => Err(Fail::Kind),
        }
    }

    pub(super) fn int(&self) -> Result<i64, Fail> {
        match self {
            Value::Int(int) => Ok(*int),
            _ => Err(Fail::Kind),
        }
    }

    pub(super) fn into_text(self) -> Result<Cow<'v, str>, Fail> {
        match self {
            Value::Text(text) => Ok(text),
            _ => Err(Fail::Kind),
        }
    }

    pub(super) fn order(&self, other: &Value<'_>) -> Result<Option<std::cmp::Ordering>, Fail> {
        Ok(match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
            // NaN has no order.
            (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Stamp(a), Value::Stamp(b)) => Some(a.cmp(b)),
            (Value::Span(a), Value::Span(b)) => Some(a.cmp(b)),
            _ => return Err(Fail::Kind),
        })
    }

    /// The same, borrowed from nothing.
    pub(super) fn into_owned(self) -> Value<'static> {
        match self {
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::List(list) => Value::List(list.into_iter().map(|one| Cow::Owned(one.into_owned())).collect()),
            Value::Bool(value) => Value::Bool(value),
            Value::Int(value) => Value::Int(value),
            Value::Double(value) => Value::Double(value),
            Value::Stamp(value) => Value::Stamp(value),
            Value::Span(value) => Value::Span(value),
            Value::Map(value) => Value::Map(value),
            Value::Ip(value) => Value::Ip(value),
            Value::Email(value) => Value::Email(value),
            Value::Uri(value) => Value::Uri(value),
            Value::DnsName(value) => Value::DnsName(value),
        }
    }
}
