//! What a request counts as.

use std::borrow::Cow;

use sidegate_api::{FilterCx, HeaderMapKind};

/// What of a request names the resource that it uses.
#[derive(Debug)]
pub(super) enum Resource {
    Path,
    /// Path and query.
    Target,
    Query,
    /// The first value of this argument of the query.
    Argument(Box<str>),
    /// Name in lower case.
    Header(Box<[u8]>),
}

impl Resource {
    /// The resource of this request; `None` if it has none, and nothing limits
    /// it.
    pub(super) fn of<'c>(&self, cx: &'c FilterCx<'_>) -> Option<Cow<'c, str>> {
        let request = &cx.stream().request;
        let found = match self {
            Resource::Path => request.path(),
            Resource::Target => request.target(),
            Resource::Query => request.query()?,
            Resource::Argument(name) => return argument(request.query()?, name),
            // What is no text is no resource of a file's either.
            Resource::Header(name) => std::str::from_utf8(cx.header(HeaderMapKind::Request, name)?).ok()?,
        };
        (!found.is_empty()).then_some(Cow::Borrowed(found))
    }
}

/// The first value of `name`; it is decoded, or else one argument could be
/// written in many ways.
fn argument<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key) == name).then(|| decoded(value))
    })
}

/// As forms are encoded: `+` is a blank.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                // Two hexadecimal digits.
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
                continue;
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
        rest = after;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_found_however_they_are_encoded() {
        for (query, value) in [
            ("tenant=a", Some("a")),
            ("x=1&tenant=a&tenant=b", Some("a")),
            ("t%65nant=%61+b", Some("a b")),
            ("tenant=%f", Some("%f")),
            ("tenant=%ff", Some("\u{fffd}")),
            ("tenant", Some("")),
            ("tenants=a", None),
            ("", None),
        ] {
            assert_eq!(argument(query, "tenant").as_deref(), value, "{query}");
        }
    }
}
