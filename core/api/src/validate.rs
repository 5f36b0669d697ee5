//! What may stand in a header field that a filter or a configuration writes.

/// Why a header field was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderProblem {
    /// The name is empty or has a byte outside RFC 9110 `token`.
    #[error("header name is not a token")]
    BadName,
    /// The value has CR, LF, NUL or another control byte.
    #[error("header value has a control byte")]
    BadValue,
    /// Framing and hop-by-hop fields belong to the host.
    #[error("framing and hop-by-hop header fields belong to the proxy")]
    Reserved,
}

/// RFC 9110 section 5.6.2.
pub fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&b| TOKEN[b as usize])
}

/// RFC 9110 section 5.5: visible ASCII, blank, tab and obs-text; no leading or
/// trailing blank.
pub fn is_header_value(value: &[u8]) -> bool {
    value.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f))
        && value.first().is_none_or(|b| !matches!(b, b' ' | b'\t'))
        && value.last().is_none_or(|b| !matches!(b, b' ' | b'\t'))
}

/// Fields that describe one connection and never travel on (RFC 9110 section
/// 7.6.1 and the customary rest). `name` must be lower case.
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    matches!(name, b"connection" | b"keep-alive" | b"proxy-connection" | b"te" | b"transfer-encoding" | b"upgrade")
}

/// Checks a field that a filter wants to write. `name` in any case.
pub fn check_filter_header(name: &[u8], value: &[u8]) -> Result<(), HeaderProblem> {
    if !is_token(name) {
        return Err(HeaderProblem::BadName);
    }
    if !is_header_value(value) {
        return Err(HeaderProblem::BadValue);
    }
    let mut lower = [0_u8; 20];
    if let Some(lower) = lower.get_mut(..name.len()) {
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        if is_hop_by_hop(lower) || matches!(&*lower, b"content-length" | b"trailer" | b"expect") {
            return Err(HeaderProblem::Reserved);
        }
    }
    Ok(())
}

/// Checks a trailer field, from a peer or a filter: trailers never carry
/// framing, routing or credentials (RFC 9110 section 6.5.1). `name` in any
/// case; the value is checked too.
pub fn check_trailer(name: &[u8], value: &[u8]) -> Result<(), HeaderProblem> {
    check_filter_header(name, value)?;
    const FORBIDDEN: [&[u8]; 23] = [
        b"host",
        b"authorization",
        b"proxy-authorization",
        b"proxy-authenticate",
        b"www-authenticate",
        b"cookie",
        b"set-cookie",
        b"content-encoding",
        b"content-type",
        b"content-range",
        b"cache-control",
        b"expect",
        b"max-forwards",
        b"pragma",
        b"range",
        b"location",
        b"age",
        b"expires",
        b"x-forwarded-client-cert",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"forwarded",
    ];
    if FORBIDDEN.iter().any(|f| f.eq_ignore_ascii_case(name)) {
        return Err(HeaderProblem::Reserved);
    }
    Ok(())
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = (b as u8).is_ascii_alphanumeric()
            || matches!(
                b as u8,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        b += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_and_control_bytes_are_refused() {
        assert_eq!(check_filter_header(b"X-Ok", b"a b\t\xc3\xa9"), Ok(()));
        assert_eq!(check_filter_header(b"", b"a"), Err(HeaderProblem::BadName));
        assert_eq!(check_filter_header(b"a b", b"a"), Err(HeaderProblem::BadName));
        for value in [&b"a\r\nb: c"[..], b"a\0", b"a\nb", b"\x7f", b" a", b"a "] {
            assert_eq!(check_filter_header(b"x", value), Err(HeaderProblem::BadValue), "{value:?}");
        }
        for name in ["Content-Length", "transfer-encoding", "Connection", "TE", "Upgrade", "Trailer", "Expect"] {
            assert_eq!(check_filter_header(name.as_bytes(), b"1"), Err(HeaderProblem::Reserved), "{name}");
        }
        assert_eq!(check_trailer(b"Authorization", b"x"), Err(HeaderProblem::Reserved));
        assert_eq!(check_trailer(b"X-Forwarded-Client-Cert", b"Hash=0"), Err(HeaderProblem::Reserved));
        assert_eq!(check_trailer(b"grpc-status", b"0"), Ok(()));
    }
}
