//! Which requests a requirement is for.

use regex::bytes::{Regex, RegexBuilder};
use sidegate_api::{StreamState, is_token};

use super::requirement::Requirement;
use crate::settings::{Object, Setting};

/// One entry of `rules`.
#[derive(Debug)]
pub(super) struct Rule {
    path: PathMatch,
    headers: Vec<HeaderCondition>,
    requirement: Requirement,
}

#[derive(Debug)]
enum PathMatch {
    Text(TextMatch),
    /// In whole segments.
    Segments(Box<str>, Case),
}

#[derive(Debug)]
struct HeaderCondition {
    name: Box<[u8]>,
    /// `None`: it is there.
    value: Option<TextMatch>,
    /// What the condition comes to for the request to agree.
    wanted: bool,
}

#[derive(Debug)]
struct TextMatch {
    kind: TextKind,
    case: Case,
}

#[derive(Debug)]
enum TextKind {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Contains(Box<[u8]>),
    Regex(Regex),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Counts,
    Ignored,
}

impl Rule {
    /// Reads a rule; `providers` are names, `named` the requirements by name.
    pub(super) fn read(object: &Object<'_>, providers: &[&str], named: &[(&str, Requirement)]) -> Option<Rule> {
        let requirement = match (object.get("requires"), object.get("requirement_name")) {
            (Some(requires), _) => requires.object().map(|of| Requirement::read(&of, providers)),
            (None, Some(at)) => by_name(&at, named),
            (None, None) => Some(Requirement::None),
        };
        let matcher = object.get("match").and_then(|s| s.object());
        let headers = matcher.as_ref().and_then(|matcher| matcher.get("headers")).map(|s| s.list()).unwrap_or_default();
        let headers = headers.iter().filter_map(|s| HeaderCondition::read(&s.object()?)).collect();
        let path = matcher.as_ref().and_then(PathMatch::read);
        Some(Rule { path: path?, headers, requirement: requirement? })
    }

    pub(super) fn requirement(&self) -> &Requirement {
        &self.requirement
    }

    /// Whether it is for this request.
    pub(super) fn has(&self, stream: &StreamState) -> bool {
        self.path.agrees(stream.request.path()) && self.headers.iter().all(|header| header.agrees(stream))
    }
}

fn by_name(at: &Setting<'_>, named: &[(&str, Requirement)]) -> Option<Requirement> {
    let name = at.text()?;
    let found = named.iter().find(|(known, _)| *known == name);
    if found.is_none() {
        let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
        at.expected(format!("a name in requirement_map ({})", names.join(", ")));
    }
    found.map(|(_, requirement)| requirement.clone())
}

impl PathMatch {
    fn read(matcher: &Object<'_>) -> Option<PathMatch> {
        let case = match matcher.get("case_sensitive").and_then(|s| s.bool()) {
            Some(false) => Case::Ignored,
            _ => Case::Counts,
        };
        if let Some(at) = matcher.get("path_separated_prefix") {
            return Some(PathMatch::Segments(at.text()?.trim_end_matches('/').into(), case));
        }
        let kind = TextKind::read(matcher, ["path", "prefix", "", "", "safe_regex"]);
        Some(PathMatch::Text(TextMatch { kind: kind?, case }))
    }

    fn agrees(&self, path: &str) -> bool {
        match self {
            PathMatch::Text(text) => text.agrees(path.as_bytes()),
            PathMatch::Segments(prefix, case) => {
                let Some((start, rest)) = path.as_bytes().split_at_checked(prefix.len()) else { return false };
                case.same(start, prefix.as_bytes()) && matches!(rest.first(), None | Some(b'/'))
            }
        }
    }
}

