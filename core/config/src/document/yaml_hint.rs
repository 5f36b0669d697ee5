//! Words of our own for what is wrong with a YAML file's indentation: scanners
//! notice it later than people make it, and in terms of their grammar.

use super::{Position, SyntaxError};

/// What is most likely wrong at or after `position`, where a scanner stopped,
/// if it is the indentation.
pub(super) fn explain(text: &str, position: Position) -> Option<SyntaxError> {
    let lines: Vec<&str> = text.lines().collect();
    let stopped = (position.line as usize).checked_sub(1)?;
    tab(&lines, stopped).or_else(|| indentation(&lines, stopped))
}

/// A tab in front of what a line says; the scanner may have stopped in the line
/// before, whose value it took for going on.
fn tab(lines: &[&str], stopped: usize) -> Option<SyntaxError> {
    let content = (stopped..lines.len()).filter(|&at| says_something(lines[at])).take(2);
    let (at, column) = content.filter_map(|at| Some((at, blanks(lines[at]).find('\t')?))).next()?;
    Some(SyntaxError {
        position: place(at, column),
        expected: "blanks in front of what a line says".to_owned(),
        found: "a tab, which YAML does not take for indentation".to_owned(),
    })
}

fn indentation(lines: &[&str], stopped: usize) -> Option<SyntaxError> {
    let line = lines.get(stopped).filter(|line| says_something(line))?;
    let indent = blanks(line).len();
    // Columns of the blocks that are open where the line begins, from the
    // innermost out, and the line that began each.
    let mut open: Vec<(usize, usize)> = Vec::new();
    for at in (0..stopped).rev().filter(|&at| says_something(lines[at])) {
        for column in columns(lines[at]).into_iter().rev() {
            if open.last().is_none_or(|(innermost, _)| column < *innermost) {
                open.push((column, at));
            }
        }
        if open.last().is_some_and(|(column, _)| *column == 0) {
            break;
        }
    }
    let &(innermost, before) = open.first()?;
    let opens_block = lines[before].trim_end().ends_with(':');
    if open.iter().any(|(column, _)| *column == indent) || (indent > innermost && opens_block) {
        return None;
    }
    let fitting = open.iter().map(|(column, at)| format!("{column} (as line {})", at + 1));
    // The nearest two: one of them was meant.
    let fitting: Vec<String> = match indent > innermost {
        true => fitting.take(1).collect(),
        false => {
            let inner = open.iter().rposition(|(column, _)| *column > indent).unwrap_or(0);
            fitting.skip(inner).take(2).collect()
        }
    };
    Some(SyntaxError {
        position: place(stopped, indent),
        expected: format!("an indentation of {}", fitting.join(" or ")),
        found: indent.to_string(),
    })
}

/// Where the keys and dashes of a line stand.
fn columns(line: &str) -> Vec<usize> {
    let mut column = blanks(line).len();
    let mut found = vec![column];
    let mut rest = line.get(column..).unwrap_or_default();
    while let Some(after) = rest.strip_prefix("- ") {
        let skipped = after.len() - after.trim_start_matches(' ').len() + 2;
        column += skipped;
        rest = rest.get(skipped..).unwrap_or_default();
        if !rest.is_empty() {
            found.push(column);
        }
    }
    found
}

fn blanks(line: &str) -> &str {
    line.get(..line.len() - line.trim_start_matches([' ', '\t']).len()).unwrap_or_default()
}

fn says_something(line: &str) -> bool {
    !matches!(line.trim_start().chars().next(), None | Some('#'))
}

fn place(line: usize, column: usize) -> Position {
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position::new(narrow(line + 1), narrow(column + 1))
}
