//! Why a session ended, in words for logs and labels for metrics.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible, PeerMisbehaved};

use crate::verify::Rejection;

/// Why a session failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// The kind: there are few, so that metrics may be counted by it.
    pub reason: Reason,
    /// A sentence for logs.
    pub detail: String,
}

/// The kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The connection ended without `close_notify`: whatever was read may not
    /// be all.
    Truncated,
    /// The handshake took too long.
    Timeout,
    /// Too many others had begun, and this one did not go on.
    Crowded,
    /// The handshake was too large.
    TooLarge,
    /// The peer sent things that lead nowhere, again and again.
    Flood,
    /// The client speaks HTTP in clear text.
    ClearText,
    /// The peer does not speak TLS as it is meant.
    Protocol,
    /// No version in common.
    Version,
    /// No cipher, curve or signature in common.
    Algorithm,
    /// No application protocol in common.
    Alpn,
    /// A certificate is required and there is none.
    CertificateMissing,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// Its chain ends nowhere.
    UnknownCa,
    /// It is for another name.
    WrongName,
    /// Its CA took it back.
    Revoked,
    /// No list of revoked certificates says anything of it, or the list has
    /// expired.
    RevocationUnknown,
    /// It is not pinned.
    NotPinned,
    /// It is not good for another reason.
    BadCertificate,
    /// The peer said so.
    Alert,
    /// The connection failed.
    Connection,
    /// Something here.
    Internal,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 22] = [
        Reason::Truncated,
        Reason::Timeout,
        Reason::Crowded,
        Reason::TooLarge,
        Reason::Flood,
        Reason::ClearText,
        Reason::Protocol,
        Reason::Version,
        Reason::Algorithm,
        Reason::Alpn,
        Reason::CertificateMissing,
        Reason::Expired,
        Reason::NotYetValid,
        Reason::UnknownCa,
        Reason::WrongName,
        Reason::Revoked,
        Reason::RevocationUnknown,
        Reason::NotPinned,
        Reason::BadCertificate,
        Reason::Alert,
        Reason::Connection,
        Reason::Internal,
    ];

    /// For the label of a metric.
    pub fn label(self) -> &'static str {
        match self {
            Reason::Truncated => "truncated",
            Reason::Timeout => "timeout",
            Reason::Crowded => "crowded",
            Reason::TooLarge => "too_large",
            Reason::Flood => "flood",
            Reason::ClearText => "clear_text",
            Reason::Protocol => "protocol",
            Reason::Version => "version",
            Reason::Algorithm => "algorithm",
            Reason::Alpn => "alpn",
            Reason::CertificateMissing => "certificate_missing",
            Reason::Expired => "expired",
            Reason::NotYetValid => "not_yet_valid",
            Reason::UnknownCa => "unknown_ca",
            Reason::WrongName => "wrong_name",
            Reason::Revoked => "revoked",
            Reason::RevocationUnknown => "revocation_unknown",
            Reason::NotPinned => "not_pinned",
            Reason::BadCertificate => "bad_certificate",
            Reason::Alert => "alert",
            Reason::Connection => "connection",
            Reason::Internal => "internal",
        }
    }

    fn of(error: &Error) -> Reason {
        match error {
            Error::InvalidCertificate(error) => Reason::of_certificate(error),
            Error::InvalidCertRevocationList(_) => Reason::RevocationUnknown,
            Error::NoCertificatesPresented => Reason::CertificateMissing,
            Error::NoApplicationProtocol => Reason::Alpn,
            Error::PeerIncompatible(error) => Reason::of_incompatible(error),
            Error::PeerMisbehaved(
                PeerMisbehaved::TooManyKeyUpdateRequests
                | PeerMisbehaved::TooManyWarningAlertsReceived
                | PeerMisbehaved::TooManyRenegotiationRequests
                | PeerMisbehaved::TooManyEmptyFragments
                | PeerMisbehaved::IllegalMiddleboxChangeCipherSpec,
            ) => Reason::Flood,
            Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge | InvalidMessage::MessageTooLarge) => {
                Reason::TooLarge
            }
            Error::InvalidMessage(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord
            | Error::DecryptError => Reason::Protocol,
            Error::AlertReceived(_) => Reason::Alert,
            _ => Reason::Internal,
        }
    }

    fn of_certificate(error: &CertificateError) -> Reason {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Reason::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Reason::NotYetValid,
            CertificateError::UnknownIssuer => Reason::UnknownCa,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Reason::WrongName,
            CertificateError::Revoked => Reason::Revoked,
            CertificateError::UnknownRevocationStatus
            | CertificateError::ExpiredRevocationList
            | CertificateError::ExpiredRevocationListContext { .. } => Reason::RevocationUnknown,
            CertificateError::Other(error) => match error.0.downcast_ref::<Rejection>() {
                Some(Rejection::Name) => Reason::WrongName,
                Some(Rejection::Pin) => Reason::NotPinned,
                None => Reason::BadCertificate,
            },
            _ => Reason::BadCertificate,
        }
    }

    fn of_incompatible(error: &PeerIncompatible) -> Reason {
        match error {
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => Reason::Version,
            PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon
            | PeerIncompatible::NoCipherSuitesInCommon
            | PeerIncompatible::NoEcPointFormatsInCommon
            | PeerIncompatible::NoKxGroupsInCommon
            | PeerIncompatible::NoSignatureSchemesInCommon
            | PeerIncompatible::EcPointsExtensionRequired
            | PeerIncompatible::NamedGroupsExtensionRequired
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired => Reason::Algorithm,
            _ => Reason::Protocol,
        }
    }
}

