//! Making foreign text harmless in a line of a log.

use sidegate_api::is_hidden;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `value` for an access log: printable ASCII as it is; quotes,
/// backslashes, control bytes and everything beyond ASCII as `\xNN`, so that a
/// value can neither end its quotes nor its line; `-` if it is empty.
pub(crate) fn write_value(out: &mut Vec<u8>, value: &[u8]) {
    write_escaped(out, value, &PLAIN);
}

/// The same with blanks escaped too, for values that are one word unless a
/// peer wants to confuse: a format need not quote them.
pub(crate) fn write_word(out: &mut Vec<u8>, value: &[u8]) {
    write_escaped(out, value, &PLAIN_IN_WORD);
}

/// Appends `value` for the inside of a JSON string, in ASCII: what JSON asks to
/// escape, control characters and everything beyond ASCII as `\uNNNN`; bytes
/// that are no UTF-8 as U+FFFD.
pub(crate) fn write_json(out: &mut Vec<u8>, value: &[u8]) {
    let (value, cut) = shortened(value);
    for chunk in value.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(at) = rest.bytes().position(|b| !PLAIN[usize::from(b)]) {
            out.extend_from_slice(&rest.as_bytes()[..at]);
            // Plain bytes are ASCII, so that a character starts behind them.
            let mut characters = rest[at..].chars();
            match characters.next() {
                Some(character @ ('"' | '\\')) => out.extend_from_slice(&[b'\\', character as u8]),
                Some(character) => write_utf16(out, character),
                None => {}
            }
            rest = characters.as_str();
        }
        out.extend_from_slice(rest.as_bytes());
        if !chunk.invalid().is_empty() {
            write_utf16(out, char::REPLACEMENT_CHARACTER);
        }
    }
    if cut {
        out.extend_from_slice(b"...");
    }
}

fn write_utf16(out: &mut Vec<u8>, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        out.extend_from_slice(b"\\u");
        for shift in [12, 8, 4, 0] {
            out.push(HEX[usize::from(*unit >> shift & 15)]);
        }
    }
}

/// A field may be as long as a peer's header; a log need not. Says whether
/// something was cut off.
fn shortened(value: &[u8]) -> (&[u8], bool) {
    const MAX: usize = 8 * 1024;
    match value.get(..MAX) {
        Some(head) if value.len() > MAX => (head, true),
        _ => (value, false),
    }
}

fn write_escaped(out: &mut Vec<u8>, value: &[u8], plain: &[bool; 256]) {
    if value.is_empty() {
        return out.push(b'-');
    }
    let (value, cut) = shortened(value);
    let mut rest = value;
    while let Some(at) = rest.iter().position(|&b| !plain[usize::from(b)]) {
        out.extend_from_slice(&rest[..at]);
        write_hex(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    if cut {
        out.extend_from_slice(b"...");
    }
}

/// Appends `text` for a message log: as it is but for characters that move the
/// cursor, end the line or reverse the reading direction, which become `\xNN`.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    let mut utf8 = [0; 4];
    for character in text.chars() {
        let bytes = character.encode_utf8(&mut utf8).as_bytes();
        if is_hidden(character) {
            bytes.iter().for_each(|&byte| write_hex(out, byte));
        } else {
            out.extend_from_slice(bytes);
        }
    }
}

static PLAIN: [bool; 256] = plain_bytes();

static PLAIN_IN_WORD: [bool; 256] = {
    let mut plain = plain_bytes();
    plain[b' ' as usize] = false;
    plain
};

/// Printable ASCII without quote and backslash.
const fn plain_bytes() -> [bool; 256] {
    let mut plain = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        plain[byte as usize] = !matches!(byte, b'"' | b'\\');
        byte += 1;
    }
    plain
}

fn write_hex(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_value(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_keep_their_quotes_and_their_line() {
        assert_eq!(value(b""), "-");
        assert_eq!(value(b"/a b?c=%20"), "/a b?c=%20");
        assert_eq!(value(b"\" 200 \\ \r\n\x1b[2J\x00\x7f"), "\\x22 200 \\x5c \\x0d\\x0a\\x1b[2J\\x00\\x7f");
        assert_eq!(value("ü".as_bytes()), "\\xc3\\xbc");
        assert_eq!(value(&[b'a'; 9000]).len(), 8 * 1024 + 3);
    }

    #[test]
    fn text_keeps_letters_and_loses_controls() {
        let mut out = Vec::new();
        write_text(&mut out, "ü \"q\"\n\u{1b}[31m\u{85}\u{202e}x");
        assert_eq!(String::from_utf8(out).unwrap(), "ü \"q\"\\x0a\\x1b[31m\\xc2\\x85\\xe2\\x80\\xaex");
    }

    #[test]
    fn json_strings_are_ascii_and_keep_their_quotes() {
        let json = |bytes: &[u8]| {
            let mut out = Vec::new();
            write_json(&mut out, bytes);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(json(b""), "");
        assert_eq!(json(b"a \"b\" \\ \n\x00\x7f"), "a \\\"b\\\" \\\\ \\u000a\\u0000\\u007f");
        assert_eq!(json("ü\u{202e}\u{1f600}".as_bytes()), "\\u00fc\\u202e\\ud83d\\ude00");
        assert_eq!(json(b"x\xff\xc3"), "x\\ufffd\\ufffd");
        assert_eq!(json(&[b'a'; 9000]).len(), 8 * 1024 + 3);
    }

    proptest! {
        #[test]
        fn any_json_string_is_ascii_and_reads_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = b"\"".to_vec();
            write_json(&mut out, &bytes);
            out.push(b'"');
            prop_assert!(out.iter().all(|b| (b' '..=b'~').contains(b)));
            let read: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_value_is_one_printable_word(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = value(&bytes);
            prop_assert!(!text.is_empty());
            let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"');
            prop_assert!(printable);
            let mut word = Vec::new();
            write_word(&mut word, &bytes);
            prop_assert!(!word.contains(&b' '));
        }
    }
}
