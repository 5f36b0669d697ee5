//! Who the other side is.

use std::net::IpAddr;
use std::sync::OnceLock;

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use crate::digest::{hex, sha256};
use crate::san::SanKind;

/// A peer whose certificate was found good. Its parts are made when somebody
/// asks.
#[derive(Debug)]
pub struct Peer {
    certificate: CertificateDer<'static>,
    parts: OnceLock<Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    subject: String,
    issuer: String,
    serial: String,
    sha256: String,
    names: Vec<(SanKind, String)>,
    pem: String,
}

impl Peer {
    pub(crate) fn new(certificate: CertificateDer<'static>) -> Peer {
        Peer { certificate, parts: OnceLock::new() }
    }

    /// As in RFC 2253: `CN=client,O=Example`.
    pub fn subject(&self) -> &str {
        &self.parts().subject
    }

    /// As in RFC 2253.
    pub fn issuer(&self) -> &str {
        &self.parts().issuer
    }

    /// Hexadecimal, lower case.
    pub fn serial(&self) -> &str {
        &self.parts().serial
    }

    /// SHA-256 of the certificate, hexadecimal, lower case.
    pub fn sha256(&self) -> &str {
        &self.parts().sha256
    }

    /// Alternative names of this kind, in order.
    pub fn names(&self, kind: SanKind) -> impl Iterator<Item = &str> {
        self.parts().names.iter().filter(move |(of, _)| *of == kind).map(|(_, name)| name.as_str())
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> &str {
        &self.parts().pem
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    fn parts(&self) -> &Parts {
        self.parts.get_or_init(|| Parts::of(&self.certificate))
    }
}

impl Parts {
    fn of(der: &[u8]) -> Parts {
        // It was found good by rustls; what another parser does not read is
        // left out.
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Parts::default() };
        Parts {
            subject: name_text(certificate.subject()),
            issuer: name_text(certificate.issuer()),
            serial: hex(certificate.raw_serial()),
            sha256: hex(&sha256(der)),
            names: names(&certificate),
            pem: pem_text(der),
        }
    }
}

/// Alternative names.
pub(crate) fn names(certificate: &X509Certificate<'_>) -> Vec<(SanKind, String)> {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    names.iter().filter_map(san_text).collect()
}

fn san_text(name: &GeneralName<'_>) -> Option<(SanKind, String)> {
    match name {
        GeneralName::DNSName(name) => Some((SanKind::Dns, (*name).to_owned())),
        GeneralName::URI(name) => Some((SanKind::Uri, (*name).to_owned())),
        GeneralName::RFC822Name(name) => Some((SanKind::Email, (*name).to_owned())),
        GeneralName::IPAddress(bytes) => {
            let address = match bytes.len() {
                4 => IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?),
                16 => IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?),
                _ => return None,
            };
            Some((SanKind::Ip, address.to_string()))
        }
        _ => None,
    }
}

/// The last common name.
pub(crate) fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let name = certificate.subject().iter_common_name().last()?;
    name.as_str().ok().map(str::to_owned)
}

/// A distinguished name as RFC 2253 writes it: the last part first.
pub(crate) fn name_text(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for rdn in name.iter_rdn() {
        let attributes = rdn.iter().map(|attribute| {
            let registry = x509_parser::objects::oid_registry();
            let known = x509_parser::objects::oid2abbrev(attribute.attr_type(), registry);
            let value = attribute.as_str().map(escaped).unwrap_or_else(|_| format!("#{}", hex(attribute.as_slice())));
            match known {
                Ok(known) => format!("{known}={value}"),
                Err(_) => format!("{}={value}", attribute.attr_type()),
            }
        });
        parts.push(attributes.collect::<Vec<_>>().join("+"));
    }
    parts.reverse();
    parts.join(",")
}

/// RFC 2253 section 2.4.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (place, char) in value.chars().enumerate() {
        let edge = char == ' ' && (place == 0 || place == last) || char == '#' && place == 0;
        if edge || matches!(char, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            text.push('\\');
        }
        match char.is_control() {
            true => char.to_string().bytes().for_each(|byte| text.push_str(&format!("\\{byte:02X}"))),
            false => text.push(char),
        }
    }
    text
}

/// A certificate in PEM, lines of 64 characters.
pub(crate) fn pem_text(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in der.chunks(48) {
        for three in line.chunks(3) {
            let bytes = [three[0], three.get(1).copied().unwrap_or(0), three.get(2).copied().unwrap_or(0)];
            let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
            for place in 0..4 {
                let six = (bits >> (18 - 6 * place)) & 0x3f;
                text.push(if place <= three.len() { char::from(ALPHABET[six as usize]) } else { '=' });
            }
        }
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_escaped() {
        assert_eq!(escaped("a,b+c\"d\\e<f>g;h"), "a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h");
        assert_eq!(escaped(" a b "), "\\ a b\\ ");
        assert_eq!(escaped("#a#"), "\\#a#");
        assert_eq!(escaped("a\nb"), "a\\0Ab");
    }

    #[test]
    fn pem_is_padded() {
        let body = |der: &[u8]| pem_text(der).lines().nth(1).unwrap().to_owned();
        assert_eq!(body(b"M"), "TQ==");
        assert_eq!(body(b"Ma"), "TWE=");
        assert_eq!(body(b"Man"), "TWFu");
        assert_eq!(pem_text(&[0; 49]).lines().count(), 4);
    }
}
