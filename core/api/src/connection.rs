//! What is known of a client's connection.

use std::sync::Arc;

use crate::{PeerText, Protocol};

/// What streams of one downstream connection share.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// Number of the connection, unique in the process.
    pub id: u64,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// The client.
    pub remote: PeerText,
    /// Our end.
    pub local: PeerText,
    /// Protocol spoken with the client; HTTP/1.0 clients are known per stream.
    pub protocol: Protocol,
    /// What is known of its TLS; `None`: clear text.
    pub tls: Option<Box<TlsInfo>>,
}

impl ConnectionInfo {
    /// Of requests that come over it.
    pub fn scheme(&self) -> &'static str {
        match self.tls {
            None => "http",
            Some(_) => "https",
        }
    }
}

/// What is known of the TLS of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// `TLSv1.3`
    pub version: &'static str,
    /// As in the IANA registry.
    pub cipher: &'static str,
    /// What the client asked for; empty: for no name.
    pub server_name: String,
    /// Whether a session was resumed.
    pub resumed: bool,
    /// Subject of the client's certificate, if it was found good.
    pub peer_subject: Option<String>,
}
