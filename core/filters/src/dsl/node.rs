//! Compiled expressions, and what they do on a stream.

use std::cmp::Ordering;

use regex::Regex;
use sidegate_api::{EditError, FilterCx, HeaderMapKind, StreamState, Variable};

use super::attribute::Attribute;
use super::clock::{Span, Stamp};
use super::function::Function;
use super::kind::{Fail, Kind, Value, Work};

/// A part of an expression whose kinds are right.
#[derive(Debug)]
pub(super) enum Node {
    Literal(Value<'static>),
    Attribute(Attribute, Kind),
    /// Whether there is such an attribute.
    IsThere(Attribute),
    /// `map[key]`
    Lookup(Box<[Node; 2]>),
    /// `key in map`, as map and key.
    HasKey(Box<[Node; 2]>),
    /// `list[index]`
    Element(Box<[Node; 2]>),
    /// `text in list`, as list and text.
    HasElement(Box<[Node; 2]>),
    Call(&'static Function, Box<[Node]>),
    Matches(Box<Regex>, Box<Node>),
    Equal(Box<[Node; 2]>),
    Compare(Comparison, Box<[Node; 2]>),
    Arithmetic(Operator, Box<[Node; 2]>),
    Negate(Box<Node>),
    Not(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    /// Condition, then, else.
    Conditional(Box<[Node; 3]>),
    Act(Action, Box<[Node]>),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// What an expression may do to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    RewriteRequestUrl,
    AddRequestHeader,
    DelRequestHeader,
    AddResponseHeader,
    DelResponseHeader,
}

/// How often an expression was refused an edit that its phase allows.
#[derive(Debug, Default)]
pub(super) struct Refused(pub(super) u32);

impl Node {
    /// Whether a part of it acts.
    pub(super) fn acts(&self) -> bool {
        match self {
            Node::Act(..) => true,
            Node::Not(inner) => inner.acts(),
            Node::And(parts) | Node::Or(parts) => parts.iter().any(Node::acts),
            Node::Conditional(parts) => parts.iter().any(Node::acts),
            // Nothing that acts may stand in others.
            _ => false,
        }
    }

    /// Its value, and whatever it does on the way.
    pub(super) fn run(
        &self,
        cx: &mut FilterCx<'_>,
        work: &Work,
        refused: &mut Refused,
    ) -> Result<Value<'static>, Fail> {
        match self {
            _ if !self.acts() => self.value(cx.stream(), work).map(Value::into_owned),
            Node::Not(inner) => Ok(Value::Bool(!inner.run(cx, work, refused)?.truth()?)),
            Node::And(parts) => {
                let [left, right] = &**parts;
                let left = left.run(cx, work, refused).and_then(Value::truth);
                decide(left, false, || right.run(cx, work, refused)?.truth())
            }
            Node::Or(parts) => {
                let [left, right] = &**parts;
                let left = left.run(cx, work, refused).and_then(Value::truth);
                decide(left, true, || right.run(cx, work, refused)?.truth())
            }
            Node::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                let chosen = if condition.run(cx, work, refused)?.truth()? { yes } else { no };
                chosen.run(cx, work, refused)
            }
            Node::Act(action, arguments) => action.run(arguments, cx, work, refused),
            _ => Err(Fail::Kind),
        }
    }

    /// The value of one that does not act.
    pub(super) fn value<'v>(&'v self, stream: &'v StreamState, work: &Work) -> Result<Value<'v>, Fail> {
        work.look(0)?;
        let of = |node: &'v Node| node.value(stream, work);
        match self {
            Node::Literal(Value::Text(text)) => Ok(Value::text(&**text)),
            Node::Literal(value) => Ok(value.clone()),
            Node::Attribute(attribute, kind) => Ok(attribute.get(stream).unwrap_or_else(|| kind.nothing())),
            Node::IsThere(attribute) => Ok(Value::Bool(attribute.get(stream).is_some())),
            Node::Lookup(parts) => lookup(parts, stream, work)?.map(Value::Text).ok_or(Fail::NoSuchKey),
            Node::HasKey(parts) => Ok(Value::Bool(lookup(parts, stream, work)?.is_some())),
            Node::Element(parts) => {
                let [list, index] = &**parts;
                let (Value::List(list), index) = (of(list)?, of(index)?.int()?) else { return Err(Fail::Kind) };
                let index = usize::try_from(index).map_err(|_| Fail::Index)?;
                list.into_iter().nth(index).map(Value::Text).ok_or(Fail::Index)
            }
            Node::HasElement(parts) => {
                let [list, text] = &**parts;
                let (Value::List(list), text) = (of(list)?, of(text)?.into_text()?) else { return Err(Fail::Kind) };
                work.look(list.len().saturating_mul(text.len().max(1)))?;
                Ok(Value::Bool(list.contains(&text)))
            }
            Node::Call(function, arguments) => {
                let arguments: Result<Vec<Value<'v>>, Fail> = arguments.iter().map(of).collect();
                (function.call)(arguments?, work)
            }
            Node::Matches(regex, text) => {
                let text = of(text)?.into_text()?;
                // Searching takes time in proportion to the text.
                work.look(text.len())?;
                Ok(Value::Bool(regex.is_match(&text)))
            }
            Node::Equal(parts) => {
                let [left, right] = &**parts;
                Ok(Value::Bool(of(left)? == of(right)?))
            }
            Node::Compare(how, parts) => {
                let [left, right] = &**parts;
                let order = of(left)?.order(&of(right)?)?;
                Ok(Value::Bool(order.is_some_and(|order| how.holds(order))))
            }
            Node::Arithmetic(operator, parts) => {
                let [left, right] = &**parts;
                operator.apply(of(left)?, of(right)?, work)
            }
            Node::Negate(inner) => match of(inner)? {
                Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(Fail::Arithmetic),
                Value::Double(value) => Ok(Value::Double(-value)),
                Value::Span(Span(nanos)) => nanos.checked_neg().map(|n| Value::Span(Span(n))).ok_or(Fail::Arithmetic),
                _ => Err(Fail::Kind),
            },
            Node::Not(inner) => Ok(Value::Bool(!of(inner)?.truth()?)),
            Node::And(parts) => {
                let [left, right] = &**parts;
                decide(of(left).and_then(Value::truth), false, || of(right)?.truth())
            }
            Node::Or(parts) => {
                let [left, right] = &**parts;
                decide(of(left).and_then(Value::truth), true, || of(right)?.truth())
            }
            Node::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                if of(condition)?.truth()? { of(yes) } else { of(no) }
            }
            Node::Act(..) => Err(Fail::Kind),
        }
    }
}

