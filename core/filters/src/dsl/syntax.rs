//! From an expression's text to its tree, and back to places in the text.
//!
//! MOSN's expressions are CEL with one more operator: `a | b` is `a` if it is
//! there, and `b` otherwise. It binds like `+`, so it is read as one, at the
//! same place, and told apart by that place.

use std::fmt;

use cel::IdedExpr;
use cel::common::ast::SourceInfo;
use cel::parser::Parser;

/// Bytes of an expression, which also bounds its tree.
const TEXT: usize = 4 << 10;
/// Levels of brackets and calls.
const LEVELS: u16 = 48;

/// An expression that was read.
pub(super) struct Parsed<'t> {
    text: &'t str,
    pub(super) tree: IdedExpr,
    places: SourceInfo,
    /// Where `|` stands, in order.
    bars: Vec<usize>,
}

/// What is wrong with an expression, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    line: usize,
    /// Characters, from 1.
    column: usize,
    message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            1 => write!(f, "at character {}: {}", self.column, self.message),
            line => write!(f, "at character {} of line {line}: {}", self.column, self.message),
        }
    }
}

impl Problem {
    /// Something is wrong with all of an expression.
    pub(super) fn of_all(message: impl Into<String>) -> Problem {
        Problem { line: 1, column: 1, message: message.into() }
    }
}

impl<'t> Parsed<'t> {
    pub(super) fn new(text: &'t str) -> Result<Parsed<'t>, Problem> {
        if text.len() > TEXT {
            let found = text.len();
            return Err(Problem::of_all(format!("expected an expression of at most {TEXT} bytes, found {found}")));
        }
        let bars = bars(text);
        let mut read = text.to_owned();
        for &bar in &bars {
            read.replace_range(bar..=bar, "+");
        }
        let parser = Parser::new().max_recursion_depth(LEVELS);
        let (tree, places) = parser.parse_with_source_info(&read).map_err(|errors| {
            let first = errors.errors.first();
            let message = first.map_or("not an expression", |error| error.msg.as_str());
            let (line, column) = first.map_or((1, 1), |error| error.pos);
            if message.contains("Recursion limit") {
                return Problem::of_all(format!("expected at most {LEVELS} levels of brackets and calls"));
            }
            let place = |number: isize| usize::try_from(number).unwrap_or(1).max(1);
            Problem { line: place(line), column: place(column), message: shortened(message) }
        })?;
        Ok(Parsed { text, tree, places, bars })
    }

    /// Whether the operator of `sum` is `|`.
    pub(super) fn is_bar(&self, sum: &IdedExpr) -> bool {
        self.offset(sum).is_some_and(|at| self.bars.binary_search(&at).is_ok())
    }

    /// Something is wrong at `expression`.
    pub(super) fn problem(&self, expression: &IdedExpr, message: impl Into<String>) -> Problem {
        let before = self.offset(expression).and_then(|at| self.text.get(..at)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Problem { line, column, message: message.into() }
    }

    fn offset(&self, expression: &IdedExpr) -> Option<usize> {
        usize::try_from(self.places.offset_for(expression.id)?.0).ok()
    }
}

/// Places of `|` outside of strings, but for `||`.
fn bars(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let mut bars = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => at = end_of_string(bytes, at),
            b'|' if bytes.get(at + 1) == Some(&b'|') => at += 2,
            b'|' => {
                bars.push(at);
                at += 1;
            }
            // A comment.
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += bytes.get(at..).unwrap_or_default().iter().take_while(|byte| **byte != b'\n').count();
            }
            _ => at += 1,
        }
    }
    bars
}

/// Behind the string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let rest = |at: usize| bytes.get(at..).unwrap_or_default();
    let Some(&quote) = bytes.get(start) else { return start };
    let is_raw = start > 0 && matches!(bytes.get(start - 1), Some(b'r' | b'R'));
    let triple = [quote; 3];
    let closing: &[u8] = if rest(start).starts_with(&triple) { &triple } else { &triple[..1] };
    let mut at = start + closing.len();
    while at < bytes.len() {
        if rest(at).starts_with(closing) {
            return at + closing.len();
        }
        at += if !is_raw && bytes.get(at) == Some(&b'\\') { 2 } else { 1 };
    }
    bytes.len()
}

/// The parser lists every token that might stand there.
fn shortened(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    message.split(" expecting {").next().unwrap_or(message).replace("'<EOF>'", "end").replace("<EOF>", "end")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problem(text: &str) -> String {
        Parsed::new(text).err().map(|problem| problem.to_string()).unwrap_or_default()
    }

    #[test]
    fn bars_are_found_outside_of_strings() {
        for (text, expected) in [
            ("a | b || c", vec![2]),
            (r#""|" | '\'|' | r"\" | b"#, vec![4, 12, 19]),
            ("'''|'|''' | b // |\n | c", vec![10, 20]),
            ("\"|", vec![]),
        ] {
            assert_eq!(bars(text), expected, "{text}");
        }
    }

    #[test]
    fn problems_have_places() {
        assert_eq!(problem("a ==\n b c"), "at character 4 of line 2: extraneous input 'c' expecting end");
        assert!(problem("a +").starts_with("at character 4: mismatched input end"), "{}", problem("a +"));
        let long = "a".repeat(TEXT + 1);
        assert_eq!(problem(&long), "at character 1: expected an expression of at most 4096 bytes, found 4097");
    }

    proptest! {
        #[test]
        fn no_text_panics(
            text in prop::collection::vec(
                prop::sample::select(vec![
                    "a", ".", "(", ")", "[", "]", "{", "}", ",", "+", "|", "||", "&&", "==", "!", "?", ":", "\"", "'",
                    "r\"", "\\", "1", "1.", "0x", "u", "has(", " ", "\n", "é", "`", "//", "\u{0}", "in", "null", "all(",
                ]),
                0..20,
            ),
        ) {
            let _ = Parsed::new(&text.concat());
        }
    }
}
