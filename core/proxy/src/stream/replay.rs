//! Request bytes that are kept for a second use: another attempt, or a copy.

/// Bytes of a body that are kept at most.
pub(crate) const REPLAY_BYTES: usize = 64 * 1024;

/// Whether what was handed to the upstream of a request's body is kept.
#[derive(Debug, Default)]
pub(crate) enum Replay {
    /// Nobody needs it again.
    #[default]
    Off,
    /// All of it. Costs a copy and its memory, on routes that ask for it.
    Kept(Vec<u8>),
    /// It became more than is kept.
    Lost,
}

impl Replay {
    /// The upstream took these bytes.
    #[inline]
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        if let Replay::Kept(kept) = self {
            if kept.len() + bytes.len() > REPLAY_BYTES {
                *self = Replay::Lost;
            } else {
                kept.extend_from_slice(bytes);
            }
        }
    }

    /// The bytes; none if they are not kept.
    pub(crate) fn bytes(&self) -> &[u8] {
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
        let mut kept = Replay::default();
        kept.add(b"lost");
        assert_eq!(kept.bytes(), b"");
        let mut kept = Replay::Kept(Vec::new());
        kept.add(&[1; REPLAY_BYTES - 1]);
        kept.add(&[2]);
        assert_eq!(kept.bytes().len(), REPLAY_BYTES);
        kept.add(&[3]);
        assert!(matches!(kept, Replay::Lost) && kept.bytes().is_empty());
    }
}
