//! Arguments of a query.

use std::borrow::Cow;

/// The first value of `name`; it is decoded, or else one argument could be
/// written in many ways.
pub(crate) fn argument<'q>(query: &'q str, name: &str) -> Option<Cow<'q, str>> {
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
