//! Request bytes that are kept for a second use: another attempt, or a copy.

/// Bytes of a body that are kept at most.
pub(crate) const KEPT_BYTES: usize = 64 * 1024;

/// What was handed to the upstream of a request's body.
#[derive(Debug, Default)]
pub(crate) enum Kept {
    /// Nobody needs it again.
    #[default]
    Nothing,
    /// All of it. Costs a copy and its memory, on routes that ask for it.
    All(Vec<u8>),
    /// It became more than is kept.
    TooMuch,
}

impl Kept {
    /// The upstream took these bytes.
    #[inline]
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        if let Kept::All(kept) = self {
            if kept.len() + bytes.len() > KEPT_BYTES {
                *self = Kept::TooMuch;
            } else {
                kept.extend_from_slice(bytes);
            }
        }
    }

    /// The bytes; none if they are not kept.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Kept::All(kept) => kept,
            Kept::Nothing | Kept::TooMuch => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_nothing_is_kept() {
        let mut kept = Kept::default();
        kept.add(b"lost");
        assert_eq!(kept.bytes(), b"");
        let mut kept = Kept::All(Vec::new());
        kept.add(&[1; KEPT_BYTES - 1]);
        kept.add(&[2]);
        assert_eq!(kept.bytes().len(), KEPT_BYTES);
        kept.add(&[3]);
        assert!(matches!(kept, Kept::TooMuch) && kept.bytes().is_empty());
    }
}
