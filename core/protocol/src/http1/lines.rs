//! What httparse leaves to its caller: it takes bare LF as a line end.

use std::mem::MaybeUninit;

use sidegate_api::Headers;

use super::error::RequestError;

/// Fields that fit on the stack; more than that are parsed into a `Vec`.
pub(super) const FIELDS_ON_STACK: usize = 128;

pub(super) type Slot<'buf> = MaybeUninit<httparse::Header<'buf>>;

/// Room for more fields than the stack has.
pub(super) fn slots_on_heap<'buf>(count: usize) -> Vec<Slot<'buf>> {
    (0..count).map(|_| MaybeUninit::uninit()).collect()
}

/// Why a head with more fields than there was room for is refused.
pub(super) const TOO_MANY: &str = "too_many_headers";

/// Remembers how the names of all fields were written.
#[cold]
pub(super) fn note_spelling(fields: &[httparse::Header<'_>], headers: &mut Headers) {
    for field in fields {
        headers.note_spelling(field.name.as_bytes());
    }
}

/// Checks that every line of the parsed `head` ends with CRLF. httparse lets
/// LF stand nowhere but at a line's end, so the bytes before each name and the
/// last four are all there is to check.
pub(super) fn check_line_ends(head: &[u8], fields: &[httparse::Header<'_>]) -> Result<(), RequestError> {
    let base = head.as_ptr() as usize;
    let ends_before = |name: &str| {
        let at = (name.as_ptr() as usize).wrapping_sub(base);
        head.get(..at).is_some_and(|before| before.ends_with(b"\r\n"))
    };
    if head.ends_with(b"\r\n\r\n") && fields.iter().all(|field| ends_before(field.name)) {
        Ok(())
    } else {
        Err(RequestError::bad("bare_line_feed"))
    }
}

/// What httparse's verdict means for a peer.
pub(super) fn parse_error(error: httparse::Error) -> RequestError {
    match error {
        httparse::Error::HeaderName => RequestError::bad("header_name_invalid"),
        httparse::Error::HeaderValue => RequestError::bad("header_value_invalid"),
        httparse::Error::NewLine => RequestError::bad("line_end_invalid"),
        httparse::Error::Status => RequestError::bad("status_invalid"),
        httparse::Error::Token => RequestError::bad("start_line_invalid"),
        httparse::Error::TooManyHeaders => RequestError::new(431, TOO_MANY),
        httparse::Error::Version => RequestError::bad("version_invalid"),
    }
}
