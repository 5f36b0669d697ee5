//! Streams that are written down as text.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::{Outcome, TestHost, TestStream};
use crate::Variable;

/// Why a script was not played: a line that is none of its directives.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # #[derive(serde::Deserialize)] struct Pass {}
/// # impl RequestFilter for Pass {
/// #   fn on_request_headers(&self, _: &mut RequestHeaders<'_>) -> HookResult { Ok(Status::Continue) }
/// # }
/// # let host = TestHost::new::<Pass>(serde_json::json!({})).unwrap();
/// let error = host.play("request GET /\nbody unquoted").unwrap_err();
/// assert_eq!(error.to_string(), "line 2: expected a text in double quotes, found `unquoted`");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// Number of the line, from 1; 0 if the file cannot be read.
    pub line: usize,
    /// What was expected and what was found.
    pub message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return f.write_str(&self.message);
        }
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ScriptError {}

/// Where a header, body or trailer line belongs.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Request,
    Response,
}

/// A stream as far as it was read.
struct Draft<'h> {
    stream: TestStream<'h>,
    part: Part,
}

pub(super) fn play_file(host: &TestHost, file: &Path) -> Result<Vec<Outcome>, ScriptError> {
    let unreadable = |error| ScriptError { line: 0, message: format!("{}: {error}", file.display()) };
    play(host, &std::fs::read_to_string(file).map_err(unreadable)?)
}

pub(super) fn play(host: &TestHost, script: &str) -> Result<Vec<Outcome>, ScriptError> {
    let mut outcomes = Vec::new();
    let mut draft: Option<Draft<'_>> = None;
    for (index, line) in script.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fail = |message: String| ScriptError { line: index + 1, message };
        let (word, rest) = line.split_once(char::is_whitespace).map_or((line, ""), |(word, rest)| (word, rest.trim()));
        match word {
            "request" | "advance" => outcomes.extend(finish(draft.take()).map_err(fail)?),
            _ => {}
        }
        draft = match (word, draft) {
            ("request", _) => Some(begin(host, rest).map_err(fail)?),
            ("advance", _) => {
                host.advance(Duration::from_millis(number(rest).map_err(fail)?));
                None
            }
            (_, Some(draft)) => Some(draft.with(word, rest).map_err(fail)?),
            (_, None) => return Err(fail(format!("expected `request METHOD TARGET`, found `{line}`"))),
        };
    }
    let last = script.lines().count();
    outcomes.extend(finish(draft).map_err(|message| ScriptError { line: last, message })?);
    Ok(outcomes)
}

fn finish(draft: Option<Draft<'_>>) -> Result<Option<Outcome>, String> {
    let Some(draft) = draft else { return Ok(None) };
    draft.stream.try_run().map(Some).map_err(|refused| format!("`route` is refused: {refused}"))
}

fn begin<'h>(host: &'h TestHost, rest: &str) -> Result<Draft<'h>, String> {
    match rest.split_whitespace().collect::<Vec<_>>()[..] {
        [method, target] => Ok(Draft { stream: host.request(method, target, &[]), part: Part::Request }),
        _ => Err(format!("expected `request METHOD TARGET`, found `request {rest}`")),
    }
}

impl<'h> Draft<'h> {
    fn with(self, word: &str, rest: &str) -> Result<Self, String> {
        let Draft { mut stream, mut part } = self;
        match word {
            "body" => {
                let chunk = quoted(rest)?;
                stream = if part == Part::Request { stream.body(chunk) } else { stream.respond_body(chunk) };
            }
            "trailer" => {
                let field = field(rest)?;
                let to = if part == Part::Request { &mut stream.trailers } else { &mut stream.response.trailers };
                to.push(field);
            }
            "response" => {
                stream.response.status = number(rest)?;
                part = Part::Response;
            }
            "route" => {
                let json =
                    serde_json::from_str(rest).map_err(|error| format!("expected JSON, found `{rest}`: {error}"))?;
                stream = stream.route_config(json);
            }
            "named" => {
                let (name, value) = assignment(rest)?;
                stream = stream.named(name, value);
            }
            "variable" => {
                let (name, value) = assignment(rest)?;
                let known = Variable::ALL.into_iter().find(|variable| format!("{variable:?}") == name);
                stream = stream.variable(known.ok_or_else(|| format!("there is no variable `{name}`"))?, value);
            }
            "worker" => {
                let worker = number(rest)?;
                if worker >= stream.host.worker_states.len() {
                    return Err(format!("there is no worker {worker}"));
                }
                stream = stream.worker(worker);
            }
            "leave" if rest.is_empty() => stream = stream.leave_when_pending(),
            _ => {
                let (name, value) = field(&format!("{word} {rest}"))?;
                match part {
                    Part::Request if name == "host" => stream.authority = value,
                    Part::Request => stream.headers.push((name, value)),
                    Part::Response => stream.response.headers.push((name, value)),
                }
            }
        }
        Ok(Draft { stream, part })
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("expected a number, found `{text}`"))
}

fn field(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.contains(char::is_whitespace) && !name.is_empty() => {
            Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err(format!("expected `name: value` or a directive, found `{}`", text.trim())),
    }
}

fn assignment(text: &str) -> Result<(&str, &str), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("expected `NAME = VALUE`, found `{text}`"))?;
    Ok((name.trim(), value.trim()))
}

/// The bytes of a text in double quotes.
fn quoted(text: &str) -> Result<Vec<u8>, String> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let inner = inner.ok_or_else(|| format!("expected a text in double quotes, found `{text}`"))?;
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (byte, tail) = match rest {
            [b'n', tail @ ..] => (b'\n', tail),
            [b'r', tail @ ..] => (b'\r', tail),
            [b't', tail @ ..] => (b'\t', tail),
            [b'0', tail @ ..] => (b'\0', tail),
            [byte @ (b'\\' | b'"' | b'\''), tail @ ..] => (*byte, tail),
            [b'x', high, low, tail @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, tail),
                _ => return Err(format!("expected two hexadecimal digits after `\\x` in `{text}`")),
            },
            _ => return Err(format!("expected one of \\n \\r \\t \\0 \\\\ \\\" \\xNN in `{text}`")),
        };
        bytes.push(byte);
        rest = tail;
    }
    Ok(bytes)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}
