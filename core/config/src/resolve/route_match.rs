//! `match` of a route.

use sidegate_router::{HeaderMatch, Link, MatchError, PathMatch, RouteMatch, VariableMatch, VariablesMatch};

use super::route::text;
use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// Reads a `match`; `None` if it has errors (which are reported).
pub(super) fn matcher(cursor: &Cursor<'_>) -> Option<RouteMatch> {
    type Parse = fn(&str) -> Result<PathMatch, MatchError>;
    let mut object = cursor.object(&schema::MATCH)?;
    let mut path = Some(PathMatch::Any);
    let mut taken = None;
    let order: [(&'static str, Parse); 3] =
        [("prefix", PathMatch::prefix), ("path", PathMatch::exact), ("regex", PathMatch::regex)];
    for (key, parse) in order {
        let Some((cursor, text)) = text(&mut object, key) else { continue };
        let affordable = key != "regex" || cursor.can_afford(text);
        let parsed = affordable.then(|| parse(text).map_err(|problem| cursor.refuse(&problem)).ok()).flatten();
        match taken {
            Some(first) => cursor.inert(format!("ignored beside `{first}`, as in MOSN")),
            None => (taken, path) = (Some(key), parsed),
        }
    }
    let (headers_at, headers) = elements(&mut object, "headers").unzip();
    // All of them, even after one failed: each reports its own errors.
    let headers: Vec<_> = headers.iter().flatten().map(header_match).collect();
    let (variables_at, variables) = elements(&mut object, "variables").unzip();
    let variables: Vec<_> = variables.iter().flatten().map(variable_match).collect();
    object.finish();
    let (path, headers) = (path?, headers.into_iter().collect::<Option<Vec<_>>>()?);
    let variables = variables.into_iter().collect::<Option<Vec<_>>>()?;
    let Some(variables_at) = variables_at else { return Some(RouteMatch::new(path, headers)) };
    if let Some(first) = taken {
        variables_at.inert(format!("ignored beside `{first}`, as in MOSN"));
        return Some(RouteMatch::new(path, headers));
    }
    if let Some(headers_at) = headers_at {
        headers_at.inert("ignored beside `variables`, as in MOSN");
    }
    Some(RouteMatch::by_variables(VariablesMatch::new(variables)))
}

/// An array with something in it, and its elements.
fn elements<'a>(object: &mut ObjectReader<'a>, name: &'static str) -> Option<(Cursor<'a>, Vec<Cursor<'a>>)> {
    let cursor = object.get(name)?;
    let elements = cursor.array().filter(|elements| !elements.is_empty())?;
    Some((cursor, elements))
}

fn variable_match(cursor: &Cursor<'_>) -> Option<(VariableMatch, Link)> {
    let mut object = cursor.object(&schema::VARIABLE_MATCH)?;
    let name = object.required("name").and_then(|cursor| Some((cursor.name()?, cursor)));
    let value = text(&mut object, "value");
    let regex = text(&mut object, "regex");
    let link = object.get("model").map_or(Some(Link::And), |cursor| link(&cursor));
    object.finish();
    let (name, name_at) = name?;
    let (made, at) = match (regex, value) {
        (Some((at, pattern)), value) => {
            if let Some((value_at, _)) = value {
                value_at.inert("ignored beside `regex`, as in MOSN");
            }
            if !at.can_afford(pattern) {
                return None;
            }
            (VariableMatch::regex(name, pattern), at)
        }
        (None, Some((at, value))) => (VariableMatch::literal(name, value), at),
        (None, None) => {
            cursor.error(Finding::mismatch(kind::BAD_VALUE, "`value` or `regex`", "neither of them"));
            return None;
        }
    };
    let made = made.map_err(|problem| match problem {
        MatchError::Variable(_) => name_at.refuse(&problem),
        _ => at.refuse(&problem),
    });
    Some((made.ok()?, link?))
}

/// Case does not matter, as in MOSN.
fn link(cursor: &Cursor<'_>) -> Option<Link> {
    let text = cursor.string()?;
    match text.to_ascii_lowercase().as_str() {
        "" | "and" => Some(Link::And),
        "or" => Some(Link::Or),
        _ => {
            cursor.mismatch(kind::BAD_VALUE, "\"and\" or \"or\"");
            None
        }
    }
}

fn header_match(cursor: &Cursor<'_>) -> Option<HeaderMatch> {
    let mut object = cursor.object(&schema::HEADER_MATCH)?;
    let name = object.required("name");
    let value = object.required("value");
    let regex = object.get("regex").and_then(|c| c.bool()).unwrap_or_default();
    object.finish();
    let (name, value) = (name?, value?);
    let (name_text, value_text) = (name.string()?, value.string()?);
    if regex && !value.can_afford(value_text) {
        return None;
    }
    let made =
        if regex { HeaderMatch::regex(name_text, value_text) } else { HeaderMatch::literal(name_text, value_text) };
    made.map_err(|problem| match problem {
        MatchError::Name(_) => name.refuse(&problem),
        _ => value.refuse(&problem),
    })
    .ok()
}
