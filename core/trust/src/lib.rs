//! Signatures of modules, in the format of minisign: Ed25519 over the digest of
//! a file, beside it in a file of its own.
//!
//! Knows bytes and texts; who reads which file, and who trusts whom, is for
//! others.
#![forbid(unsafe_code)]

mod key;
mod secret;
mod signature;

pub use key::{KeyError, KeyId, PublicKey};
pub use secret::{Password, SecretError, SecretKey};
pub use signature::{Signature, SignatureError};

/// What the name of a signature's file ends with, behind that of what is
/// signed.
pub const EXTENSION: &str = "minisig";
