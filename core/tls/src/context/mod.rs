//! What handshakes are made with: settings and the contents of files, put
//! together once and shared by all threads.

mod client;
mod server;

use std::fmt;
use std::io;
use std::time::{Duration, SystemTime};

use x509_parser::prelude::X509Certificate;

pub use client::ClientContext;
pub use server::ServerContext;

use crate::holdings::{Expiring, Holdings, time};
use crate::source::Source;

/// The part of a context that something is wrong with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Our certificates.
    Chain,
    /// Our key.
    Key,
    /// The OCSP response for our certificate.
    Ocsp,
    /// Certificates that end chains of peers.
    Ca,
    /// Revoked certificates of peers.
    Crl,
    /// Versions, ciphers and curves.
    Protocol,
    /// Names.
    Name,
    /// What tickets are encrypted with.
    Tickets,
}

/// Why a context cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ContextError {
    /// Where it lies.
    pub part: Part,
    /// What it is, with what was expected and found.
    pub message: String,
}

impl ContextError {
    /// A file that cannot be read.
    pub(crate) fn read(part: Part, source: &Source, error: &io::Error) -> ContextError {
        let message = match source {
            Source::File(path) => format!("cannot read {}: {error}", path.display()),
            Source::Inline(_) => error.to_string(),
            Source::Provided(provided, _) => format!("{}: {error}", provided.name()),
        };
        ContextError { part, message }
    }

    /// A file that holds the wrong thing.
    pub(crate) fn of(part: Part, source: &Source, problem: impl fmt::Display) -> ContextError {
        let message = match source {
            Source::File(path) => format!("{}: {problem}", path.display()),
            Source::Inline(_) => problem.to_string(),
            Source::Provided(provided, _) => format!("{}: {problem}", provided.name()),
        };
        ContextError { part, message }
    }

    fn protocol(error: impl fmt::Display) -> ContextError {
        ContextError { part: Part::Protocol, message: error.to_string() }
    }
}

/// When a certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub not_before: SystemTime,
    /// Until then.
    pub not_after: SystemTime,
}

impl Validity {
    /// Long enough that an operator who reads logs once a week sees it twice.
    pub const WARN_AHEAD: Duration = Duration::from_secs(14 * 24 * 3600);

    pub(crate) fn of(certificate: &X509Certificate<'_>) -> Validity {
        let validity = certificate.validity();
        Validity { not_before: time(validity.not_before), not_after: time(validity.not_after) }
    }

    /// Whether it begins only after `now`.
    pub fn is_early(&self, now: SystemTime) -> bool {
        now < self.not_before
    }
}

/// What is odd about what a context holds: what has ended, and what is about
/// to.
fn expiry_warnings(holdings: &Holdings) -> impl Iterator<Item = (Part, String)> {
    holdings.warnings(SystemTime::now()).map(|(expiry, words)| {
        let part = match expiry.what {
            Expiring::Certificate => Part::Chain,
            Expiring::Ca => Part::Ca,
            Expiring::Crl => Part::Crl,
        };
        (part, words)
    })
}
