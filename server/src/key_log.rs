//! Session keys for who reads captured traffic: only where it is asked for
//! twice, by the variable that names the file and by a flag.

use std::env;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use sidegate_tls::{KeyLog, key_log_from_environment};

/// As OpenSSL, curl and browsers call it.
const VARIABLE: &str = "SSLKEYLOGFILE";

/// The keys cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyLogError {
    #[error("--tls-key-log writes the keys of TLS sessions to the file that {VARIABLE} names, and it names none")]
    Unnamed,
    #[error("cannot write the keys of TLS sessions to {}, which {VARIABLE} names: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
}

/// Who is told the keys, if `asked` by the flag.
pub(crate) fn open(asked: bool) -> Result<Option<Arc<dyn KeyLog>>, KeyLogError> {
    if !asked {
        return Ok(None);
    }
    let path = env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from).ok_or(KeyLogError::Unnamed)?;
    // It opens the file a second time, and would only say to a log that
    // nobody reads that it cannot, and make it readable for all.
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
    opened.map_err(|error| KeyLogError::File { path, error })?;
    Ok(key_log_from_environment())
}

/// Says at the start what becomes of the keys.
pub(crate) fn tell(key_log: Option<&Arc<dyn KeyLog>>) {
    let path = env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    match (key_log, path) {
        (Some(_), path) => {
            let path = path.unwrap_or_default();
            tracing::warn!(
                file = %path.display(),
                "THE KEYS OF ALL TLS SESSIONS ARE WRITTEN TO A FILE: whoever reads it can read the traffic of clients \
                 and hosts; expected no --tls-key-log where traffic is not for tests"
            );
        }
        (None, Some(path)) => {
            tracing::info!(file = %path.display(), "{VARIABLE} is set and does nothing without --tls-key-log");
        }
        (None, None) => {}
    }
}
