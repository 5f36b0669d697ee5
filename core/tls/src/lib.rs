//! TLS without sockets and threads: bytes come in, bytes go out, and whoever
//! holds the socket moves them.
//!
//! ```text
//!  settings + files ──▶ ServerContext ─┐
//!                       ServerContexts ┴─▶ Session::server ─┐
//!                       ClientContext ───▶ Session::client ─┴─▶ read · write · send · close
//! ```
//!
//! A context is made once, away from the workers, and is read by any thread.
//! What it is made of is its [`ContextId`]: equal settings and equal files give
//! equal numbers, and a connection or a session of one context is never used
//! with another.

#![forbid(unsafe_code)]

mod algorithms;
mod choose;
mod config;
mod context;
mod digest;
mod failure;
mod hello;
mod holdings;
mod identity;
mod names;
mod peer;
mod pem;
mod provided;
mod resume;
mod san;
mod session;
mod slot;
mod source;
mod verify;

pub use algorithms::{AlgorithmError, Dropped, Group, Groups, Parsed, Suite, Suites, Version, Versions};
pub use choose::{Offer, ServerContexts};
pub use config::{
    ClearText, ClientAuth, ClientSettings, Identity, Limits, ListenerTls, NameRule, PeerName, Pins, Protocol,
    Resumption, Roots, ServerAuth, ServerSettings, TicketKeys, Trust,
};
pub use context::{ClientContext, ContextError, Part, ServerContext, Validity};
pub use digest::ContextId;
pub use failure::{Failure, Reason};
pub use hello::{FirstBytes, first_bytes};
pub use holdings::{Expiring, Expiry, HeldIdentity, HeldRoots, HeldTrust, Holdings, RevocationInfo};
pub use peer::Peer;
pub use pem::{CertificateInfo, certificates};
pub use provided::{Provided, ProvidedPart, Taken, check_credentials};
pub use resume::{TicketSecrets, TicketSecretsError};
pub use san::{SanKind, SanMatch, SanPattern};
pub use session::{Agreed, Received, Scratch, Session};
pub use slot::Slot;
pub use source::{Materials, Source, key_log_from_environment, system_roots};

/// Whom session keys are told; see [`key_log_from_environment`].
pub use rustls::KeyLog;
