//! The request target: its forms, its bytes, and its normal form.

use sidegate_api::{Method, RequestHead, normalize_path};

use super::authority;
use super::error::RequestError;
use super::{Limits, TargetBytes};

/// Who names the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetForm {
    /// Origin-form or `*`: the Host field does.
    NeedsHost,
    /// Absolute-form: the target did, and `head.authority` is set.
    NamesHost,
}

/// Checks `target` and writes its normal form into `head`, whose method must
/// be set. `scratch` is reused between calls.
pub(crate) fn decode(
    target: &str,
    limits: &Limits,
    head: &mut RequestHead,
    scratch: &mut Scratch,
) -> Result<TargetForm, RequestError> {
    if head.method == Method::Connect {
        return Err(RequestError::new(501, "connect_unsupported"));
    }
    if target.starts_with('/') {
        set_path_and_query(target, limits, head, scratch)?;
        return Ok(TargetForm::NeedsHost);
    }
    if target == "*" {
        if head.method != Method::Options {
            return Err(RequestError::bad("asterisk_target"));
        }
        head.set_target("*");
        return Ok(TargetForm::NeedsHost);
    }
    let rest = after_scheme(target)?;
    let authority_len = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(authority_len);
    authority::check(authority).map_err(RequestError::bad)?;
    set_authority(head, authority);
    match rest {
        // RFC 9112 section 3.2.4: this is how a proxy is asked for `*`.
        "" if head.method == Method::Options => head.set_target("*"),
        "" => head.set_target("/"),
        _ if rest.starts_with('/') => set_path_and_query(rest, limits, head, scratch)?,
        _ => {
            scratch.absolute.clear();
            scratch.absolute.push('/');
            scratch.absolute.push_str(rest);
            classify(scratch.absolute.as_bytes(), limits)?;
            head.set_target(&scratch.absolute);
        }
    }
    head.set_original_target(target.as_bytes());
    Ok(TargetForm::NamesHost)
}

/// Buffers for targets that are not in normal form already.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    absolute: String,
    normal: String,
}

impl Scratch {
    /// Gives back memory that a long target left behind.
    pub(crate) fn shrink(&mut self, max_bytes: usize) {
        self.absolute.shrink_to(max_bytes);
        self.normal.shrink_to(max_bytes);
    }
}

/// Stores `authority` in lower case.
pub(crate) fn set_authority(head: &mut RequestHead, authority: &str) {
    head.authority.clear();
    head.authority.push_str(authority);
    head.authority.make_ascii_lowercase();
}

fn after_scheme(target: &str) -> Result<&str, RequestError> {
    for scheme in ["http://", "https://"] {
        if let Some((start, rest)) = target.split_at_checked(scheme.len())
            && start.eq_ignore_ascii_case(scheme)
        {
            return Ok(rest);
        }
    }
    Err(RequestError::bad(if target.contains("://") { "scheme_unsupported" } else { "target_invalid" }))
}

fn set_path_and_query(
    target: &str,
    limits: &Limits,
    head: &mut RequestHead,
    scratch: &mut Scratch,
) -> Result<(), RequestError> {
    let (path_len, form) = classify(target.as_bytes(), limits)?;
    match form {
        PathForm::Normal => head.set_target(target),
        PathForm::Unknown => {
            normalize_path(&target[..path_len], limits.slashes, &mut scratch.normal).map_err(RequestError::bad)?;
            scratch.normal.push_str(&target[path_len..]);
            head.set_target(&scratch.normal);
            head.set_original_target(target.as_bytes());
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PathForm {
    /// Has neither escapes nor segments that start with a dot nor slashes to
    /// be merged.
    Normal,
    Unknown,
}

const INVALID: u8 = 1;
const BACKSLASH: u8 = 2;
const ESCAPE: u8 = 4;
const DOT: u8 = 8;
/// Part of a character that is not ASCII: the target is UTF-8 as a whole.
const UTF8: u8 = 16;

/// What each byte of a target may mean. The bytes that RFC 3986 leaves out but
/// clients send (`"<>^`{|}`) pass.
const CLASS: [u8; 256] = {
    let mut table = [INVALID; 256];
    let mut b = 0x21;
    while b < 0x7f {
        table[b] = match b as u8 {
            b'#' => INVALID,
            b'\\' => BACKSLASH,
            b'%' => ESCAPE,
            b'.' => DOT,
            _ => 0,
        };
        b += 1;
    }
    b = 0x80;
    while b < 256 {
        table[b] = UTF8;
        b += 1;
    }
    table
};

/// Checks all bytes of an origin-form target; returns the path's length and
/// whether it needs work.
fn classify(target: &[u8], limits: &Limits) -> Result<(usize, PathForm), RequestError> {
    let path_len = memchr::memchr(b'?', target).unwrap_or(target.len());
    let (path, query) = target.split_at(path_len);
    let in_path = path.iter().fold(0, |seen, &b| seen | CLASS[b as usize]);
    let in_query = query.iter().fold(0, |seen, &b| seen | CLASS[b as usize]);
    let refused = match limits.target_bytes {
        TargetBytes::Strict => INVALID | UTF8,
        TargetBytes::Lenient => INVALID,
    };
    if (in_path | in_query) & refused != 0 {
        let details = if target.contains(&b'#') { "fragment_in_target" } else { "target_invalid" };
        return Err(RequestError::bad(details));
    }
    if in_path & BACKSLASH != 0 {
        return Err(RequestError::bad("backslash_in_path"));
    }
    let unknown = in_path & ESCAPE != 0
        || (in_path & DOT != 0 && memchr::memmem::find(path, b"/.").is_some())
        || limits.slashes.are_to_be_merged(path);
    Ok((path_len, if unknown { PathForm::Unknown } else { PathForm::Normal }))
}
