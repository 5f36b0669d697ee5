//! Which requests a route takes.

use std::fmt;

use regex::Regex;
use regex::bytes::Regex as BytesRegex;
use sidegate_api::{RequestHead, StreamState};

use crate::header_name::{HeaderName, HeaderNameError};
use crate::target::is_path_text;
use crate::variable::VariableError;
use crate::variables_match::VariablesMatch;

/// The condition of one route: all parts must agree.
#[derive(Debug, Clone)]
pub struct RouteMatch {
    path: PathMatch,
    headers: Vec<HeaderCondition>,
    variables: Option<VariablesMatch>,
}

/// What a path must be.
#[derive(Debug, Clone)]
pub enum PathMatch {
    /// Anything.
    Any,
    /// It starts with this text. `/` also takes the `*` of a server-wide
    /// OPTIONS, which is about everything that `/` is about.
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
    /// No variable has such a name, or none that is known so early.
    #[error(transparent)]
    Variable(#[from] VariableError),
}

/// A condition on some bytes.
#[derive(Debug, Clone)]
pub(crate) enum ValueMatch {
    Equals(Box<[u8]>),
    /// Found anywhere in them.
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
            PathMatch::Prefix(prefix) => path.starts_with(&*prefix.0) || (path == "*" && &*prefix.0 == "/"),
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
        Ok(HeaderMatch { name, value: ValueMatch::regex(pattern)? })
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
        RouteMatch { path, headers, variables: None }
    }

    /// Takes the requests whose variables agree.
    pub fn by_variables(variables: VariablesMatch) -> Self {
        RouteMatch { variables: Some(variables), ..Self::any() }
    }

    /// Takes every request.
    pub fn any() -> Self {
        RouteMatch { path: PathMatch::Any, headers: Vec::new(), variables: None }
    }

    /// The condition on the path.
    pub fn path(&self) -> &PathMatch {
        &self.path
    }

    /// Whether a request agrees with all of it.
    pub fn matches(&self, stream: &StreamState) -> bool {
        self.path.matches(stream.request.routed_path()) && self.agrees_beside_path(stream)
    }

    /// Whether a request agrees with all of it but the path.
    pub(crate) fn agrees_beside_path(&self, stream: &StreamState) -> bool {
        self.headers.iter().all(|condition| condition.matches(&stream.request))
            && self.variables.as_ref().is_none_or(|variables| variables.matches(stream))
    }

    /// Whether the path is all it asks for.
    pub fn asks_for_path_alone(&self) -> bool {
        self.headers.is_empty() && self.variables.is_none()
    }
}

impl HeaderCondition {
    fn matches(&self, request: &RequestHead) -> bool {
        match self {
            HeaderCondition::Method(value) => value.matches(request.method.as_str().as_bytes()),
            HeaderCondition::Field(name, value) if name.is_host() => {
                !request.authority.is_empty() && value.matches(request.authority.as_bytes())
            }
            HeaderCondition::Field(name, value) => {
                request.headers.get(name.as_bytes()).is_some_and(|found| value.matches(found))
            }
        }
    }
}

impl ValueMatch {
    pub(crate) fn regex(pattern: &str) -> Result<Self, MatchError> {
        BytesRegex::new(pattern).map(ValueMatch::Regex).map_err(|error| MatchError::Regex(one_line(&error)))
    }

    pub(crate) fn matches(&self, found: &[u8]) -> bool {
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
            PathMatch::Any => match &self.variables {
                Some(variables) => write!(f, "variables {variables}")?,
                None => f.write_str("any")?,
            },
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
