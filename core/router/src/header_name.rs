//! Names of header fields that a configuration matches or changes.

use std::fmt;

use sidegate_api::{HeaderProblem, check_filter_header, is_token};

/// A header field's name, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderName(Box<str>);

/// A text names no header field that a configuration may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderNameError {
    /// No RFC 9110 token.
    #[error("expected a header name")]
    NotAToken,
    /// Framing and hop-by-hop fields belong to the proxy.
    #[error("framing and hop-by-hop header fields belong to the proxy")]
    Reserved,
    /// Every request has an authority.
    #[error("`host` cannot be removed")]
    Host,
}

impl HeaderName {
    /// A field to be read.
    pub fn parse_readable(text: &str) -> Result<Self, HeaderNameError> {
        if is_token(text.as_bytes()) {
            Ok(HeaderName(text.to_ascii_lowercase().into()))
        } else {
            Err(HeaderNameError::NotAToken)
        }
    }

    /// A field to be added or set.
    pub fn parse(text: &str) -> Result<Self, HeaderNameError> {
        match check_filter_header(text.as_bytes(), b"") {
            Ok(()) => Ok(HeaderName(text.to_ascii_lowercase().into())),
            Err(HeaderProblem::Reserved) => Err(HeaderNameError::Reserved),
            Err(HeaderProblem::BadName | HeaderProblem::BadValue) => Err(HeaderNameError::NotAToken),
        }
    }

    /// A field to be removed.
    pub fn parse_removable(text: &str) -> Result<Self, HeaderNameError> {
        let name = Self::parse(text)?;
        if name.is_host() { Err(HeaderNameError::Host) } else { Ok(name) }
    }

    /// The text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes, in lower case.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(crate) fn is_host(&self) -> bool {
        &*self.0 == "host"
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
