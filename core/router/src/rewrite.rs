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
    #[error("expected path text in ASCII without blanks, `?`, `#` and `\\` (groups are `$1`)")]
    Replacement,
}

impl PathSubstitution {
    /// `replacement` refers to groups as `$1` or `${name}`, as in MOSN.
    pub fn parse(pattern: &str, replacement: &str) -> Result<Self, SubstitutionError> {
        let pattern = Regex::new(pattern).map_err(|error| SubstitutionError::Pattern(one_line(&error)))?;
        // No request has a backslash in its path, and some take it for a slash.
        if !is_path_text(replacement) || replacement.contains('\\') {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_go_s_and_a_backslash_is_refused() {
        let rewrite = PathSubstitution::parse("^/re/([0-9]+)$", "/id/$1").unwrap();
        assert_eq!(rewrite.apply("/re/12").as_deref(), Some("/id/12"));
        for replacement in ["/id/\\1", "/a b", "/a?b", "/a#b", "/\u{e9}"] {
            assert!(
                matches!(PathSubstitution::parse("^/", replacement), Err(SubstitutionError::Replacement)),
                "{replacement}"
            );
        }
    }
}
