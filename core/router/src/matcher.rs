//! Which requests a route takes.

use std::fmt;

use regex::Regex;
use regex::bytes::Regex as BytesRegex;
use sidegate_api::RequestHead;

use crate::header_name::{HeaderName, HeaderNameError};
use crate::target::is_path_text;

/// The condition of one route: path and headers must both agree.
#[derive(Debug, Clone)]
pub struct RouteMatch {
    path: PathMatch,
    headers: Vec<HeaderCondition>,
}

/// What a path must be.
#[derive(Debug, Clone)]
pub enum PathMatch {
    /// Anything.
    Any,
    /// It starts with this text.
    Prefix(PathText),
    /// It is this text; ASCII case does not matter, as in MOSN.
    Exact(PathText),
    /// The pattern is found anywhere in it, as in MOSN: anchor it with `^`
    /// and `$` to match whole paths.
    Regex(Regex),
}

/// Text that the path of a request can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathText(Box<str>);

/// A condition on one header, as written in the configuration.
#[derive(Debug, Clone)]
pub struct HeaderMatch {
    name: HeaderName,
    value: ValueMatch,
}

/// A route's condition cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// No request has such a path.
    #[error("expected a path that starts with `/`, in ASCII without blanks, `?` and `#`")]
    Path,
    /// The pattern does not compile.
    #[error("expected a regular expression: {0}")]
    Regex(Box<str>),
    /// No header has such a name.
    #[error(transparent)]
    Name(#[from] HeaderNameError),
}

#[derive(Debug, Clone)]
enum ValueMatch {
    Equals(Box<[u8]>),
    Regex(BytesRegex),
    NotEmpty,
}

#[derive(Debug, Clone)]
enum HeaderCondition {
    Method(ValueMatch),
    Field(HeaderName, ValueMatch),
}

impl PathMatch {
    /// `prefix`
    pub fn prefix(text: &str) -> Result<Self, MatchError> {
        PathText::parse(text).map(PathMatch::Prefix)
    }

    /// `path`
    pub fn exact(text: &str) -> Result<Self, MatchError> {
        PathText::parse(text).map(PathMatch::Exact)
    }

    /// `regex`
    pub fn regex(pattern: &str) -> Result<Self, MatchError> {
        Regex::new(pattern).map(PathMatch::Regex).map_err(|error| MatchError::Regex(one_line(&error)))
    }

    /// Whether `path` agrees.
    pub(crate) fn matches(&self, path: &str) -> bool {
        match self {
            PathMatch::Any => true,
            PathMatch::Prefix(prefix) => path.starts_with(&*prefix.0),
            PathMatch::Exact(exact) => path.eq_ignore_ascii_case(&exact.0),
            PathMatch::Regex(regex) => regex.is_match(path),
        }
    }
}

impl PathText {
    fn parse(text: &str) -> Result<Self, MatchError> {
        // `*` is the path of a server-wide OPTIONS.
        if text == "*" || text.starts_with('/') && is_path_text(text) {
            Ok(PathText(text.into()))
        } else {
            Err(MatchError::Path)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl HeaderMatch {
    /// The first field called `name` has exactly this value.
    pub fn literal(name: &str, value: &str) -> Result<Self, MatchError> {
        let name = HeaderName::parse_readable(name)?;
        Ok(HeaderMatch { name, value: ValueMatch::Equals(value.as_bytes().into()) })
    }

    /// `pattern` is found anywhere in the value of the first field called
    /// `name`.
    pub fn regex(name: &str, pattern: &str) -> Result<Self, MatchError> {
        let name = HeaderName::parse_readable(name)?;
        let regex = BytesRegex::new(pattern).map_err(|error| MatchError::Regex(one_line(&error)))?;
        Ok(HeaderMatch { name, value: ValueMatch::Regex(regex) })
    }
}

impl RouteMatch {
    /// Puts the parts together. Two meanings depend on the whole, as in MOSN:
    /// beside a path condition a header called `method` means the HTTP method;
    /// and a sole `service` header without path condition whose value or
    /// pattern is `.*` asks for any value that is not empty.
    pub fn new(path: PathMatch, headers: Vec<HeaderMatch>) -> Self {
        let headers_only = matches!(path, PathMatch::Any);
        let sole = headers.len() == 1;
        let headers = headers
            .into_iter()
            .map(|HeaderMatch { name, value }| match name.as_str() {
                "method" if !headers_only => HeaderCondition::Method(value),
                "service" if headers_only && sole && value.is_dot_star() => {
                    HeaderCondition::Field(name, ValueMatch::NotEmpty)
                }
                _ => HeaderCondition::Field(name, value),
            })
            .collect();
        RouteMatch { path, headers }
    }

    /// Takes every request.
    pub fn any() -> Self {
        RouteMatch { path: PathMatch::Any, headers: Vec::new() }
    }

    /// The condition on the path.
    pub fn path(&self) -> &PathMatch {
        &self.path
    }

    /// Whether `request` agrees with all of it.
    pub fn matches(&self, request: &RequestHead) -> bool {
        self.path.matches(request.path()) && self.headers_match(request)
    }

    pub(crate) fn headers_match(&self, request: &RequestHead) -> bool {
        self.headers.iter().all(|condition| match condition {
            HeaderCondition::Method(value) => value.matches(request.method.as_str().as_bytes()),
            HeaderCondition::Field(name, value) if name.is_host() => {
                !request.authority.is_empty() && value.matches(request.authority.as_bytes())
            }
            HeaderCondition::Field(name, value) => {
                request.headers.get(name.as_bytes()).is_some_and(|found| value.matches(found))
            }
        })
    }
}

impl ValueMatch {
    fn matches(&self, found: &[u8]) -> bool {
        match self {
            ValueMatch::Equals(value) => found == &**value,
            ValueMatch::Regex(regex) => regex.is_match(found),
            ValueMatch::NotEmpty => !found.is_empty(),
        }
    }

    fn is_dot_star(&self) -> bool {
        match self {
            ValueMatch::Equals(value) => &**value == b".*",
            ValueMatch::Regex(regex) => regex.as_str() == ".*",
            ValueMatch::NotEmpty => false,
        }
    }
}

/// For logs and `%route_name%`: `prefix /api`, `path /a`, `regex ^/a`, `any`,
/// with the names of matched headers.
impl fmt::Display for RouteMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            PathMatch::Prefix(prefix) => write!(f, "prefix {}", prefix.0)?,
            PathMatch::Exact(exact) => write!(f, "path {}", exact.0)?,
            PathMatch::Regex(regex) => write!(f, "regex {regex}")?,
            PathMatch::Any => f.write_str("any")?,
        }
        for (index, condition) in self.headers.iter().enumerate() {
            f.write_str(if index == 0 { " with " } else { "," })?;
            f.write_str(match condition {
                HeaderCondition::Method(_) => "method",
                HeaderCondition::Field(name, _) => name.as_str(),
            })?;
        }
        Ok(())
    }
}

/// The last line of a regex error says what is wrong; the lines above draw
/// where.
pub(crate) fn one_line(error: &regex::Error) -> Box<str> {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).into()
}
