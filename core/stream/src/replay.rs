//! Bytes of a request that are kept for a second use: another attempt, or a
//! copy.

/// Bytes of a body that are kept at most.
pub const REPLAY_BYTES: usize = 64 * 1024;

/// Whether what a receiver was sent of a body is kept.
#[derive(Debug, Default)]
pub enum Replay {
    /// Nobody needs it again.
    #[default]
    Off,
    /// All of it. Costs a copy and its memory, where somebody asked for it.
    Kept(Vec<u8>),
    /// It became more than is kept.
    Lost,
}

impl Replay {
    /// The receiver took these bytes.
    #[inline]
    pub fn add(&mut self, bytes: &[u8]) {
        if let Replay::Kept(kept) = self {
            if kept.len() + bytes.len() > REPLAY_BYTES {
                *self = Replay::Lost;
            } else {
                kept.extend_from_slice(bytes);
            }
        }
    }

    /// The bytes; none if they are not kept.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Replay::Kept(kept) => kept,
            Replay::Off | Replay::Lost => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_nothing_is_kept() {
        let mut replay = Replay::default();
        replay.add(b"lost");
        assert_eq!(replay.bytes(), b"");
        let mut replay = Replay::Kept(Vec::new());
        replay.add(&[1; REPLAY_BYTES - 1]);
        replay.add(&[2]);
        assert_eq!(replay.bytes().len(), REPLAY_BYTES);
        replay.add(&[3]);
        assert!(matches!(replay, Replay::Lost) && replay.bytes().is_empty());
    }
}
