//! What a client hears with whom nothing can be agreed on.

/// A fatal alert, `protocol_version`, in the version of whoever knows no other.
pub(super) const PROTOCOL_VERSION: &[u8] = &[21, 3, 1, 0, 2, 2, 70];

/// As nginx, Go and others say it: a person who forgot the `s` of `https`
/// sees what is wrong. Nothing of the request is in it.
pub(super) const CLEAR_TEXT: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
Content-Type: text/plain\r\n\
Content-Length: 68\r\n\
Connection: close\r\n\
\r\n\
This port speaks TLS, and the request came in clear text: use https\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(CLEAR_TEXT).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