impl HeaderCondition {
    fn read(object: &Object<'_>) -> Option<HeaderCondition> {
        let name = object.get("name").and_then(|s| s.parsed(name))?;
        let invert = object.get("invert_match").and_then(|s| s.bool()).unwrap_or_default();
        let present = object.get("present_match").and_then(|s| s.bool()).unwrap_or(true);
        let value = match object.get("string_match") {
            Some(at) => {
                let at = at.object()?;
                let ignored = at.get("ignore_case").and_then(|s| s.bool()).unwrap_or_default();
                let case = if ignored { Case::Ignored } else { Case::Counts };
                let kind = TextKind::read(&at, ["exact", "prefix", "suffix", "contains", "safe_regex"]);
                Some(TextMatch { kind: kind?, case })
            }
            None => {
                let keys = ["exact_match", "prefix_match", "suffix_match", "contains_match", "safe_regex_match"];
                TextKind::read(object, keys).map(|kind| TextMatch { kind, case: Case::Counts })
            }
        };
        Some(HeaderCondition { name, value, wanted: present != invert })
    }

    fn agrees(&self, stream: &StreamState) -> bool {
        let request = &stream.request;
        let found = match &*self.name {
            b":method" => Some(request.method.as_str().as_bytes()),
            b"host" => Some(request.authority.as_bytes()).filter(|authority| !authority.is_empty()),
            name => request.headers.get(name),
        };
        let holds = match (&self.value, found) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(text), Some(found)) => text.agrees(found),
        };
        holds == self.wanted
    }
}

impl TextKind {
    /// The one of these keys (exact, prefix, suffix, contains, pattern) that is
    /// there; tables see to it that there are not two.
    fn read(object: &Object<'_>, keys: [&'static str; 5]) -> Option<TextKind> {
        let kinds = [TextKind::Exact, TextKind::Prefix, TextKind::Suffix, TextKind::Contains];
        for (key, kind) in keys.into_iter().zip(kinds as [fn(Box<[u8]>) -> TextKind; 4]) {
            if let Some(at) = Some(key).filter(|key| !key.is_empty()).and_then(|key| object.get(key)) {
                return Some(kind(at.text()?.as_bytes().into()));
            }
        }
        object.get(keys[4])?.object()?.get("regex")?.regex(whole).map(TextKind::Regex)
    }
}

impl TextMatch {
    fn agrees(&self, text: &[u8]) -> bool {
        let case = self.case;
        let cut = |part: &[u8], at: Option<usize>| at.and_then(|at| text.get(at..at + part.len()));
        match &self.kind {
            TextKind::Exact(exact) => case.same(text, exact),
            TextKind::Prefix(prefix) => cut(prefix, Some(0)).is_some_and(|start| case.same(start, prefix)),
            TextKind::Suffix(suffix) => {
                cut(suffix, text.len().checked_sub(suffix.len())).is_some_and(|end| case.same(end, suffix))
            }
            // Tables see to it that it is not empty.
            TextKind::Contains(part) => text.windows(part.len().max(1)).any(|window| case.same(window, part)),
            TextKind::Regex(regex) => regex.is_match(text),
        }
    }
}

impl Case {
    fn same(self, one: &[u8], other: &[u8]) -> bool {
        match self {
            Case::Counts => one == other,
            Case::Ignored => one.eq_ignore_ascii_case(other),
        }
    }
}

/// `:method`, or a header name, where `:authority` is `host`.
fn name(text: &str) -> Result<Box<[u8]>, &'static str> {
    match text {
        ":method" => Ok(text.as_bytes().into()),
        ":authority" => Ok(Box::from(*b"host")),
        _ if is_token(text.as_bytes()) => Ok(text.to_ascii_lowercase().into_bytes().into()),
        _ => Err("expected a header name, :method or :authority"),
    }
}

/// A pattern for all of a text, as Envoy means it.
fn whole(text: &str) -> Result<Regex, String> {
    // Alone first, so that `a)(b` is not mended by the parentheses around it.
    crate::header_match::pattern(text)?;
    RegexBuilder::new(&format!("^(?:{text})$")).build().map_err(|_| "expected a regular expression".to_owned())
}
