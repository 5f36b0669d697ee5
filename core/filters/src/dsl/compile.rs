//! From an expression's tree to what runs: names, kinds and patterns are
//! looked at once, here.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, operators};
use sidegate_api::RegexBudget;
use sidegate_api::nearest::nearest;

use super::attribute::{ATTRIBUTES, Attribute};
use super::clock::Span;
use super::kind::{Kind, Value};
use super::node::{Action, Comparison, Node, Operator};
use super::syntax::{Parsed, Problem};

/// Compiles `text`; its patterns are paid from `regexes`.
///
/// The parser goes through a dozen functions for each bracket. So it runs on a
/// thread with a stack for as many as are allowed, whoever asks.
pub(super) fn compile(text: &str, regexes: &RegexBudget) -> Result<Node, Problem> {
    const STACK: usize = 16 << 20;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("expression".to_owned()).stack_size(STACK);
        let compiling = thread
            .spawn_scoped(scope, || compile_here(text, regexes))
            .map_err(|error| Problem::of_all(format!("there is no thread to read it: {error}")))?;
        compiling.join().unwrap_or_else(|_| Err(Problem::of_all("the parser failed")))
    })
}

fn compile_here(text: &str, regexes: &RegexBudget) -> Result<Node, Problem> {
    let parsed = Parsed::new(text)?;
    let compiler = Compiler { parsed: &parsed, regexes };
    Ok(compiler.part(&parsed.tree, 0)?.0)
}

pub(super) struct Compiler<'p> {
    pub(super) parsed: &'p Parsed<'p>,
    pub(super) regexes: &'p RegexBudget,
}

/// A part and what it gives.
pub(super) type Part = (Node, Kind);

/// Operators in each other, brackets or not.
const DEPTH: usize = 150;

pub(super) const CONTEXT: &str = "ctx";