/// `&&` and `||` of CEL: one side that decides makes up for a failure of the
/// other. The right one is not looked at if the left one decides.
fn decide(
    left: Result<bool, Fail>,
    decides: bool,
    right: impl FnOnce() -> Result<bool, Fail>,
) -> Result<Value<'static>, Fail> {
    if left == Ok(decides) {
        return Ok(Value::Bool(decides));
    }
    match (left, right()) {
        (_, Ok(right)) if right == decides => Ok(Value::Bool(decides)),
        (Ok(_), right) => right.map(Value::Bool),
        (Err(fail), _) => Err(fail),
    }
}

fn lookup<'v>(
    parts: &'v [Node; 2],
    stream: &'v StreamState,
    work: &Work,
) -> Result<Option<std::borrow::Cow<'v, str>>, Fail> {
    let [map, key] = parts;
    let Value::Map(map) = map.value(stream, work)? else { return Err(Fail::Kind) };
    let key = key.value(stream, work)?.into_text()?;
    work.look(key.len())?;
    let found = map.get(&key, stream);
    work.look(found.as_ref().map_or(0, |found| found.len()))?;
    Ok(found)
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Operator {
    /// What it makes of two kinds, if anything.
    pub(super) fn kind(self, left: Kind, right: Kind) -> Option<Kind> {
        use Operator as O;
        Some(match (self, left, right) {
            (_, Kind::Int, Kind::Int) => Kind::Int,
            (O::Add | O::Subtract | O::Multiply | O::Divide, Kind::Double, Kind::Double) => Kind::Double,
            (O::Add, Kind::Text, Kind::Text) => Kind::Text,
            (O::Add | O::Subtract, Kind::Span, Kind::Span) => Kind::Span,
            (O::Add | O::Subtract, Kind::Stamp, Kind::Span) => Kind::Stamp,
            (O::Add, Kind::Span, Kind::Stamp) => Kind::Stamp,
            (O::Subtract, Kind::Stamp, Kind::Stamp) => Kind::Span,
            _ => return None,
        })
    }

    pub(super) fn symbol(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
        }
    }

    fn apply<'v>(self, left: Value<'v>, right: Value<'v>, work: &Work) -> Result<Value<'v>, Fail> {
        let value = match (left, right) {
            (Value::Int(a), Value::Int(b)) => self.integers(a, b).map(Value::Int),
            (Value::Double(a), Value::Double(b)) => Some(Value::Double(match self {
                Operator::Add => a + b,
                Operator::Subtract => a - b,
                Operator::Multiply => a * b,
                Operator::Divide => a / b,
                Operator::Remainder => return Err(Fail::Kind),
            })),
            (Value::Text(a), Value::Text(b)) => {
                work.make(a.len() + b.len())?;
                let mut text = a.into_owned();
                text.push_str(&b);
                Some(Value::text(text))
            }
            (Value::Span(Span(a)), Value::Span(Span(b))) => self.integers(a, b).map(|nanos| Value::Span(Span(nanos))),
            (Value::Stamp(Stamp(a)), Value::Span(Span(b))) | (Value::Span(Span(a)), Value::Stamp(Stamp(b))) => {
                self.integers(a, b).map(|nanos| Value::Stamp(Stamp(nanos)))
            }
            (Value::Stamp(Stamp(a)), Value::Stamp(Stamp(b))) => {
                self.integers(a, b).map(|nanos| Value::Span(Span(nanos)))
            }
            _ => return Err(Fail::Kind),
        };
        value.ok_or(Fail::Arithmetic)
    }

    fn integers(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Operator::Add => a.checked_add(b),
            Operator::Subtract => a.checked_sub(b),
            Operator::Multiply => a.checked_mul(b),
            Operator::Divide => a.checked_div(b),
            Operator::Remainder => a.checked_rem(b),
        }
    }
}

