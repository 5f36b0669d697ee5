//! Calls of actions and functions.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr};
use regex::Regex;
use sidegate_api::nearest::nearest;

use super::compile::{CONTEXT, Compiler, Part, span, span_of};
use super::function::FUNCTIONS;
use super::kind::{Kind, Value};
use super::node::{Action, Node};
use super::syntax::Problem;

impl Compiler<'_> {
    /// `ctx.action(…)` or `action(ctx, …)`.
    pub(super) fn act(
        &self,
        at: &IdedExpr,
        call: &CallExpr,
        (action, texts): (Action, usize),
        depth: usize,
    ) -> Result<Part, Problem> {
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let Some((context, arguments)) = arguments.split_first().filter(|(context, _)| is_context(context)) else {
            return Err(self.parsed.problem(at, format!("expected ctx.{}(…)", call.func_name)));
        };
        let _: &IdedExpr = context;
        if arguments.len() != texts {
            let message =
                format!("{} takes {texts} of kind string, found {} arguments", call.func_name, arguments.len());
            return Err(self.parsed.problem(at, message));
        }
        let mut nodes = Vec::with_capacity(texts);
        for argument in arguments {
            match self.pure(argument, depth)? {
                (node, Kind::Text) => nodes.push(node),
                (_, kind) => {
                    let message = format!("{} takes a string, found {}", call.func_name, kind.name());
                    return Err(self.parsed.problem(argument, message));
                }
            }
        }
        Ok((Node::Act(action, nodes.into()), Kind::Bool))
    }

    /// As in MOSN, the pattern comes first: `"^/a".matches(request.path)`.
    pub(super) fn matches(&self, at: &IdedExpr, call: &CallExpr, depth: usize) -> Result<Part, Problem> {
        let arguments: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(&call.args).collect();
        let [pattern, text] = arguments[..] else {
            return Err(self.parsed.problem(at, "matches takes a pattern and a string: \"^/a\".matches(request.path)"));
        };
        let (Node::Literal(Value::Text(regex)), Kind::Text) = self.pure(pattern, depth)? else {
            let message = "the pattern comes first and is a string in quotes, as in \"^/a\".matches(request.path)";
            return Err(self.parsed.problem(pattern, message));
        };
        let (text, kind) = self.pure(text, depth)?;
        if kind != Kind::Text {
            return Err(self.parsed.problem(at, format!("matches takes a string, found {}", kind.name())));
        }
        self.regexes.pay(&regex).map_err(|refused| self.parsed.problem(pattern, refused.to_string()))?;
        let regex = Regex::new(&regex).map_err(|error| {
            let said = error.to_string();
            let last = said.lines().last().unwrap_or_default();
            self.parsed
                .problem(pattern, format!("expected a regular expression: {}", last.trim_start_matches("error: ")))
        })?;
        Ok((Node::Matches(Box::new(regex), Box::new(text)), Kind::Bool))
    }

    pub(super) fn function(&self, at: &IdedExpr, call: &CallExpr, depth: usize) -> Result<Part, Problem> {
        let name = call.func_name.as_str();
        let forms = || FUNCTIONS.iter().filter(|function| function.name == name);
        if forms().next().is_none() {
            return Err(self.unknown_function(at, name));
        }
        let arguments: Result<Vec<Part>, Problem> =
            call.target.as_deref().into_iter().chain(&call.args).map(|argument| self.pure(argument, depth)).collect();
        let arguments = arguments?;
        // A text that is a duration is one in MOSN, and a text elsewhere.
        let fits = |takes: &[Kind], is_loose: bool| {
            takes.len() == arguments.len()
                && takes.iter().zip(&arguments).all(|(taken, (node, kind))| match span_of(node) {
                    Some(_) => *taken == Kind::Span || is_loose && *taken == Kind::Text,
                    None => taken == kind,
                })
        };
        let form = [false, true].into_iter().find_map(|is_loose| forms().find(|form| fits(form.takes, is_loose)));
        let Some(form) = form else {
            let names = |kinds: &mut dyn Iterator<Item = Kind>| kinds.map(Kind::name).collect::<Vec<_>>().join(", ");
            let taken: Vec<String> =
                forms().map(|form| format!("({})", names(&mut form.takes.iter().copied()))).collect();
            let found = names(&mut arguments.iter().map(|(_, kind)| *kind));
            return Err(self.parsed.problem(at, format!("{name} takes {}, found ({found})", taken.join(" or "))));
        };
        let nodes = form.takes.iter().zip(arguments).map(|(taken, (node, _))| match span_of(&node) {
            Some(nanos) if *taken == Kind::Span => span(nanos),
            _ => node,
        });
        Ok((Node::Call(form, nodes.collect()), form.gives))
    }

    fn unknown_function(&self, at: &IdedExpr, name: &str) -> Problem {
        let others = ["conditional", "pick", "has", "matches"].into_iter().chain(Action::ALL.map(|(name, ..)| name));
        let message = match nearest(name, FUNCTIONS.iter().map(|function| function.name).chain(others)) {
            Some(meant) => format!("there is no function {name:?}; did you mean {meant:?}?"),
            None => format!("there is no function {name:?}"),
        };
        self.parsed.problem(at, message)
    }
}

fn is_context(at: &IdedExpr) -> bool {
    matches!(&at.expr, Expr::Ident(name) if name == CONTEXT)
}
