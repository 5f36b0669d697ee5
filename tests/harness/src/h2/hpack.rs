//! Header blocks by hand: whatever a test wants in them.

/// A block of fields without compression, in order, names and values to the
/// byte.
pub fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.extend_from_slice(&literal(name.as_ref(), value.as_ref(), false));
    }
    out
}

/// One field as a literal (RFC 7541 6.2), with `index` one that the peer has
/// to keep in its dynamic table.
pub fn literal(name: &[u8], value: &[u8], index: bool) -> Vec<u8> {
    let mut out = vec![if index { 0x40 } else { 0x00 }];
    for text in [name, value] {
        integer(&mut out, text.len());
        out.extend_from_slice(text);
    }
    out
}

/// A length with a prefix of seven bits and no Huffman code.
fn integer(out: &mut Vec<u8>, mut value: usize) {
    if value < 127 {
        out.push(value as u8);
        return;
    }
    out.push(127);
    value -= 127;
    while value >= 128 {
        out.push((value % 128) as u8 | 128);
        value /= 128;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::{block, literal};

    #[test]
    fn a_decoder_reads_what_was_written() {
        let long = "v".repeat(5000);
        let fields = [(":method", "GET"), ("x", ""), ("long", long.as_str())];
        let read = loona_hpack::Decoder::new().decode(&block(&fields)).unwrap();
        let wanted: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        assert_eq!(read, wanted);
        let mut decoder = loona_hpack::Decoder::new();
        decoder.decode(&literal(b"a", b"b", true)).unwrap();
        assert_eq!(decoder.decode(&[0x80 | 62]).unwrap(), [(b"a".to_vec(), b"b".to_vec())]);
    }
}
