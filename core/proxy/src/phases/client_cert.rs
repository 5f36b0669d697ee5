//! What the upstream is told of the client's certificate:
//! `x-forwarded-client-cert`, as Envoy defines it.

use sidegate_api::{HeaderLimit, PeerFact, PeerIdentity, StreamState, TlsInfo};

use crate::{ClientCertMode, ClientCertPart, ForwardClientCert};

const NAME: &[u8] = b"x-forwarded-client-cert";

/// Applies the policy. Before the filters and the route, which so see nothing
/// that a client only claims.
#[cold]
pub(crate) fn forward_certificate(
    stream: &mut StreamState,
    policy: &ForwardClientCert,
    scratch: &mut Vec<u8>,
) -> Result<(), HeaderLimit> {
    let StreamState { request, info, .. } = stream;
    let tls = info.connection.as_deref().and_then(|connection| connection.tls.as_deref());
    let verified = tls.and_then(|tls| Some((tls, tls.peer.as_deref()?)));
    match (policy.mode, verified) {
        (ClientCertMode::AlwaysForwardOnly, _) | (ClientCertMode::ForwardOnly, Some(_)) => Ok(()),
        (ClientCertMode::Sanitize, _) | (_, None) => {
            request.headers.remove(NAME);
            Ok(())
        }
        (ClientCertMode::SanitizeSet, Some((tls, peer))) => {
            scratch.clear();
            write_element(scratch, tls, peer, policy);
            request.headers.set(NAME, scratch)
        }
        (ClientCertMode::AppendForward, Some((tls, peer))) => {
            scratch.clear();
            for element in request.headers.get_all(NAME).filter(|value| !value.is_empty()) {
                scratch.extend_from_slice(element);
                scratch.push(b',');
            }
            write_element(scratch, tls, peer, policy);
            request.headers.set(NAME, scratch)
        }
    }
}

/// One hop: who we are, and who the client is.
fn write_element(out: &mut Vec<u8>, tls: &TlsInfo, peer: &dyn PeerIdentity, policy: &ForwardClientCert) {
    tls.own.each(PeerFact::Uris, &mut |uri| {
        write_pair(out, "By", uri);
        out.push(b';');
    });
    out.extend_from_slice(b"Hash=");
    out.extend_from_slice(peer.get(PeerFact::Sha256).unwrap_or_default().as_bytes());
    if policy.shows(ClientCertPart::Cert) {
        out.extend_from_slice(b";Cert=\"");
        out.extend_from_slice(peer.get(PeerFact::PemUrl).unwrap_or_default().as_bytes());
        out.push(b'"');
    }
    if policy.shows(ClientCertPart::Subject) {
        out.extend_from_slice(b";Subject=\"");
        write_subject(out, peer.get(PeerFact::Subject).unwrap_or_default());
        out.push(b'"');
    }
    for (part, key, fact) in
        [(ClientCertPart::Uri, "URI", PeerFact::Uris), (ClientCertPart::Dns, "DNS", PeerFact::DnsNames)]
    {
        if policy.shows(part) {
            peer.each(fact, &mut |name| {
                out.push(b';');
                write_pair(out, key, name);
            });
        }
    }
}

/// Envoy's rule: in quotes, if a separator is in it. What would end the quotes,
/// or may not stand in a header, is escaped as in URIs.
fn write_pair(out: &mut Vec<u8>, key: &str, value: &str) {
    let quoted = value.contains([',', ';', '=']);
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    if quoted {
        out.push(b'"');
    }
    for byte in value.bytes() {
        match byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\') {
            true => out.push(byte),
            false => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    if quoted {
        out.push(b'"');
    }
}

/// Quotes and backslashes of the subject itself stand as RFC 2253's hexadecimal
/// pairs, so that nobody reads them for ours.
fn write_subject(out: &mut Vec<u8>, subject: &str) {
    let mut bytes = subject.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                out.push(b'\\');
                match bytes.next() {
                    Some(b'"') => out.extend_from_slice(b"22"),
                    Some(b'\\') => out.extend_from_slice(b"5C"),
                    Some(other) => out.push(other),
                    None => {}
                }
            }
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_end_its_value() {
        let pair = |value: &str| {
            let mut out = Vec::new();
            write_pair(&mut out, "URI", value);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(pair("spiffe://a/b"), "URI=spiffe://a/b");
        assert_eq!(pair("https://a/?b=c"), "URI=\"https://a/?b=c\"");
        assert_eq!(pair("a\";By=b,Hash=c"), "URI=\"a%22;By=b,Hash=c\"");
        assert_eq!(pair("a\\\",\r\n é"), "URI=\"a%5C%22,%0D%0A%20%C3%A9\"");
        let subject = |value: &str| {
            let mut out = Vec::new();
            write_subject(&mut out, value);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(subject("CN=a\\, b,O=c"), "CN=a\\, b,O=c");
        assert_eq!(subject("CN=a\\\",Hash=\\\\"), "CN=a\\22,Hash=\\5C");
    }
}
