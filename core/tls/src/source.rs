//! Where certificates, keys and lists come from: a file, or the configuration
//! itself.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::provided::{Provided, ProvidedPart, Taken};

/// Text in PEM, or the file that holds it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// The text stands in the configuration.
    Inline(Arc<str>),
    /// This file holds it.
    File(PathBuf),
    /// Somebody brings it.
    Provided(Provided, ProvidedPart),
}

impl Source {
    /// As MOSN tells them apart: a text with a PEM line is PEM, anything else a
    /// path. What is PEM without its first line is no path either: it may be a
    /// key, and paths are shown.
    pub fn parse(text: &str) -> Source {
        match text.contains("-----BEGIN") || is_bare(text) {
            true => Source::Inline(text.into()),
            false => Source::File(PathBuf::from(text)),
        }
    }

    /// For people and tools: the path, or `inline`.
    pub fn shown(&self) -> String {
        match self {
            Source::Inline(_) => "inline".to_owned(),
            Source::File(path) => path.display().to_string(),
            Source::Provided(provided, _) => provided.name().to_owned(),
        }
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Source::Inline(_) | Source::Provided(..) => None,
            Source::File(path) => Some(path),
        }
    }

    /// Who brings it, if somebody does.
    pub fn provided(&self) -> Option<&Provided> {
        match self {
            Source::Inline(_) | Source::File(_) => None,
            Source::Provided(provided, _) => Some(provided),
        }
    }
}

/// Whether a text is base64 of something in DER, which begins with a sequence.
fn is_bare(text: &str) -> bool {
    let in_base64 =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\n' | b'\r' | b' ');
    text.contains('\n') || text.len() >= 60 && text.starts_with('M') && text.bytes().all(in_base64)
}

/// Never shows what stands inline: it may be a key.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Inline(_) => f.write_str("inline"),
            Source::File(path) => path.fmt(f),
            Source::Provided(provided, part) => write!(f, "{part:?} of {}", provided.name()),
        }
    }
}

/// What a context is made from besides its settings. This crate opens no file
/// itself: whoever makes contexts decides how files are read, and how large
/// they may be.
pub struct Materials<'a> {
    /// Reads a file whole.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// The system's certificates in DER, for upstreams without a CA of their
    /// own; asked only then.
    pub system_roots: &'a dyn Fn() -> io::Result<Vec<Vec<u8>>>,
    /// What tickets are encrypted with.
    pub tickets: Arc<crate::TicketSecrets>,
    /// Whom session keys are told. `None`: nobody.
    pub key_log: Option<Arc<dyn rustls::KeyLog>>,
    /// What was brought for the context that is being made.
    pub taken: Taken,
}

impl Materials<'_> {
    pub(crate) fn load(&self, source: &Source) -> io::Result<Vec<u8>> {
        match source {
            Source::Inline(text) => Ok(text.as_bytes().to_vec()),
            Source::File(path) => (self.read)(path),
            Source::Provided(provided, part) => self.taken.part(provided, *part),
        }
    }
}

impl fmt::Debug for Materials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Materials").field("key_log", &self.key_log.is_some()).finish_non_exhaustive()
    }
}

/// The certificates that the system trusts, in DER. Reads files and looks at
/// `SSL_CERT_FILE` and `SSL_CERT_DIR`, as OpenSSL does: not for a worker.
pub fn system_roots() -> io::Result<Vec<Vec<u8>>> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let problem = match found.errors.first() {
            Some(error) => error.to_string(),
            None => "there are none; Debian's package is ca-certificates".to_owned(),
        };
        return Err(io::Error::new(io::ErrorKind::NotFound, problem));
    }
    Ok(found.certs.into_iter().map(|certificate| certificate.to_vec()).collect())
}

/// Writes session keys to the file that `SSLKEYLOGFILE` names; `None`: it names
/// none. Whoever reads that file reads the traffic, so an operator asks twice:
/// by the variable and by a flag.
pub fn key_log_from_environment() -> Option<Arc<dyn rustls::KeyLog>> {
    std::env::var_os("SSLKEYLOGFILE")?;
    Some(Arc::new(rustls::KeyLogFile::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_its_first_line_is_no_path() {
        let bare = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2";
        for text in [bare.to_owned(), format!("{bare}\n{bare}=="), "-----BEGIN PRIVATE KEY-----\n".to_owned()] {
            assert_eq!(Source::parse(&text).path(), None, "{text}");
        }
        let long = format!("/etc/tls/{}", "a".repeat(80));
        for text in ["tls.key", "Mykey", "/etc/tls/tls.key", "M/a/b", &long] {
            assert!(Source::parse(text).path().is_some(), "{text}");
        }
    }
}