impl Failure {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Failure {
        Failure { reason, detail: detail.into() }
    }

    pub(crate) fn of(error: &Error) -> Failure {
        let detail = match error {
            Error::InvalidCertificate(error) => format!("the peer's certificate is not good: {}", words(error)),
            Error::AlertReceived(alert) => format!("the peer says {}", alert_words(*alert)),
            Error::NoApplicationProtocol => "no application protocol in common".to_owned(),
            Error::NoCertificatesPresented => "a certificate is required, and the peer sent none".to_owned(),
            other => other.to_string(),
        };
        Failure { reason: Reason::of(error), detail }
    }

    /// A handshake that was not over in time.
    pub fn timeout() -> Failure {
        Failure::new(Reason::Timeout, "the handshake took too long")
    }

    /// A handshake for which there was no place.
    pub fn crowded() -> Failure {
        Failure::new(Reason::Crowded, "too many handshakes at once")
    }

    /// A connection that failed under a handshake.
    pub fn connection(error: &io::Error) -> Failure {
        Failure::new(Reason::Connection, error.to_string())
    }

    /// A host whose name is none.
    pub fn unnamed(name: &str) -> Failure {
        Failure::new(Reason::WrongName, format!("{name:?} is no name that a certificate could be for"))
    }

    /// An application protocol that was not offered.
    pub fn alpn() -> Failure {
        Failure::new(Reason::Alpn, "the host speaks another application protocol")
    }

    pub(crate) fn clear_text(who: &str) -> Failure {
        Failure::new(Reason::ClearText, format!("the {who} speaks HTTP in clear text where TLS is spoken"))
    }

    pub(crate) fn too_large() -> Failure {
        Failure::new(Reason::TooLarge, "the handshake is too large")
    }

    pub(crate) fn truncated() -> Failure {
        Failure::new(Reason::Truncated, "the connection ended without close_notify")
    }
}

fn words(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "its issuer is not among those that are trusted".to_owned(),
        CertificateError::Other(error) => error.0.to_string(),
        other => other.to_string(),
    }
}

/// The alert's name as the RFCs write it.
fn alert_words(alert: AlertDescription) -> String {
    let mut words = String::new();
    let mut after_small = false;
    for char in format!("{alert:?}").chars() {
        if char.is_ascii_uppercase() && after_small {
            words.push('_');
        }
        after_small = !char.is_ascii_uppercase();
        words.push(char.to_ascii_lowercase());
    }
    words
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        let kind = match failure.reason {
            Reason::Truncated => io::ErrorKind::UnexpectedEof,
            Reason::Timeout => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, failure)
    }
}

impl Failure {
    /// The failure in an error of a socket, if it is one of TLS.
    pub fn within(error: &io::Error) -> Option<&Failure> {
        error.get_ref()?.downcast_ref()
    }
}
