//! Trailer sections.

use http::HeaderMap;
use sidegate_api::{Headers, check_trailer};

use crate::http1::Limits;
use crate::http1::error::BodyError;
use crate::http1::fields::{Known, classify};

use super::fields::check_edges;

const TOO_LARGE: BodyError = BodyError { status: 431, details: "trailers_too_large" };

/// Reads a trailer section. What may not travel in one is dropped, not merged:
/// RFC 9110 section 6.5.1.
pub fn decode_trailers(fields: &HeaderMap, limits: &Limits, trailers: &mut Headers) -> Result<(), BodyError> {
    if fields.len() > limits.max_headers {
        return Err(TOO_LARGE);
    }
    let mut bytes_left = limits.max_trailer_bytes;
    for (name, value) in fields {
        let (name, value) = (name.as_str(), value.as_bytes());
        bytes_left = bytes_left.checked_sub(name.len() + value.len() + 4).ok_or(TOO_LARGE)?;
        check_edges(value).map_err(|_| BodyError::bad("trailer_invalid"))?;
        if classify(name) == Known::EndToEnd && check_trailer(name.as_bytes(), value).is_ok() {
            trailers.add(name.as_bytes(), value).map_err(|_| TOO_LARGE)?;
        }
    }
    Ok(())
}
