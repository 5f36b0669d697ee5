//! The parts of the request line, as filters may set them.

use std::borrow::Cow;

use super::{EditError, FilterCx};
use crate::{Method, Slashes, Variable, normalize_path};

impl FilterCx<'_> {
    pub(super) fn set_request_line(&mut self, variable: Variable, value: &[u8]) -> Result<(), EditError> {
        let request = &mut self.stream.request;
        if variable == Variable::Method {
            // Framing was decided by the method the client sent.
            let method = Method::parse(value).ok_or(EditError::BadValue)?;
            if method == Method::Connect || (method == Method::Head) != (request.method == Method::Head) {
                return Err(EditError::BadValue);
            }
            request.method = method;
            return Ok(());
        }
        let text = visible_ascii(value).ok_or(EditError::BadValue)?;
        match variable {
            Variable::Authority => {
                if text.bytes().any(|b| matches!(b, b'/' | b'?' | b'#' | b'@' | b',' | b'\\')) {
                    return Err(EditError::BadValue);
                }
                request.authority.clear();
                request.authority.push_str(text);
                request.authority.make_ascii_lowercase();
            }
            Variable::Path => {
                if !text.starts_with('/') || text.contains(['?', '#']) {
                    return Err(EditError::BadValue);
                }
                request.set_path(&normal_form(text)?);
            }
            Variable::Query => {
                if text.contains('#') {
                    return Err(EditError::BadValue);
                }
                let mut target = request.path().to_owned();
                if !text.is_empty() {
                    target.push('?');
                    target.push_str(text);
                }
                request.set_target(&target);
            }
            _ => {
                if !text.starts_with('/') || text.contains('#') {
                    return Err(EditError::BadValue);
                }
                request.set_target(&normal_form(text)?);
            }
        }
        Ok(())
    }
}

/// A path, with or without a query, as the codec would have made it of a
/// client's: what filters and routes judge afterwards is what the upstream gets.
/// Slashes stay as they are.
fn normal_form(text: &str) -> Result<Cow<'_, str>, EditError> {
    let (path, query) = text.split_at(text.find('?').unwrap_or(text.len()));
    if path.contains('\\') {
        return Err(EditError::BadValue);
    }
    if !path.contains('%') && !path.contains("/.") {
        return Ok(Cow::Borrowed(text));
    }
    let mut normal = String::with_capacity(text.len());
    normalize_path(path, Slashes::Keep, &mut normal).map_err(|_| EditError::BadValue)?;
    normal.push_str(query);
    Ok(Cow::Owned(normal))
}

fn visible_ascii(value: &[u8]) -> Option<&str> {
    if value.iter().all(|b| (0x21..0x7f).contains(b)) { std::str::from_utf8(value).ok() } else { None }
}
