//! `match` of a route.

use sidegate_router::{HeaderMatch, MatchError, PathMatch, RouteMatch};

use super::route::text;
use crate::reader::Cursor;
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
        let parsed = parse(text).map_err(|problem| cursor.refuse(&problem)).ok();
        match taken {
            Some(first) => cursor.inert(format!("ignored beside `{first}`, as in MOSN")),
            None => (taken, path) = (Some(key), parsed),
        }
    }
    let mut headers = Vec::new();
    for element in object.get("headers").and_then(|c| c.array()).unwrap_or_default() {
        headers.push(header_match(&element));
    }
    object.finish();
    Some(RouteMatch::new(path?, headers.into_iter().collect::<Option<Vec<_>>>()?))
}

fn header_match(cursor: &Cursor<'_>) -> Option<HeaderMatch> {
    let mut object = cursor.object(&schema::HEADER_MATCH)?;
    let name = object.required("name");
    let value = object.required("value");
    let regex = object.get("regex").and_then(|c| c.bool()).unwrap_or_default();
    object.finish();
    let (name, value) = (name?, value?);
    let (name_text, value_text) = (name.string()?, value.string()?);
    let made =
        if regex { HeaderMatch::regex(name_text, value_text) } else { HeaderMatch::literal(name_text, value_text) };
    made.map_err(|problem| match problem {
        MatchError::Name(_) => name.refuse(&problem),
        _ => value.refuse(&problem),
    })
    .ok()
}
