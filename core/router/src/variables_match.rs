//! Conditions on variables.

use std::fmt;

use sidegate_api::{StreamState, VariableValue};

use crate::matcher::{MatchError, ValueMatch};
use crate::variable::StreamVariable;

/// `match.variables`: conditions that are linked by `and` and `or`, where
/// `and` binds closer.
#[derive(Debug, Clone)]
pub struct VariablesMatch(
    /// One of these must agree in all of its parts.
    Vec<Vec<VariableMatch>>,
);

/// One entry of it.
#[derive(Debug, Clone)]
pub struct VariableMatch {
    /// As written, for logs.
    name: Box<str>,
    variable: StreamVariable,
    value: ValueMatch,
}

/// `model`: how an entry is linked to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// `and`
    #[default]
    And,
    /// `or`
    Or,
}

impl VariableMatch {
    /// The variable has exactly this value. One that is not there counts as
    /// empty, as in MOSN.
    pub fn literal(name: &str, value: &str) -> Result<Self, MatchError> {
        Self::new(name, ValueMatch::Equals(value.as_bytes().into()))
    }

    /// `pattern` is found anywhere in its value.
    pub fn regex(name: &str, pattern: &str) -> Result<Self, MatchError> {
        Self::new(name, ValueMatch::regex(pattern)?)
    }

    fn new(name: &str, value: ValueMatch) -> Result<Self, MatchError> {
        Ok(VariableMatch { name: name.into(), variable: StreamVariable::parse_early(name)?, value })
    }

    fn matches(&self, stream: &StreamState) -> bool {
        match self.variable.get(stream) {
            Some(VariableValue::Bytes(bytes)) => self.value.matches(bytes),
            Some(VariableValue::Integer(number)) => self.value.matches(itoa::Buffer::new().format(number).as_bytes()),
            None => self.value.matches(b""),
        }
    }
}

impl VariablesMatch {
    /// Links the entries; the last one's link has no meaning.
    pub fn new(entries: impl IntoIterator<Item = (VariableMatch, Link)>) -> Self {
        let mut groups = vec![Vec::new()];
        let mut link = Link::And;
        for (entry, next) in entries {
            if link == Link::Or {
                groups.push(Vec::new());
            }
            link = next;
            if let Some(group) = groups.last_mut() {
                group.push(entry);
            }
        }
        VariablesMatch(groups)
    }

    pub(crate) fn matches(&self, stream: &StreamState) -> bool {
        self.0.iter().any(|group| group.iter().all(|entry| entry.matches(stream)))
    }
}

/// The names of the variables.
impl fmt::Display for VariablesMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entry) in self.0.iter().flatten().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            f.write_str(&entry.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries as `method=PUT`, or `method~P` for a pattern, with their links.
    fn matches(entries: &[(&str, Link)]) -> bool {
        let mut stream = StreamState::default();
        stream.request.set_target("/a?q");
        let entries = entries.iter().map(|(text, link)| {
            let made = match text.split_once('=') {
                Some((name, value)) => VariableMatch::literal(name, value),
                None => text.split_once('~').map(|(name, pattern)| VariableMatch::regex(name, pattern)).unwrap(),
            };
            (made.unwrap(), *link)
        });
        VariablesMatch::new(entries).matches(&stream)
    }

    #[test]
    fn and_binds_closer_than_or() {
        const YES: &str = "method=GET";
        const NO: &str = "method=PUT";
        use Link::{And, Or};
        for (entries, wanted) in [
            (&[(YES, And)][..], true),
            (&[(NO, And)], false),
            (&[(NO, Or)], false),
            (&[(YES, And), (NO, And)], false),
            (&[(NO, Or), (YES, And)], true),
            (&[(NO, Or), (YES, And), (NO, And)], false),
            (&[(YES, Or), (YES, And), (NO, And)], true),
            (&[(NO, And), (YES, Or), (NO, Or), (YES, Or)], true),
            (&[("path~^/a$", And), ("query=q", And)], true),
            (&[("request_arg_none=", And), ("cookie_none~^$", And)], true),
            (&[("request_id~.", And)], false),
        ] {
            assert_eq!(matches(entries), wanted, "{entries:?}");
        }
    }

    #[test]
    fn names_and_patterns_are_checked() {
        assert!(matches!(VariableMatch::literal("nope", "x"), Err(MatchError::Variable(_))));
        assert!(matches!(VariableMatch::literal("response_code", "200"), Err(MatchError::Variable(_))));
        assert!(matches!(VariableMatch::regex("path", "("), Err(MatchError::Regex(_))));
    }
}
