//! Keys that sign.

use std::fmt;
use std::io::Cursor;

use minisign::{KeyPair, SecretKeyBox};

use crate::key::PublicKey;

/// Why a secret key cannot be had or used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The text is none.
    #[error("expected a secret key of minisign: a comment, and base64 below it")]
    Malformed,
    /// It is damaged, or one that the `minisign` program made without a
    /// password: those have no checksum.
    #[error("its checksum is wrong; if it was made by `minisign -W`, sign with that")]
    Checksum,
    /// There is a password on it.
    #[error("the secret key has a password: expected one")]
    NeedsPassword,
    /// The library says no: a wrong password, no random numbers.
    #[error("{0}")]
    Failed(String),
}

/// What protects a secret key.
pub enum Password {
    /// Nothing.
    None,
    /// These characters.
    Given(String),
    /// Whoever sits at the terminal is asked.
    Ask,
}

/// A key that signs.
#[derive(Clone)]
pub struct SecretKey(minisign::SecretKey);

impl SecretKey {
    /// A new key: the text of its file under this protection, and its public
    /// half.
    pub fn generate(password: Password) -> Result<(String, PublicKey), SecretError> {
        let pair = match password {
            Password::None => KeyPair::generate_unencrypted_keypair(),
            Password::Given(password) => KeyPair::generate_encrypted_keypair(Some(password)),
            Password::Ask => KeyPair::generate_encrypted_keypair(None),
        };
        let KeyPair { pk, sk } = pair.map_err(failed)?;
        let public = PublicKey(pk);
        let comment = format!("minisign secret key {}", public.id());
        Ok((sk.to_box(Some(&comment)).map_err(failed)?.into_string(), public))
    }

    /// Reads the text of its file.
    pub fn parse(text: &str, password: Password) -> Result<Self, SecretError> {
        let key = SecretKeyBox::from_string(text).map_err(|_| SecretError::Malformed)?;
        match key.clone().into_unencrypted_secret_key() {
            Ok(key) => return Ok(SecretKey(key)),
            // Only for one that has a password anybody is asked.
            Err(_) if is_encrypted(text) => {}
            Err(_) if is_unprotected(text) => return Err(SecretError::Checksum),
            Err(_) => return Err(SecretError::Malformed),
        }
        let password = match password {
            Password::None => return Err(SecretError::NeedsPassword),
            Password::Given(password) => Some(password),
            Password::Ask => None,
        };
        key.into_secret_key(password).map(SecretKey).map_err(failed)
    }

    /// Its public half.
    pub fn public(&self) -> Result<PublicKey, SecretError> {
        minisign::PublicKey::from_secret_key(&self.0).map(PublicKey).map_err(failed)
    }

    /// The text of a signature's file: over `bytes`, and over `comment`, which
    /// is one line.
    pub fn sign(&self, bytes: &[u8], comment: &str) -> Result<String, SecretError> {
        let line: String = comment.chars().map(|c| if c == '\n' || c == '\r' { ' ' } else { c }).collect();
        let public = self.public()?;
        let outer = format!("signature from sidegate, key {}", public.id());
        let signature = minisign::sign(Some(&public.0), &self.0, Cursor::new(bytes), Some(&line), Some(&outer));
        signature.map(|signature| signature.into_string()).map_err(failed)
    }
}

/// How the key is protected stands behind its two bytes of algorithm, `Ed`:
/// `Sc` is scrypt.
fn is_encrypted(text: &str) -> bool {
    begins_with(text, "RWRTY")
}

/// Two zeros stand there.
fn is_unprotected(text: &str) -> bool {
    begins_with(text, "RWQAA")
}

fn begins_with(text: &str, base64: &str) -> bool {
    text.lines().nth(1).is_some_and(|line| line.starts_with(base64))
}

fn failed(error: minisign::PError) -> SecretError {
    SecretError::Failed(error.to_string())
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}
