//! Text with `%name%` parts, cut into pieces.

use std::fmt;

use sidegate_api::variable_name;

use super::LogStyle;
use super::field::Field;
use super::of_mosn;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(Box<str>),
    Field(Field),
}

/// A format was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// No variable has that name.
    Unknown {
        /// The name.
        name: String,
        /// The name that was probably meant.
        nearest: Option<String>,
        /// Byte in the format at which `%name%` starts.
        at: usize,
    },
    /// A variable of MOSN's that is not here.
    NotHere {
        /// The name.
        name: String,
        /// What it is.
        why: &'static str,
        /// Byte in the format at which `%name%` starts.
        at: usize,
    },
    /// A `%` without its partner.
    Unclosed {
        /// Byte in the format at which the lonely `%` stands.
        at: usize,
    },
    /// A line feed or another control byte in the text.
    Control {
        /// Byte in the format at which it stands.
        at: usize,
    },
    /// Nothing to log.
    Empty,
    /// Something within a JSON format.
    Within {
        /// Keys and indexes that lead there, such as `request.path`.
        path: String,
        /// What is wrong there.
        problem: Box<FormatError>,
    },
}

/// Cuts `text`; neighbouring pieces of text are one.
///
/// A percent sign that begins no name is one: `100%`, `5% of 10%`. One in front
/// of a name that a variable has, and that does not end, is a mistake.
pub(super) fn cut(text: &str, style: LogStyle) -> Result<Vec<Piece>, FormatError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(before) = rest.find('%') {
        let at = text.len() - rest.len() + before;
        literal.push_str(&rest[..before]);
        let after = &rest[before + 1..];
        let name = variable_name(after);
        let part = after.split_once('%').map(|(part, _)| part);
        let field = match part.map(|part| (part, Field::named(part, style))) {
            Some(("", _)) => {
                literal.push('%');
                rest = &after[1..];
                continue;
            }
            Some((part, Some(field))) => {
                rest = &after[part.len() + 1..];
                field
            }
            Some((part, None)) if part == name => {
                return Err(unknown(name, at));
            }
            _ if Field::named(name, style).is_some() => return Err(FormatError::Unclosed { at }),
            _ => {
                literal.push('%');
                rest = after;
                continue;
            }
        };
        push_text(&mut pieces, &mut literal);
        pieces.push(Piece::Field(field));
    }
    literal.push_str(rest);
    push_text(&mut pieces, &mut literal);
    Ok(pieces)
}

fn unknown(name: &str, at: usize) -> FormatError {
    let owned = name.to_owned();
    match of_mosn::not_here(name) {
        Some(why) => FormatError::NotHere { name: owned, why, at },
        None => FormatError::Unknown { name: owned, nearest: Field::nearest(name), at },
    }
}

fn push_text(pieces: &mut Vec<Piece>, literal: &mut String) {
    if !literal.is_empty() {
        pieces.push(Piece::Text(std::mem::take(literal).into()));
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::Unknown { name, nearest, at } => {
                write!(f, "unknown variable `%{name}%` at byte {at}")?;
                nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean `%{nearest}%`?"))
            }
            FormatError::NotHere { name, why, at } => {
                write!(f, "MOSN's variable `%{name}%` at byte {at} is not in Sidegate: {why}")
            }
            FormatError::Unclosed { at } => {
                write!(f, "`%` at byte {at} has no partner; write `%name%`, or `%%` for a percent sign")
            }
            FormatError::Control { at } => write!(f, "control character at byte {at}; a line is one line"),
            FormatError::Empty => f.write_str("the format is empty"),
            FormatError::Within { path, problem } => write!(f, "in `{path}`: {problem}"),
        }
    }
}
