//! Who the other side is.

use std::net::IpAddr;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use sidegate_api::{PeerFact, PeerIdentity, is_hidden};
use x509_parser::asn1_rs::Tag;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};
use x509_parser::time::ASN1Time;

use crate::digest::{hex, sha256};
use crate::san::SanKind;

/// A peer whose certificate was found good.
#[derive(Debug)]
pub struct Peer {
    certificate: CertificateDer<'static>,
    /// Made when somebody asks; one that nobody asks for costs nothing.
    facts: OnceLock<Box<Facts>>,
}

/// By [`PeerFact`]; inside, `None`: the certificate does not say.
type Facts = [OnceLock<Option<Box<str>>>; PeerFact::COUNT];

impl Peer {
    pub(crate) fn new(certificate: CertificateDer<'static>) -> Peer {
        Peer { certificate, facts: OnceLock::new() }
    }

    /// Alternative names of this kind, in order.
    pub fn names(&self, kind: SanKind) -> Vec<String> {
        let names = parsed(&self.certificate).map(|certificate| names(&certificate)).unwrap_or_default();
        names.into_iter().filter(|(of, _)| *of == kind).map(|(_, name)| name).collect()
    }

    /// The certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.certificate
    }

    fn work_out(&self, fact: PeerFact) -> Option<String> {
        let der: &[u8] = &self.certificate;
        match fact {
            PeerFact::Sha256 => return Some(hex(&sha256(der))),
            PeerFact::Pem => return Some(pem_text(der)),
            PeerFact::PemUrl => return Some(url_text(self.get(PeerFact::Pem)?)),
            _ => {}
        }
        if let Some(kind) = kind_of(fact) {
            return list_text(&self.names(kind));
        }
        let certificate = parsed(der)?;
        Some(match fact {
            PeerFact::Subject => name_text(certificate.subject()),
            PeerFact::Issuer => name_text(certificate.issuer()),
            PeerFact::Serial => serial_text(&certificate),
            PeerFact::KeySha256 => STANDARD.encode(sha256(certificate.public_key().raw)),
            PeerFact::NotBefore => time_text(certificate.validity().not_before),
            PeerFact::NotAfter => time_text(certificate.validity().not_after),
            // One that is no text is a URI as well.
            PeerFact::SpiffeId if uri_count(&certificate) != 1 => return None,
            PeerFact::SpiffeId => return spiffe_id(&self.names(SanKind::Uri)),
            // These were looked at above.
            _ => return None,
        })
    }
}

impl PeerIdentity for Peer {
    fn get(&self, fact: PeerFact) -> Option<&str> {
        let facts = self.facts.get_or_init(Box::default);
        facts[fact as usize].get_or_init(|| self.work_out(fact).map(String::into_boxed_str)).as_deref()
    }

    fn each(&self, fact: PeerFact, with: &mut dyn FnMut(&str)) {
        match kind_of(fact) {
            Some(kind) => self.names(kind).iter().for_each(|name| with(name)),
            None => self.get(fact).into_iter().for_each(with),
        }
    }
}

fn kind_of(fact: PeerFact) -> Option<SanKind> {
    match fact {
        PeerFact::Uris => Some(SanKind::Uri),
        PeerFact::DnsNames => Some(SanKind::Dns),
        PeerFact::Addresses => Some(SanKind::Ip),
        PeerFact::Emails => Some(SanKind::Email),
        _ => None,
    }
}

/// It was found good by rustls; what another parser does not read is left out.
fn parsed(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}

/// As OpenSSL prints it: without the byte of zeros that keeps a number
/// positive.
pub(crate) fn serial_text(certificate: &X509Certificate<'_>) -> String {
    match certificate.raw_serial() {
        [0, rest @ ..] if !rest.is_empty() => hex(rest),
        all => hex(all),
    }
}

/// Names with commas. A comma or backslash within one has a backslash before
/// it, so that no name reads as two; bytes that would break a line stand as in
/// subjects.
fn list_text(names: &[String]) -> Option<String> {
    let mut text = String::new();
    for (place, name) in names.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        for char in name.chars() {
            match char {
                ',' | '\\' => text.extend(['\\', char]),
                _ if is_hidden(char) => push_hex(&mut text, char),
                _ => text.push(char),
            }
        }
    }
    (!names.is_empty()).then_some(text)
}

/// How many URIs there are, readable or not.
fn uri_count(certificate: &X509Certificate<'_>) -> usize {
    let extension = certificate.subject_alternative_name().ok().flatten();
    let names = extension.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    // RFC 5280 section 4.2.1.6: uniformResourceIdentifier [6].
    let is_uri = |name: &&GeneralName<'_>| matches!(name, GeneralName::URI(_) | GeneralName::Invalid(Tag(6), _));
    names.iter().filter(is_uri).count()
}

