//! What a factory depends on beside its entry in the configuration.

use sha2::{Digest, Sha256};

/// What stands behind an entry of a filter chain: the files that its builder
/// reads, by content. An entry that says the same and has the same fingerprint
/// gives the same factory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Nothing beyond the entry itself.
    pub const SPEC: Fingerprint = Fingerprint([0; 32]);

    /// A single file that is known by its digest.
    pub const fn of(digest: [u8; 32]) -> Fingerprint {
        Fingerprint(digest)
    }

    /// And one more file, or the words for why there is none.
    #[must_use]
    pub fn and(self, content: &[u8]) -> Fingerprint {
        Fingerprint(Sha256::new().chain_update(self.0).chain_update(Sha256::digest(content)).finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_contents_and_their_order() {
        let one = Fingerprint::SPEC.and(b"a");
        assert_ne!(one, Fingerprint::SPEC);
        assert_eq!(one, Fingerprint::SPEC.and(b"a"));
        assert_ne!(one.and(b"b"), Fingerprint::SPEC.and(b"b").and(b"a"));
        assert_ne!(one.and(b""), one);
    }
}
