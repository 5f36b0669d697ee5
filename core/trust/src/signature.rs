//! Signatures of files.

use std::fmt;
use std::io::Cursor;

use minisign::SignatureBox;
use sidegate_api::shown;

use crate::key::{KeyId, PublicKey};

/// What is wrong with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is none.
    #[error("expected a signature of minisign: two comments, and base64 below each")]
    Malformed,
    /// It was made by minisign before 0.10 without `-H`, over the whole file.
    #[error("expected a signature over the file's digest, found one of minisign's legacy format")]
    Legacy,
    /// The key that it names did not make it, or not for these bytes.
    #[error("it was not made for these bytes by the key that it names")]
    Wrong,
}

/// A signature; nothing of it was checked.
#[derive(Clone)]
pub struct Signature {
    parts: SignatureBox,
    comment: String,
}

impl Signature {
    /// No file of a signature is longer.
    pub const MAX_BYTES: usize = 8 * 1024;

    /// Reads the text of a signature's file.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let text = text.trim_end();
        if !has_whole_lines(text) {
            return Err(SignatureError::Malformed);
        }
        let parts = SignatureBox::from_string(text).map_err(|_| SignatureError::Malformed)?;
        if !parts.is_prehashed() {
            return Err(SignatureError::Legacy);
        }
        // Shown on terminals and in logs.
        let comment = shown(&parts.trusted_comment().map_err(|_| SignatureError::Malformed)?).into_owned();
        Ok(Signature { parts, comment })
    }

    /// The key that it names.
    pub fn key(&self) -> KeyId {
        KeyId::of(self.parts.keynum())
    }

    /// What the signer says of the file, without hidden characters but tabs.
    /// Part of what is signed.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// Whether `key` has signed `bytes`, and the comment.
    pub fn verify(&self, key: &PublicKey, bytes: &[u8]) -> Result<(), SignatureError> {
        minisign::verify(&key.0, &self.parts, Cursor::new(bytes), true, false, false).map_err(|_| SignatureError::Wrong)
    }
}

/// Whether the lines of base64 are as long as 74 and 64 bytes make them: the
/// crate takes a shorter one, and panics when it verifies.
fn has_whole_lines(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let [_, signature, _, global] = lines[..] else { return false };
    let is_long = |line: &str, length: usize, padding: usize| {
        line.len() == length && line.bytes().rev().take_while(|byte| *byte == b'=').count() == padding
    };
    is_long(signature, 100, 1) && is_long(global, 88, 2)
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signature").field("key", &self.key()).field("comment", &self.comment).finish()
    }
}
