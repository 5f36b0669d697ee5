//! Values of `*_headers_to_add`.

use sidegate_api::{StreamState, VariableValue, is_header_value, variable_name};

use crate::header_name::HeaderNameError;
use crate::variable::{StreamVariable, VariableError};

/// Literal text with `%variable%` parts; `%%` is a percent sign, and so is one
/// that begins no name: `100%`.
///
/// Variables are named as [`StreamVariable`] says. MOSN knows only values that
/// are one variable or one literal, and drops others with a warning; what it
/// accepts means the same here.
#[derive(Debug, Clone)]
pub struct HeaderValueTemplate(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Literal(Box<str>),
    Variable(StreamVariable),
}

/// A text is no value for a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// No variable has that name.
    #[error("`%{0}%` is no variable")]
    UnknownVariable(String),
    /// A variable's name with a percent sign in front alone.
    #[error("`%{0}` begins a variable that does not end; write `%{0}%`, or `%%` for a percent sign")]
    Unterminated(String),
    /// Control bytes, or blanks at an end.
    #[error("header value has a control byte, or a blank at an end")]
    BadValue,
    /// `request_header_` or `response_header_` without a header's name.
    #[error(transparent)]
    Header(#[from] HeaderNameError),
}

impl HeaderValueTemplate {
    /// Parses a value.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if !is_header_value(text.as_bytes()) {
            return Err(TemplateError::BadValue);
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            literal.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let name = variable_name(after);
            let part = after.split_once('%').map(|(part, _)| part);
            match part.map(|part| (part, Part::variable(part))) {
                Some(("", _)) => {
                    literal.push('%');
                    rest = &after[1..];
                }
                Some((part, Ok(variable))) => {
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal).into()));
                    }
                    parts.push(variable);
                    rest = &after[part.len() + 1..];
                }
                Some((part, Err(error))) if part == name => return Err(error),
                _ if Part::variable(name).is_ok() => return Err(TemplateError::Unterminated(name.to_owned())),
                _ => {
                    literal.push('%');
                    rest = after;
                }
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        Ok(HeaderValueTemplate(parts))
    }

    /// Appends the value to `out`. Parts without a value give nothing.
    pub fn render(&self, stream: &StreamState, out: &mut Vec<u8>) {
        for part in &self.0 {
            let value = match part {
                Part::Literal(text) => text.as_bytes(),
                Part::Variable(variable) => match variable.get(stream) {
                    Some(VariableValue::Bytes(bytes)) => bytes,
                    Some(VariableValue::Integer(number)) => {
                        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
                        continue;
                    }
                    None => continue,
                },
            };
            out.extend_from_slice(value);
        }
    }
}

impl HeaderValueTemplate {
    /// Whether it has no variable part.
    pub(crate) fn is_constant(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Literal(_)))
    }
}

impl Part {
    fn variable(name: &str) -> Result<Self, TemplateError> {
        StreamVariable::parse(name).map(Part::Variable).map_err(|error| match error {
            VariableError::Header(error) => TemplateError::Header(error),
            VariableError::Unknown(_) | VariableError::TooLate(_) => TemplateError::UnknownVariable(name.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, stream: &StreamState) -> String {
        let mut out = Vec::new();
        HeaderValueTemplate::parse(text).unwrap().render(stream, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn literals_variables_and_headers_join() {
        let mut stream = StreamState::default();
        stream.request.set_target("/a/b?c");
        stream.request.authority.push_str("x.y:1");
        stream.request.headers.add(b"user", b"admin").unwrap();
        stream.response.status = 204;
        assert_eq!(rendered("plain", &stream), "plain");
        assert_eq!(rendered("", &stream), "");
        assert_eq!(rendered("%path%", &stream), "/a/b");
        for literal in ["100%", "%", "50% off", "1% of 10%", "a%20b%20c", "% path %"] {
            assert_eq!(rendered(literal, &stream), literal);
        }
        assert_eq!(rendered("100%% of %path%", &stream), "100% of /a/b");
        assert_eq!(rendered("<%host%%path%?%query%> 5%%", &stream), "<x.y:1/a/b?c> 5%");
        assert_eq!(rendered("%request_header_User%-%request_header_host%", &stream), "admin-x.y:1");
        assert_eq!(rendered("%response_code%%response_header_none%%upstream_host%", &stream), "204");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        let parse = |text: &str| HeaderValueTemplate::parse(text).map(|_| ()).unwrap_err();
        assert_eq!(parse("%nope%"), TemplateError::UnknownVariable("nope".into()));
        assert_eq!(parse("%path/x"), TemplateError::Unterminated("path".into()));
        assert_eq!(parse("a\r\nb: c"), TemplateError::BadValue);
        assert_eq!(parse("%request_header_%"), TemplateError::Header(HeaderNameError::NotAToken));
    }
}
