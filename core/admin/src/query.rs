//! The query of a request, and patterns in it.

/// Decoded `name=value` pairs; a name without `=` has an empty value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the part after `?`. Bytes that are no UTF-8 after decoding become
    /// replacement characters, which then name nothing.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Query(pairs.collect())
    }

    /// Value of the first `name` that is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs().find(|(known, value)| *known == name && !value.is_empty()).map(|(_, value)| value)
    }

    /// Values of every `name`.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All pairs in order.
    pub(crate) fn pairs(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Whether `text` is what `pattern` describes: `*` stands for any run of
/// characters, `?` for one byte.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on if the last `*` has to stand for one byte more.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after_star, from)) => {
                    retry = Some((after_star, from + 1));
                    (p, t) = (after_star, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// What a segment of a path says. Unlike in a query, `+` is a plus.
pub(crate) fn decode_segment(text: &str) -> String {
    decode(&text.replace('+', "%2B"))
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high * 16 + low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pairs_are_decoded() {
        let query = Query::parse("a=1&&b&a=2&c%2f=x+y%zz%4&d=%C3%BC%ff");
        let pairs: Vec<_> = query.pairs().collect();
        assert_eq!(pairs, [("a", "1"), ("b", ""), ("a", "2"), ("c/", "x y%zz%4"), ("d", "ü\u{fffd}")]);
        assert_eq!((query.get("a"), query.get("b"), query.get("z")), (Some("1"), None, None));
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn segments_are_decoded() {
        assert_eq!(decode_segment("unix:%2Frun%2fa+b.sock%"), "unix:/run/a+b.sock%");
        assert_eq!(decode_segment("%5B::1%5D:80"), "[::1]:80");
    }

    #[test]
    fn stars_and_question_marks_match() {
        for (pattern, text) in [("*", ""), ("a*c", "abbbc"), ("*.b?d", "x.y.bcd"), ("a*b*c", "aXbXbYc"), ("", "")] {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("?", ""), ("a*c", "abcd"), ("*b", "bba"), ("A", "a")] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_with_parts_cut_out_matches(parts in proptest::collection::vec("[a-c]{0,4}", 1..5), fill in "[a-d]{0,3}") {
            prop_assert!(glob(&parts.join("*"), &parts.join(&fill)));
        }

        #[test]
        fn any_query_parses(text in any::<String>()) {
            Query::parse(&text);
        }
    }
}
