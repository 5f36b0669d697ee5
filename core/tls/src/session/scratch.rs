//! Memory that sessions use in turn.

/// Plaintext of a record at most (RFC 8446 section 5.1).
pub(super) const RECORD: usize = 1 << 14;
/// What a record has beside it: header, content type, explicit nonce, tag.
const OVERHEAD: usize = 64;
/// Records that one write makes at most.
const RECORDS: usize = 4;
/// Plaintext that one write takes at most.
pub(super) const WRITE: usize = RECORDS * RECORD;

/// Memory that all sessions of a thread use in turn, each for the time of one
/// call: what is idle holds none.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Bytes of the peer: those that are not whole records first.
    pub(super) incoming: Vec<u8>,
    /// Bytes for the peer.
    pub(super) outgoing: Vec<u8>,
    /// Plaintext of one record that comes in several parts.
    pub(super) gathered: Vec<u8>,
}

impl Scratch {
    /// Room behind `kept` bytes for what fills `room` bytes of plaintext, or a
    /// record at least.
    pub(super) fn for_read(&mut self, kept: &[u8], room: usize) -> &mut [u8] {
        let records = room.clamp(RECORD, WRITE).div_ceil(RECORD);
        let length = kept.len() + records * (RECORD + OVERHEAD);
        if self.incoming.len() < length {
            self.incoming.resize(length, 0);
        }
        self.incoming[..kept.len()].copy_from_slice(kept);
        &mut self.incoming[..length]
    }

    pub(super) fn for_write(&mut self) {
        if self.outgoing.is_empty() {
            self.outgoing.resize(RECORDS * (RECORD + OVERHEAD), 0);
        }
    }
}

/// Whether the first record is whole, as far as its header is to be believed.
pub(super) fn has_record(bytes: &[u8]) -> bool {
    record_length(bytes).is_some_and(|length| bytes.len() >= length)
}

/// Bytes of the first record, with its header, once that is there.
pub(super) fn record_length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(3..5)?;
    Some(5 + usize::from(u16::from_be_bytes([length[0], length[1]])))
}
