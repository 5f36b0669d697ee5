//! The secret that opens what changes something to callers from elsewhere.

use std::fmt;

/// Sent as `Authorization: Bearer TOKEN`. Never shown.
#[derive(Clone)]
pub struct AdminToken(Box<str>);

/// A token cannot be sent in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the admin token must be one word of visible ASCII characters")]
pub struct TokenError;

impl AdminToken {
    /// The token `text`.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let is_word = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if is_word { Ok(AdminToken(text.into())) } else { Err(TokenError) }
    }

    /// Whether `sent` is the token. The time it takes tells at most the
    /// token's length.
    pub(crate) fn matches(&self, sent: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let difference = own.iter().zip(sent).fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
        difference == 0 && own.len() == sent.len()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_matches() {
        let token = AdminToken::new("s3cret").unwrap();
        assert!(token.matches(b"s3cret"));
        for wrong in [&b""[..], b"s3cre", b"s3crets", b"S3cret", b"\0\0\0\0\0\0"] {
            assert!(!token.matches(wrong), "{wrong:?}");
        }
        assert_eq!(format!("{token:?}"), "AdminToken(…)");
        for text in ["", "a b", "ü", "a\n"] {
            assert!(AdminToken::new(text).is_err(), "{text:?}");
        }
    }
}