/// The only URI, if it is a SPIFFE ID. A certificate with several URIs is none
/// of SPIFFE's (X509-SVID section 2), and nobody could say which one counts.
fn spiffe_id(uris: &[String]) -> Option<String> {
    let [uri] = uris else { return None };
    let rest = uri.strip_prefix("spiffe://")?;
    let (domain, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let in_domain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(in_path);
    let good_domain = !domain.is_empty() && domain.len() <= 255 && domain.bytes().all(in_domain);
    let good_path = path.is_empty() || path.split('/').skip(1).all(is_segment);
    (uri.len() <= 2048 && good_domain && good_path).then(|| uri.clone())
}

/// RFC 3339, in UTC as certificates are.
fn time_text(time: ASN1Time) -> String {
    let at = time.to_datetime();
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", at.hour(), at.minute(), at.second())
}

/// Everything but what RFC 3986 calls unreserved is escaped.
fn url_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() * 5 / 4);
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            true => escaped.push(char::from(byte)),
            false => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
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
        match is_hidden(char) {
            true => push_hex(&mut text, char),
            false => text.push(char),
        }
    }
    text
}

/// Each byte as RFC 2253 writes those that it has no other way for.
fn push_hex(text: &mut String, char: char) {
    let mut bytes = [0; 4];
    char.encode_utf8(&mut bytes).bytes().for_each(|byte| text.push_str(&format!("\\{byte:02X}")));
}

/// A certificate in PEM, lines of 64 characters.
pub(crate) fn pem_text(der: &[u8]) -> String {
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in der.chunks(48) {
        STANDARD.encode_string(line, &mut text);
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

    #[test]
    fn a_name_in_a_list_is_one_name() {
        let list = |names: &[&str]| list_text(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(list(&[]), None);
        assert_eq!(list(&["a"]).unwrap(), "a");
        assert_eq!(list(&["a", "b"]).unwrap(), "a,b");
        assert_eq!(list(&["a,b", "c\\", "d\r\ne"]).unwrap(), "a\\,b,c\\\\,d\\0D\\0Ae");
    }

    /// A certificate for URIs that are these bytes.
    fn peer(uris: &[&[u8]]) -> Peer {
        let tagged = |tag: u8, bytes: &[u8]| [&[tag, u8::try_from(bytes.len()).unwrap()][..], bytes].concat();
        let names: Vec<u8> = uris.iter().flat_map(|uri| tagged(0x86, uri)).collect();
        let mut params = rcgen::CertificateParams::default();
        let extension = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 17], tagged(0x30, &names));
        params.custom_extensions.push(extension);
        let key = rcgen::KeyPair::generate().unwrap();
        Peer::new(params.self_signed(&key).unwrap().der().clone())
    }

    #[test]
    fn a_uri_that_is_no_text_is_one_of_several_too() {
        let good = b"spiffe://a/b";
        assert_eq!(peer(&[good]).get(PeerFact::SpiffeId), Some("spiffe://a/b"));
        for other in [&b"spiffe://\xff\xfe"[..], b"", b"spiffe://c"] {
            assert_eq!(peer(&[good, other]).get(PeerFact::SpiffeId), None, "{other:?}");
            assert_eq!(peer(&[other, good]).get(PeerFact::SpiffeId), None, "{other:?}");
        }
        assert_eq!(peer(&[]).get(PeerFact::SpiffeId), None);
    }

    #[test]
    fn identities_of_spiffe_are_whole_or_none() {
        let id = |uris: &[&str]| spiffe_id(&uris.iter().map(|uri| (*uri).to_owned()).collect::<Vec<_>>());
        for good in ["spiffe://a", "spiffe://cluster.local/ns/a/sa/b", "spiffe://a-b_c.1/A.b-c_1"] {
            assert_eq!(id(&[good]).as_deref(), Some(good));
        }
        let long = format!("spiffe://a/{}", "x".repeat(2048));
        for bad in [
            "",
            "https://a",
            "spiffe://",
            "spiffe:///a",
            "spiffe://A/b",
            "spiffe://a/",
            "spiffe://a//b",
            "spiffe://a/../b",
            "spiffe://a/./b",
            "spiffe://a:1/b",
            "spiffe://u@a/b",
            "spiffe://a/b?c",
            "spiffe://a/b#c",
            "spiffe://a/%62",
            "spiffe://a/b\n",
            "SPIFFE://a/b",
            &long,
        ] {
            assert_eq!(id(&[bad]), None, "{bad}");
        }
        assert_eq!(id(&[]), None);
        assert_eq!(id(&["spiffe://a/b", "https://c"]), None);
    }

    #[test]
    fn a_pem_in_a_url_has_nothing_to_escape_left() {
        assert_eq!(url_text("-----BEGIN A-----\nb+/=\n"), "-----BEGIN%20A-----%0Ab%2B%2F%3D%0A");
    }
}