impl Compiler<'_> {
    fn part(&self, at: &IdedExpr, depth: usize) -> Result<Part, Problem> {
        if depth > DEPTH {
            return Err(self.parsed.problem(at, format!("expected at most {DEPTH} operators in each other")));
        }
        match &at.expr {
            Expr::Literal(literal) => self.literal(at, literal),
            Expr::Ident(name) if name == CONTEXT => Err(self.parsed.problem(at, "nothing is called on ctx here")),
            Expr::Ident(name) => Err(self.unknown(at, name)),
            Expr::Select(select) => self.select(at, select, depth),
            Expr::Call(call) => self.call(at, call, depth),
            Expr::List(_) | Expr::Map(_) | Expr::Struct(_) => {
                Err(self.parsed.problem(at, "not available: lists and objects in expressions; MOSN has none either"))
            }
            Expr::Comprehension(_) => Err(self.parsed.problem(at, "not available: loops in expressions")),
            Expr::Unspecified => Err(self.parsed.problem(at, "not an expression")),
        }
    }

    /// A part that must not act.
    pub(super) fn pure(&self, at: &IdedExpr, depth: usize) -> Result<Part, Problem> {
        let part = self.part(at, depth + 1)?;
        if part.0.acts() {
            let message = "an action may stand alone, in conditional, &&, || and !, and nowhere else";
            return Err(self.parsed.problem(at, message));
        }
        Ok(part)
    }

    fn literal(&self, at: &IdedExpr, literal: &LiteralValue) -> Result<Part, Problem> {
        let (value, kind) = match literal {
            LiteralValue::Boolean(value) => (Value::Bool(*value.inner()), Kind::Bool),
            LiteralValue::Int(value) => (Value::Int(*value.inner()), Kind::Int),
            LiteralValue::Double(value) => (Value::Double(*value.inner()), Kind::Double),
            LiteralValue::String(value) => (Value::text(value.inner().to_owned()), Kind::Text),
            LiteralValue::UInt(_) | LiteralValue::Bytes(_) | LiteralValue::Null => {
                return Err(self.parsed.problem(at, "not available: unsigned numbers, bytes and null"));
            }
        };
        Ok((Node::Literal(value), kind))
    }

    fn select(&self, at: &IdedExpr, select: &SelectExpr, depth: usize) -> Result<Part, Problem> {
        let name = dotted(&select.operand).map(|before| format!("{before}.{}", select.field));
        if let Some((attribute, kind)) = name.as_deref().and_then(attribute) {
            return Ok(match select.test {
                true => (Node::IsThere(attribute), Kind::Bool),
                false => (Node::Attribute(attribute, kind), kind),
            });
        }
        // Else what is before the point is a map.
        if let Some(name) = &name
            && dotted(&select.operand).is_none_or(|before| attribute(&before).is_none())
        {
            return Err(self.unknown(at, name));
        }
        match self.pure(&select.operand, depth)? {
            (map, Kind::Map) => {
                let parts = Box::new([map, Node::Literal(Value::text(select.field.clone()))]);
                Ok(if select.test { (Node::HasKey(parts), Kind::Bool) } else { (Node::Lookup(parts), Kind::Text) })
            }
            (_, kind) => {
                let message =
                    format!("{:?} is asked of a value of kind {}, which has no such parts", select.field, kind.name());
                Err(self.parsed.problem(at, message))
            }
        }
    }

    fn unknown(&self, at: &IdedExpr, name: &str) -> Problem {
        let names = || ATTRIBUTES.iter().map(|(name, ..)| *name);
        let message = match nearest(name, names()) {
            Some(meant) => format!("there is no attribute {name:?}; did you mean {meant:?}?"),
            None => {
                let family = name.split('.').next().unwrap_or_default();
                let is_kin = |other: &&str| other.split('.').next() == Some(family);
                let mut kin: Vec<&str> = names().filter(is_kin).collect();
                if kin.is_empty() {
                    kin = names().collect();
                }
                format!("there is no attribute {name:?}; known are {}", kin.join(", "))
            }
        };
        self.parsed.problem(at, message)
    }

    fn call(&self, at: &IdedExpr, call: &CallExpr, depth: usize) -> Result<Part, Problem> {
        let name = call.func_name.as_str();
        match (name, &call.args[..]) {
            (operators::LOGICAL_AND, [left, right]) => {
                Ok((Node::And(Box::new([self.truth(left, depth)?, self.truth(right, depth)?])), Kind::Bool))
            }
            (operators::LOGICAL_OR, [left, right]) => {
                Ok((Node::Or(Box::new([self.truth(left, depth)?, self.truth(right, depth)?])), Kind::Bool))
            }
            (operators::LOGICAL_NOT, [inner]) => Ok((Node::Not(Box::new(self.truth(inner, depth)?)), Kind::Bool)),
            (operators::NEGATE, [inner]) => match self.pure(inner, depth)? {
                (node, kind @ (Kind::Int | Kind::Double | Kind::Span)) => Ok((Node::Negate(Box::new(node)), kind)),
                (_, kind) => {
                    Err(self.parsed.problem(at, format!("- takes a number or a duration, found {}", kind.name())))
                }
            },
            (operators::CONDITIONAL | "conditional", [condition, yes, no]) if call.target.is_none() => {
                let condition = self.truth(condition, depth)?;
                let (yes, no) = (self.part(yes, depth + 1)?, self.part(no, depth + 1)?);
                let ([yes, no], kind) = self.alike(at, [yes, no])?;
                Ok((Node::Conditional(Box::new([condition, yes, no])), kind))
            }
            (operators::EQUALS | operators::NOT_EQUALS, [left, right]) => {
                let (parts, kind) = self.alike(at, [self.pure(left, depth)?, self.pure(right, depth)?])?;
                if !kind.has_equality() {
                    return Err(self.parsed.problem(at, format!("values of kind {} cannot be compared", kind.name())));
                }
                let equal = Node::Equal(Box::new(parts));
                Ok((if name == operators::EQUALS { equal } else { Node::Not(Box::new(equal)) }, Kind::Bool))
            }
            (operators::ADD, [..]) if self.parsed.is_bar(at) => self.pick(at, call, depth),
            ("pick", [_, ..]) if call.target.is_none() => self.pick(at, call, depth),
            (operators::INDEX, [of, index]) => self.index(at, [of, index], depth),
            (operators::IN, [element, of]) => self.is_in(at, [element, of], depth),
            (_, [left, right]) if let Some(how) = comparison(name) => {
                let (parts, kind) = self.alike(at, [self.pure(left, depth)?, self.pure(right, depth)?])?;
                if !kind.has_order() {
                    return Err(self.parsed.problem(at, format!("values of kind {} have no order", kind.name())));
                }
                Ok((Node::Compare(how, Box::new(parts)), Kind::Bool))
            }
            (_, [left, right]) if let Some(operator) = operator(name) => {
                self.arithmetic(at, operator, [left, right], depth)
            }
            _ if let Some((_, action, texts)) = Action::ALL.iter().find(|(known, ..)| *known == name) => {
                self.act(at, call, (*action, *texts), depth)
            }
            ("matches", _) => self.matches(at, call, depth),
            _ => self.function(at, call, depth),
        }
    }

    fn truth(&self, at: &IdedExpr, depth: usize) -> Result<Node, Problem> {
        match self.part(at, depth + 1)? {
            (node, Kind::Bool) => Ok(node),
            (_, kind) => Err(self.parsed.problem(at, format!("expected a bool, found {}", kind.name()))),
        }
    }

    /// Two parts of one kind. A text that is a duration, as MOSN has it, stands
    /// for one beside a duration, or beside another such text.
    fn alike(&self, at: &IdedExpr, parts: [Part; 2]) -> Result<([Node; 2], Kind), Problem> {
        let [(left, left_kind), (right, right_kind)] = parts;
        if let (Some(a), Some(b)) = (span_of(&left), span_of(&right)) {
            return Ok(([span(a), span(b)], Kind::Span));
        }
        match (left_kind, right_kind) {
            (Kind::Text, Kind::Span) if let Some(left) = span_of(&left) => Ok(([span(left), right], Kind::Span)),
            (Kind::Span, Kind::Text) if let Some(right) = span_of(&right) => Ok(([left, span(right)], Kind::Span)),
            (left_kind, right_kind) if left_kind == right_kind => Ok(([left, right], left_kind)),
            _ => {
                let message = format!("expected two of one kind, found {} and {}", left_kind.name(), right_kind.name());
                Err(self.parsed.problem(at, message))
            }
        }
    }

    /// `a | b | c`, `pick(a, b, c)`: the first that is there. MOSN can tell that
    /// of an attribute and of an element of a map; anything else is there.
    fn pick(&self, at: &IdedExpr, call: &CallExpr, depth: usize) -> Result<Part, Problem> {
        let mut choices = Vec::new();
        self.choices(call, &mut choices);
        let Some((last, others)) = choices.split_last() else {
            return Err(self.parsed.problem(at, "pick takes one value at least"));
        };
        // The tree of `|` leans to the left, that of the conditions to the right.
        if others.len() + depth > DEPTH {
            return Err(self.parsed.problem(at, format!("expected at most {DEPTH} operators in each other")));
        }
        let mut picked = self.pure(last, depth)?;
        for choice in others.iter().rev() {
            let there = match &choice.expr {
                Expr::Select(select) if select.test => {
                    return Err(self.parsed.problem(choice, "has() is always there; it cannot stand before |"));
                }
                Expr::Select(select) => {
                    Some(self.select(choice, &SelectExpr { test: true, ..select.clone() }, depth)?.0)
                }
                Expr::Call(CallExpr { func_name, args, .. }) if func_name == operators::INDEX => match &args[..] {
                    [map, key] => Some(self.is_in(choice, [key, map], depth)?.0),
                    _ => None,
                },
                _ => None,
            };
            let part = self.pure(choice, depth)?;
            picked = match there {
                None => part,
                Some(there) => {
                    let ([yes, no], kind) = self.alike(at, [part, picked])?;
                    (Node::Conditional(Box::new([there, yes, no])), kind)
                }
            };
        }
        Ok(picked)
    }

    fn choices<'e>(&self, call: &'e CallExpr, into: &mut Vec<&'e IdedExpr>) {
        for argument in &call.args {
            match &argument.expr {
                Expr::Call(inner)
                    if self.parsed.is_bar(argument) || inner.func_name == "pick" && inner.target.is_none() =>
                {
                    self.choices(inner, into);
                }
                _ => into.push(argument),
            }
        }
    }

    fn index(&self, at: &IdedExpr, [of, index]: [&IdedExpr; 2], depth: usize) -> Result<Part, Problem> {
        match (self.pure(of, depth)?, self.pure(index, depth)?) {
            ((map, Kind::Map), (key, Kind::Text)) => Ok((Node::Lookup(Box::new([map, key])), Kind::Text)),
            ((list, Kind::List), (index, Kind::Int)) => Ok((Node::Element(Box::new([list, index])), Kind::Text)),
            ((_, of), (_, index)) => {
                let message = format!(
                    "[] takes a map and a string, or a list and an int, found {} and {}",
                    of.name(),
                    index.name()
                );
                Err(self.parsed.problem(at, message))
            }
        }
    }

    fn is_in(&self, at: &IdedExpr, [element, of]: [&IdedExpr; 2], depth: usize) -> Result<Part, Problem> {
        match (self.pure(of, depth)?, self.pure(element, depth)?) {
            ((map, Kind::Map), (key, Kind::Text)) => Ok((Node::HasKey(Box::new([map, key])), Kind::Bool)),
            ((list, Kind::List), (text, Kind::Text)) => Ok((Node::HasElement(Box::new([list, text])), Kind::Bool)),
            ((_, of), (_, element)) => {
                let message = format!("expected a string in a map or list, found {} in {}", element.name(), of.name());
                Err(self.parsed.problem(at, message))
            }
        }
    }

    fn arithmetic(
        &self,
        at: &IdedExpr,
        operator: Operator,
        [left, right]: [&IdedExpr; 2],
        depth: usize,
    ) -> Result<Part, Problem> {
        let (mut left, mut right) = (self.pure(left, depth)?, self.pure(right, depth)?);
        let kinds = (left.1, right.1);
        for (one, other) in [(&mut left, kinds.1), (&mut right, kinds.0)] {
            if let (Kind::Span | Kind::Stamp, Some(nanos)) = (other, span_of(&one.0)) {
                *one = (span(nanos), Kind::Span);
            }
        }
        match operator.kind(left.1, right.1) {
            Some(kind) => Ok((Node::Arithmetic(operator, Box::new([left.0, right.0])), kind)),
            None => {
                let message = format!("{} does not take {} and {}", operator.symbol(), left.1.name(), right.1.name());
                Err(self.parsed.problem(at, message))
            }
        }
    }
}