impl Action {
    /// Each with the texts that it takes.
    pub(super) const ALL: [(&'static str, Action, usize); 5] = [
        ("rewrite_request_url", Action::RewriteRequestUrl, 1),
        ("add_request_header", Action::AddRequestHeader, 2),
        ("del_request_header", Action::DelRequestHeader, 1),
        ("add_response_header", Action::AddResponseHeader, 2),
        ("del_response_header", Action::DelResponseHeader, 1),
    ];

    fn run(
        self,
        arguments: &[Node],
        cx: &mut FilterCx<'_>,
        work: &Work,
        refused: &mut Refused,
    ) -> Result<Value<'static>, Fail> {
        let text = |at: usize, cx: &FilterCx<'_>| -> Result<String, Fail> {
            let argument = arguments.get(at).ok_or(Fail::Kind)?;
            Ok(argument.value(cx.stream(), work)?.into_text()?.into_owned())
        };
        let first = text(0, cx)?;
        let kind = match self {
            Action::AddResponseHeader | Action::DelResponseHeader => HeaderMapKind::Response,
            _ => HeaderMapKind::Request,
        };
        let done = match self {
            Action::RewriteRequestUrl => {
                // A query in it takes the place of the request's.
                let what = if first.contains('?') { Variable::Target } else { Variable::Path };
                cx.set_variable(what, first.as_bytes())
            }
            Action::AddRequestHeader | Action::AddResponseHeader => {
                let value = text(1, cx)?;
                cx.set_header(kind, first.to_ascii_lowercase().as_bytes(), value.as_bytes())
            }
            Action::DelRequestHeader | Action::DelResponseHeader => {
                cx.remove_header(kind, first.to_ascii_lowercase().as_bytes()).map(drop)
            }
        };
        // MOSN says whether there was such a head, too.
        if let Err(error) = &done
            && *error != EditError::NotNow
        {
            refused.0 += 1;
        }
        Ok(Value::Bool(done.is_ok()))
    }
}
