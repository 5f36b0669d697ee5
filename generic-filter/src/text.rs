//! Turning foreign bytes into text for people.

use std::fmt::Write;

use sidegate_api::is_hidden;

/// `bytes` on one line: hidden characters and what is no UTF-8 as `\xNN`, cut at
/// about `limit` bytes.
pub(crate) fn printable(bytes: &[u8], limit: usize) -> String {
    let mut text = String::with_capacity(bytes.len().min(limit));
    'all: for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if text.len() >= limit {
                text.push('…');
                break 'all;
            }
            if is_hidden(c) {
                let mut buffer = [0; 4];
                escape(&mut text, c.encode_utf8(&mut buffer).as_bytes());
            } else {
                text.push(c);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

/// An error and its causes on one line.
pub(crate) fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// A digest as it is written in configurations.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_foreign_bytes_are_escaped_and_long_text_is_cut() {
        assert_eq!(printable(b"a\n\xffb\x00\xc3\xa9", 100), "a\\x0a\\xffb\\x00é");
        assert_eq!(printable("a\u{202e}b".as_bytes(), 100), "a\\xe2\\x80\\xaeb");
        assert_eq!(printable(b"abcdef", 3), "abc…");
        assert_eq!(hex(&[0, 0xab]), "00ab");
    }
}
