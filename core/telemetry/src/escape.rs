//! Making foreign text harmless in a line of a log.

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

fn write_escaped(out: &mut Vec<u8>, value: &[u8], plain: &[bool; 256]) {
    /// A field may be as long as a peer's header; a log need not.
    const MAX: usize = 8 * 1024;
    if value.is_empty() {
        return out.push(b'-');
    }
    let (value, cut) = match value.get(..MAX) {
        Some(head) if value.len() > MAX => (head, true),
        _ => (value, false),
    };
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
        if character.is_control() || is_invisible(character) {
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

/// Line and paragraph separators and bidirectional controls.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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

    proptest! {
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