/// `a.b.c`, if it is nothing but names, and few of them.
fn dotted(mut at: &IdedExpr) -> Option<String> {
    const MOST: usize = 8;
    let mut names = Vec::new();
    loop {
        match &at.expr {
            Expr::Ident(name) => names.push(name.as_str()),
            Expr::Select(select) if !select.test && names.len() < MOST => {
                names.push(&select.field);
                at = &select.operand;
                continue;
            }
            _ => return None,
        }
        names.reverse();
        return Some(names.join("."));
    }
}

fn attribute(name: &str) -> Option<(Attribute, Kind)> {
    let at = ATTRIBUTES.binary_search_by(|(known, ..)| (*known).cmp(name)).ok()?;
    ATTRIBUTES.get(at).map(|(_, attribute, kind)| (*attribute, *kind))
}

/// The duration that a text in quotes is.
pub(super) fn span_of(node: &Node) -> Option<Span> {
    match node {
        Node::Literal(Value::Text(text)) => Span::parse(text),
        _ => None,
    }
}

pub(super) fn span(span: Span) -> Node {
    Node::Literal(Value::Span(span))
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        operators::LESS => Comparison::Less,
        operators::LESS_EQUALS => Comparison::LessOrEqual,
        operators::GREATER => Comparison::Greater,
        operators::GREATER_EQUALS => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn operator(name: &str) -> Option<Operator> {
    Some(match name {
        operators::ADD => Operator::Add,
        operators::SUBSTRACT => Operator::Subtract,
        operators::MULTIPLY => Operator::Multiply,
        operators::DIVIDE => Operator::Divide,
        operators::MODULO => Operator::Remainder,
        _ => return None,
    })
}
