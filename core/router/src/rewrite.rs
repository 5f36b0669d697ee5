//! `regex_rewrite`.

use regex::Regex;

use crate::matcher::one_line;
use crate::target::is_path_text;

/// Replaces every match of a pattern in the path.
#[derive(Debug, Clone)]
pub struct PathSubstitution {
    pattern: Regex,
    replacement: Box<str>,
}

/// A `regex_rewrite` cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubstitutionError {
    /// The pattern does not compile.
    #[error("expected a regular expression: {0}")]
    Pattern(Box<str>),
    /// The replacement would leave the path.
    #[error("expected path text in ASCII without blanks, `?` and `#`")]
    Replacement,
}

impl PathSubstitution {
    /// `replacement` refers to groups as `$1` or `${name}`, as in MOSN.
    pub fn parse(pattern: &str, replacement: &str) -> Result<Self, SubstitutionError> {
        let pattern = Regex::new(pattern).map_err(|error| SubstitutionError::Pattern(one_line(&error)))?;
        if !is_path_text(replacement) {
            return Err(SubstitutionError::Replacement);
        }
        Ok(PathSubstitution { pattern, replacement: replacement.into() })
    }

    /// The new path; `None` if the pattern does not match.
    pub(crate) fn apply(&self, path: &str) -> Option<String> {
        match self.pattern.replace_all(path, &*self.replacement) {
            std::borrow::Cow::Borrowed(_) => None,
            std::borrow::Cow::Owned(path) => Some(path),
        }
    }
}
