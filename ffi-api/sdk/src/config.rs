//! Types for configurations: what serde has not, checked while it is read, so
//! that a refusal names the key.
//!
//! ```
//! use std::time::Duration;
//! use sidegate_sdk::config::{self, HeaderName, HeaderValue};
//! use sidegate_sdk::ConfigValue;
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings {
//!     #[serde(with = "config::duration")]
//!     timeout: Duration,
//!     set: Vec<(HeaderName, HeaderValue)>,
//! }
//!
//! # fn main() -> Result<(), sidegate_sdk::ConfigError> {
//! let read = |json: serde_json::Value| ConfigValue::from_json(json).parse::<Settings>();
//! let settings = read(serde_json::json!({"timeout": "250ms", "set": [["X-Team", "edge"]]}))?;
//! assert_eq!(settings.timeout, Duration::from_millis(250));
//! assert_eq!(settings.set[0].0, "x-team");
//!
//! let refused = read(serde_json::json!({"timeout": "1s", "set": [["a b", "c"]]})).err().unwrap();
//! assert_eq!(refused.to_string(), "set[0][0]: expected a header name, found `a b`");
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::ops::Deref;

use serde::de::{Deserializer, Error};
use serde::Deserialize;

/// Reads durations as the proxy's configuration has them: `"1m30s"`, `"1.5s"`,
/// `"250ms"`; units are h, m, s, ms, us and ns. For `#[serde(with = "…")]`.
pub mod duration {
    use std::time::Duration;

    use serde::de::{Deserializer, Error};
    use serde::{Deserialize, Serializer};

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        parse(&text)
            .ok_or_else(|| D::Error::custom(format_args!("expected a duration such as \"250ms\", found `{text}`")))
    }

    /// Writes one, in nanoseconds.
    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}ns", duration.as_nanos()))
    }

    pub(super) fn parse(text: &str) -> Option<Duration> {
        const UNITS: [(&str, f64); 6] =
            [("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];
        if text == "0" {
            return Some(Duration::ZERO);
        }
        let mut rest = text;
        let mut seconds = 0.0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, tail) = rest.split_at(digits);
            let (unit, factor) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
            seconds += number.parse::<f64>().ok()? * factor;
            rest = &tail[unit.len()..];
        }
        if text.is_empty() {
            return None;
        }
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// A header name, checked and in lower case.
///
/// ```
/// # use sidegate_sdk::config::HeaderName;
/// assert_eq!(HeaderName::new("X-Team").unwrap(), "x-team");
/// assert_eq!(HeaderName::new("x team"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeaderName(String);

/// The name of a header that filters may set, add and remove, in lower case:
/// none of framing or of the connection, which are the proxy's. In a
/// configuration it makes a start fail where each request would.
///
/// ```
/// # use sidegate_sdk::config::EditableHeaderName;
/// assert_eq!(EditableHeaderName::new("X-Team").unwrap(), "x-team");
/// assert_eq!(EditableHeaderName::new("Transfer-Encoding"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EditableHeaderName(String);

/// A header value, checked: no control bytes, no blanks at its ends.
///
/// ```
/// # use sidegate_sdk::config::HeaderValue;
/// assert_eq!(HeaderValue::new("edge").unwrap(), "edge");
/// assert_eq!(HeaderValue::new("a\r\nset-cookie: b"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HeaderValue(String);

impl HeaderName {
    /// `None` if HTTP allows no such name.
    pub fn new(name: &str) -> Option<Self> {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        (!name.is_empty() && name.bytes().all(token)).then(|| HeaderName(name.to_ascii_lowercase()))
    }
}

impl EditableHeaderName {
    /// `None` if HTTP allows no such name, or the host no filter to edit it.
    /// `host` passes, as it can be set; it cannot be added to a request or
    /// removed from one.
    pub fn new(name: &str) -> Option<Self> {
        const RESERVED: [&str; 8] = [
            "connection",
            "content-length",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ];
        let HeaderName(name) = HeaderName::new(name)?;
        (!RESERVED.contains(&name.as_str())).then_some(EditableHeaderName(name))
    }
}

impl HeaderValue {
    /// `None` if HTTP allows no such value.
    pub fn new(value: &str) -> Option<Self> {
        let bad = |b: u8| (b < b' ' && b != b'\t') || b == 0x7f;
        let trimmed = value.trim_matches([' ', '\t']).len() == value.len();
        (trimmed && !value.bytes().any(bad)).then(|| HeaderValue(value.to_owned()))
    }
}

macro_rules! checked_text {
    ($type:ident, $what:literal) => {
        impl Deref for $type {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<[u8]> for $type {
            fn as_ref(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $type {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'r> crate::IntoBytes<'r> for &'r $type {
            fn into_bytes(self) -> std::borrow::Cow<'r, [u8]> {
                std::borrow::Cow::Borrowed(self.0.as_bytes())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                $type::new(&text).ok_or_else(|| {
                    D::Error::custom(format_args!("expected a {}, found `{}`", $what, text.escape_debug()))
                })
            }
        }
    };
}

checked_text!(HeaderName, "header name");
checked_text!(EditableHeaderName, "header name that filters may edit");
checked_text!(HeaderValue, "header value");

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::duration::parse;

    #[test]
    fn durations() {
        for (text, wanted) in [
            ("250ms", Some(Duration::from_millis(250))),
            ("1m30s", Some(Duration::from_secs(90))),
            ("1.5s", Some(Duration::from_millis(1500))),
            ("2h", Some(Duration::from_secs(7200))),
            ("0s", Some(Duration::ZERO)),
            ("0", Some(Duration::ZERO)),
            ("1.000001ms", Some(Duration::from_nanos(1_000_001))),
            ("", None),
            ("5", None),
            ("s", None),
            ("5x", None),
            ("1.2.3s", None),
            ("-1s", None),
            ("1e400s", None),
            ("99999999999999999999999h", None),
        ] {
            assert_eq!(parse(text), wanted, "{text}");
        }
    }
}
