//! What a context was made of, for those who look at it: never keys.

use std::fmt;
use std::time::{Duration, SystemTime};

use x509_parser::public_key::PublicKey;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::time::ASN1Time;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::context::Validity;
use crate::peer::name_text;
use crate::pem::CertificateInfo;
use crate::source::Source;

/// Certificates and lists of one context.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Who we are.
    pub identity: Option<HeldIdentity>,
    /// Whom we believe; `None`: nobody is verified.
    pub trust: Option<HeldTrust>,
}

/// A chain, without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldIdentity {
    /// Where the chain is from.
    pub chain_from: Source,
    /// Where the key is from.
    pub key_from: Source,
    /// Our certificate and its issuers.
    pub chain: Vec<CertificateInfo>,
    /// Whether an OCSP response goes with it.
    pub stapled: bool,
}

/// What ends chains of peers, and what was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldTrust {
    /// The certificates.
    pub roots: HeldRoots,
    /// The lists, and where they are from.
    pub lists: Option<(Source, Vec<RevocationInfo>)>,
}

/// Certificates that end chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldRoots {
    /// So many of the system's.
    System(usize),
    /// These.
    Given(Source, Vec<CertificateInfo>),
    /// None: pins decide.
    Pinned,
}

/// What is worth showing of a list of revoked certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationInfo {
    /// As in RFC 2253.
    pub issuer: String,
    /// When it was made.
    pub this_update: SystemTime,
    /// After that it says nothing any more.
    pub next_update: Option<SystemTime>,
    /// How many certificates are in it.
    pub revoked: usize,
}

/// What of a context ends at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Expiring {
    /// One of our certificates.
    Certificate,
    /// A certificate that ends chains of peers.
    Ca,
    /// A list of revoked certificates.
    Crl,
}

/// The end of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry<'a> {
    /// What ends.
    pub what: Expiring,
    /// Its subject; of a list, its issuer.
    pub name: &'a str,
    /// Where it is from.
    pub from: &'a Source,
    /// It is good until then.
    pub until: SystemTime,
}

impl Expiring {
    /// All of them.
    pub const ALL: [Expiring; 3] = [Expiring::Certificate, Expiring::Ca, Expiring::Crl];

    /// For the label of a metric.
    pub fn label(self) -> &'static str {
        match self {
            Expiring::Certificate => "certificate",
            Expiring::Ca => "ca",
            Expiring::Crl => "crl",
        }
    }
}

/// For sentences that begin with it.
impl fmt::Display for Expiring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Expiring::Certificate => "the certificate",
            Expiring::Ca => "the CA",
            Expiring::Crl => "the list of revoked certificates",
        })
    }
}

impl Holdings {
    /// Everything that ends, but for the system's certificates, which are the
    /// system's to renew.
    pub fn expiries(&self) -> impl Iterator<Item = Expiry<'_>> {
        let own = self
            .identity
            .iter()
            .flat_map(|own| own.chain.iter().map(move |info| info.expiry(Expiring::Certificate, &own.chain_from)));
        let cas = self.trust.iter().filter_map(|trust| match &trust.roots {
            HeldRoots::Given(from, cas) => Some((from, cas)),
            HeldRoots::System(_) | HeldRoots::Pinned => None,
        });
        let cas = cas.flat_map(|(from, cas)| cas.iter().map(move |info| info.expiry(Expiring::Ca, from)));
        let lists = self.trust.iter().filter_map(|trust| trust.lists.as_ref()).flat_map(|(from, lists)| {
            lists.iter().filter_map(move |list| {
                Some(Expiry { what: Expiring::Crl, name: &list.issuer, from, until: list.next_update? })
            })
        });
        own.chain(cas).chain(lists)
    }

    /// When the first of a kind ends. Of several CAs those that have ended
    /// already say nothing while others are good: old ones stay in bundles.
    pub fn soonest(&self, what: Expiring, now: SystemTime) -> Option<Expiry<'_>> {
        let of_kind = || self.expiries().filter(move |expiry| expiry.what == what);
        let good = of_kind().filter(|expiry| what != Expiring::Ca || expiry.until > now);
        good.min_by_key(|expiry| expiry.until).or_else(|| of_kind().max_by_key(|expiry| expiry.until))
    }

    /// What is to be said of it `now`: what has ended, and what is about to.
    pub fn warnings(&self, now: SystemTime) -> impl Iterator<Item = (Expiry<'_>, String)> {
        let soonest = Expiring::ALL.into_iter().filter_map(move |what| self.soonest(what, now));
        soonest.filter_map(move |expiry| Some((expiry, expiry.warning(now)?)))
    }
}

