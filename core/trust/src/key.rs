//! Keys that signatures are checked with.

use std::fmt;
use std::str::FromStr;

use minisign::PublicKeyBox;

/// Why a text is no public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a public key of minisign, {0}")]
pub struct KeyError(&'static str);

/// A public key.
#[derive(Debug, Clone)]
pub struct PublicKey(pub(crate) minisign::PublicKey);

/// The number by which a signature names its key, as minisign shows it: sixteen
/// hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u64);

impl PublicKey {
    /// Its number.
    pub fn id(&self) -> KeyId {
        KeyId::of(self.0.keynum())
    }

    /// A file of two lines: a comment, and the key.
    pub fn to_file(&self) -> String {
        let id = self.id();
        format!("untrusted comment: minisign public key {id}\n{self}\n")
    }
}

/// The line that begins with `RW`, alone or below its comment.
impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let key = match text.starts_with("untrusted comment:") {
            true => PublicKeyBox::from_string(text).and_then(PublicKeyBox::into_public_key),
            false => minisign::PublicKey::from_base64(text),
        };
        match key {
            Ok(key) => Ok(PublicKey(key)),
            Err(_) if text.contains("secret key") => Err(KeyError("found a secret key")),
            Err(_) => Err(KeyError("56 characters of base64 that begin with \"RW\"")),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_base64())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bytes() == other.0.to_bytes()
    }
}

impl Eq for PublicKey {}

impl KeyId {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        KeyId(bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)))
    }
}

/// Sixteen hexadecimal digits.
impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let is_id = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_id);
        number.map(KeyId).ok_or(KeyError("or its number: 16 hexadecimal digits"))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}
