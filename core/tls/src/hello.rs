//! The first bytes of a client, before it is known which context it gets.

use std::fmt;

use rustls::server::{Accepted, Acceptor};

use crate::choose::Offer;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstBytes {
    /// Too few to tell.
    More,
    /// A handshake of TLS.
    Tls,
    /// Something else: clear text, on a port that takes both.
    Clear,
}

/// Tells TLS from clear text: a handshake record of SSL 3 or later. No protocol
/// of text begins with its bytes.
pub fn first_bytes(bytes: &[u8]) -> FirstBytes {
    match bytes {
        [] | [0x16] => FirstBytes::More,
        [0x16, 0x03, ..] => FirstBytes::Tls,
        _ => FirstBytes::Clear,
    }
}

/// Whether a client that should speak TLS speaks HTTP, as far as its first
/// bytes say.
pub(crate) fn looks_like_http(bytes: &[u8]) -> bool {
    let methods: [&[u8]; 10] =
        [b"GET ", b"POST", b"HEAD", b"PUT ", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC", b"PRI "];
    !bytes.is_empty() && methods.iter().any(|method| bytes.starts_with(method) || method.starts_with(bytes))
}

/// Whether the first bytes of a client are the hello of one that speaks nothing
/// newer than TLS 1.1. Those who speak 1.3 call themselves 1.2 here.
pub(crate) fn is_too_old(bytes: &[u8]) -> bool {
    matches!(bytes, [0x16, 3, _, _, _, 1, _, _, _, 3, version, ..] if *version < 3)
}

/// A hello that is being read.
#[derive(Default)]
pub(crate) struct Hello(Box<Acceptor>);

/// What came of it.
pub(crate) enum Heard {
    More(Hello),
    Whole(Box<Accepted>),
    /// With the alert for the client.
    Bad(rustls::Error, Vec<u8>),
}

impl Hello {
    /// Reads more `bytes` of it.
    pub fn hear(mut self, mut bytes: &[u8]) -> Heard {
        while !bytes.is_empty() {
            if self.0.read_tls(&mut bytes).is_err() {
                return Heard::Bad(rustls::Error::General("the hello is too large".into()), Vec::new());
            }
            match self.0.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => return Heard::Whole(Box::new(accepted)),
                Err((error, mut alert)) => {
                    let mut bytes = Vec::new();
                    // It writes into memory.
                    let _ = alert.write_all(&mut bytes);
                    return Heard::Bad(error, bytes);
                }
            }
        }
        Heard::More(self)
    }
}

/// Calls `choose` with what the client offers.
pub(crate) fn with_offer<T>(accepted: &Accepted, choose: impl FnOnce(&Offer<'_>) -> T) -> T {
    let hello = accepted.client_hello();
    let name = hello.server_name().map(str::to_ascii_lowercase);
    let alpn: Vec<&[u8]> = hello.alpn().map(Iterator::collect).unwrap_or_default();
    choose(&Offer { server_name: name.as_deref(), alpn: &alpn, signatures: hello.signature_schemes() })
}

impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hello")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_told_from_text() {
        assert_eq!(first_bytes(b""), FirstBytes::More);
        assert_eq!(first_bytes(b"\x16"), FirstBytes::More);
        assert_eq!(first_bytes(b"\x16\x03"), FirstBytes::Tls);
        assert_eq!(first_bytes(b"\x16\x03\x01\x02\x00"), FirstBytes::Tls);
        assert_eq!(first_bytes(b"G"), FirstBytes::Clear);
        assert_eq!(first_bytes(b"\x16G"), FirstBytes::Clear);
        // A hello of SSL 2.
        assert_eq!(first_bytes(b"\x80\x2e\x01\x03\x01"), FirstBytes::Clear);
    }
}