impl CertificateInfo {
    fn expiry<'a>(&'a self, what: Expiring, from: &'a Source) -> Expiry<'a> {
        Expiry { what, name: &self.subject, from, until: self.not_after }
    }
}

impl Expiry<'_> {
    /// What is to be said of it `now`, if anything is.
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        let Expiry { what, name, until, .. } = self;
        match until.duration_since(now) {
            Err(_) => Some(format!("{what} of {name} has expired")),
            Ok(left) if left < Validity::WARN_AHEAD => Some(format!("{what} of {name} expires in {}", days(left))),
            Ok(_) => None,
        }
    }
}

fn days(left: Duration) -> String {
    match left.as_secs() / (24 * 3600) {
        0 => "less than a day".to_owned(),
        1 => "a day".to_owned(),
        days => format!("{days} days"),
    }
}

impl RevocationInfo {
    pub(crate) fn of(list: &CertificateRevocationList<'_>) -> RevocationInfo {
        RevocationInfo {
            issuer: name_text(list.issuer()),
            this_update: time(list.last_update()),
            next_update: list.next_update().map(time),
            revoked: list.iter_revoked_certificates().count(),
        }
    }
}

/// Seconds since 1970, which may lie before it.
pub(crate) fn time(time: ASN1Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}

/// Kind and size of a key: `RSA 2048`, `ECDSA P-256`, `Ed25519`.
pub(crate) fn key_kind(key: &SubjectPublicKeyInfo<'_>) -> String {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA {}", rsa.key_size()),
        Ok(PublicKey::EC(_)) => {
            let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
            let curve = curve.map(|curve| curve.to_id_string());
            match curve.as_deref() {
                Some("1.2.840.10045.3.1.7") => "ECDSA P-256".to_owned(),
                Some("1.3.132.0.34") => "ECDSA P-384".to_owned(),
                Some("1.3.132.0.35") => "ECDSA P-521".to_owned(),
                Some(other) => format!("ECDSA {other}"),
                None => "ECDSA".to_owned(),
            }
        }
        _ => match key.algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => "Ed25519".to_owned(),
            "1.3.101.113" => "Ed448".to_owned(),
            other => other.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(subject: &str, until: SystemTime) -> CertificateInfo {
        CertificateInfo {
            subject: subject.to_owned(),
            issuer: String::new(),
            serial: String::new(),
            names: Vec::new(),
            not_before: SystemTime::UNIX_EPOCH,
            not_after: until,
            sha256: String::new(),
            key: String::new(),
        }
    }

    fn cas(ends: &[SystemTime]) -> Holdings {
        let cas = ends.iter().map(|end| certificate("ca", *end)).collect();
        let roots = HeldRoots::Given(Source::File("/ca.pem".into()), cas);
        Holdings { identity: None, trust: Some(HeldTrust { roots, lists: None }) }
    }

    #[test]
    fn what_is_about_to_end_is_told_of() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let day = Duration::from_secs(24 * 3600);
        let held = |until| {
            let from = Source::File("/own.pem".into());
            let chain = vec![certificate("CN=a", until), certificate("CN=issuer", now + 99 * day)];
            let identity = HeldIdentity { chain_from: from.clone(), key_from: from, chain, stapled: false };
            Holdings { identity: Some(identity), trust: None }
        };
        for (until, expected) in [
            (now + 15 * day, None),
            (now + 14 * day, None),
            (now + 13 * day, Some("the certificate of CN=a expires in 13 days")),
            (now + day, Some("the certificate of CN=a expires in a day")),
            (now + day / 2, Some("the certificate of CN=a expires in less than a day")),
            (now - day, Some("the certificate of CN=a has expired")),
        ] {
            let held = held(until);
            let said: Vec<String> = held.warnings(now).map(|(_, words)| words).collect();
            assert_eq!(said, expected.into_iter().collect::<Vec<_>>());
            assert_eq!(held.soonest(Expiring::Certificate, now).unwrap().until, until);
        }
    }

    #[test]
    fn an_old_ca_in_a_bundle_says_nothing_while_others_are_good() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let day = Duration::from_secs(24 * 3600);
        let soonest = |held: &Holdings| held.soonest(Expiring::Ca, now).unwrap().until;
        let mixed = cas(&[now - day, now + 40 * day, now + 30 * day]);
        assert_eq!((soonest(&mixed), mixed.warnings(now).count()), (now + 30 * day, 0));
        let ended = cas(&[now - 2 * day, now - day]);
        assert_eq!((soonest(&ended), ended.warnings(now).count()), (now - day, 1));
        assert_eq!(Holdings::default().soonest(Expiring::Ca, now), None);
    }
}
