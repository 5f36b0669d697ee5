//! Messages that are nearly right.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// Messages to break: requests first, then a response and a chunked body.
pub const SEEDS: [&[u8]; 5] = [
    b"POST /a/../b?c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nx: y\r\n\r\n",
    b"\r\nGET http://a:80/%2e%2e/x HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nX: y\r\n\r\n",
    b"PUT / HTTP/1.0\r\nHost: [::1]:80\r\ncontent-length: 3\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\nabcd",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: x\r\n\r\na\r\n0123456789\r\n0\r\n\r\n",
    b"1\r\na\r\n10;q=\"\\\"\"\r\n0123456789abcdef\r\n0\r\na: b\r\nhost: c\r\n\r\n",
];

/// A place, a byte, and whether to replace, insert or remove.
pub type Edit = (Index, u8, u8);

/// A few edits.
pub fn edits() -> impl Strategy<Value = Vec<Edit>> {
    vec((any::<Index>(), any::<u8>(), 0..3_u8), 0..6)
}

/// `seed` with `edits` applied.
pub fn mutate(seed: &[u8], edits: &[Edit]) -> Vec<u8> {
    // Bytes that matter are tried more often than chance would.
    const SPECIAL: &[u8] = b"\r\n\0 \t:;,\"\\%/.#?@[]0x_+-\x7f\x80\x0b";
    let mut input = seed.to_vec();
    for &(index, byte, kind) in edits {
        let at = index.index(input.len());
        let byte = if byte < 200 { SPECIAL[byte as usize % SPECIAL.len()] } else { byte };
        match kind {
            0 => input[at] = byte,
            1 => input.insert(at, byte),
            _ if input.len() > 1 => {
                input.remove(at);
            }
            _ => {}
        }
    }
    input
}
