//! Who has signed a module.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sidegate_files::ReadError;
use sidegate_trust::{EXTENSION, Signature};

use crate::policy::{Policy, Signatures, Unsigned};
use crate::refusal::Reason;
use crate::text;

/// Who has signed a module, and what was said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signer {
    /// Number of the key, as minisign shows it.
    pub key: String,
    /// The trusted comment.
    pub comment: String,
}

/// Where the signature of the module in `path` is.
pub(crate) fn signature_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(EXTENSION);
    name.into()
}

/// Checks the signature beside `path` over `bytes`; without trusted keys, nobody
/// looks for one.
pub(super) fn check(path: &Path, bytes: &[u8], signatures: &Signatures) -> Result<Option<Signer>, Reason> {
    if signatures.trusted.is_empty() && signatures.unsigned == Unsigned::Loaded {
        return Ok(None);
    }
    let file = signature_file(path);
    let shown = file.display().to_string();
    let text = match sidegate_files::read_regular(&file, Signature::MAX_BYTES as u64) {
        Ok(text) => text,
        Err(ReadError::Io(error)) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Reason::SignatureInvalid { file: shown, problem: error.to_string() }),
    };
    let invalid = |problem: String| Reason::SignatureInvalid { file: shown.clone(), problem };
    let text = String::from_utf8(text).map_err(|_| invalid("it is not UTF-8".to_owned()))?;
    let signature = Signature::parse(&text).map_err(|error| invalid(error.to_string()))?;
    let key = signature.key();
    if signatures.revoked.contains(&key) {
        return Err(Reason::SignerRevoked { key: key.to_string() });
    }
    // Two keys may have one number: it is no secret, and anybody can choose it.
    let named: Vec<_> = signatures.trusted.iter().filter(|trusted| trusted.id() == key).collect();
    if named.is_empty() {
        let trusted = signatures.trusted.iter().map(|trusted| trusted.id().to_string()).collect();
        return Err(Reason::SignerUntrusted { file: shown, trusted, found: key.to_string() });
    }
    let verified = named.iter().map(|trusted| signature.verify(trusted, bytes)).reduce(Result::or);
    match verified {
        Some(Ok(())) => Ok(Some(Signer { key: key.to_string(), comment: signature.comment().to_owned() })),
        Some(Err(error)) => Err(invalid(error.to_string())),
        None => Ok(None),
    }
}

/// Whether bytes of this digest may be loaded that `signer` has signed. Also for
/// those that were read under another policy.
pub(crate) fn admit(path: &Path, sha256: &[u8; 32], signer: Option<&Signer>, policy: &Policy) -> Result<(), Reason> {
    if policy.revoked_files.contains(sha256) {
        return Err(Reason::RevokedFile { sha256: text::hex(sha256) });
    }
    match signer {
        None if policy.signatures.unsigned == Unsigned::Refused => {
            Err(Reason::SignatureMissing { file: signature_file(path).display().to_string() })
        }
        Some(signer) if policy.signatures.revoked.iter().any(|key| key.to_string() == signer.key) => {
            Err(Reason::SignerRevoked { key: signer.key.clone() })
        }
        None | Some(_) => Ok(()),
    }
}
