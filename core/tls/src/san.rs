//! Which alternative names of a certificate will do.

use std::sync::Arc;

use x509_parser::prelude::X509Certificate;

use crate::peer;

/// A kind of alternative name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SanKind {
    /// A name of DNS.
    Dns,
    /// A URI; SPIFFE's identities are such.
    Uri,
    /// A mail address.
    Email,
    /// An address.
    Ip,
}

/// One alternative name that will do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SanMatch {
    /// Names of this kind; `None`: of any.
    pub kind: Option<SanKind>,
    /// What it must be.
    pub pattern: SanPattern,
    /// Whether upper and lower case are the same. They are for names of DNS
    /// anyway.
    pub ignore_case: bool,
}

/// What an alternative name must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SanPattern {
    /// This. A name of DNS in the certificate may begin with `*.`.
    Exact(Arc<str>),
    /// It begins so.
    Prefix(Arc<str>),
    /// It ends so.
    Suffix(Arc<str>),
    /// It has this in it.
    Contains(Arc<str>),
}

impl SanMatch {
    /// Whether one of the certificate's names will do.
    pub(crate) fn fits_one_of(&self, names: &[(SanKind, String)]) -> bool {
        names.iter().any(|(kind, name)| self.kind.is_none_or(|wanted| wanted == *kind) && self.fits(*kind, name))
    }

    fn fits(&self, kind: SanKind, name: &str) -> bool {
        let fold = self.ignore_case || kind == SanKind::Dns;
        let same = |a: &str, b: &str| if fold { a.eq_ignore_ascii_case(b) } else { a == b };
        match &self.pattern {
            SanPattern::Exact(wanted) => same(name, wanted) || kind == SanKind::Dns && wildcard_fits(name, wanted),
            SanPattern::Prefix(start) => name.get(..start.len()).is_some_and(|own| same(own, start)),
            SanPattern::Suffix(end) => {
                name.len().checked_sub(end.len()).and_then(|at| name.get(at..)).is_some_and(|own| same(own, end))
            }
            SanPattern::Contains(part) if fold => name.to_ascii_lowercase().contains(&part.to_ascii_lowercase()),
            SanPattern::Contains(part) => name.contains(&**part),
        }
    }
}

/// `*.example.com` is for `a.example.com`, and not for `a.b.example.com`.
fn wildcard_fits(pattern: &str, name: &str) -> bool {
    let Some(parent) = pattern.strip_prefix("*.") else { return false };
    name.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && rest.eq_ignore_ascii_case(parent))
}

/// Whether one of `wanted` is a name of the certificate.
pub(crate) fn any_fits(wanted: &[SanMatch], certificate: &X509Certificate<'_>) -> bool {
    let names = peer::names(certificate);
    wanted.iter().any(|one| one.fits_one_of(&names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(kind: Option<SanKind>, pattern: SanPattern, of: SanKind, name: &str) -> bool {
        let names = [(of, name.to_owned())];
        SanMatch { kind, pattern, ignore_case: false }.fits_one_of(&names)
    }

    #[test]
    fn names_fit_by_kind_and_pattern() {
        use SanKind::{Dns, Uri};
        let spiffe = "spiffe://cluster.local/ns/a/sa/b";
        assert!(fits(Some(Uri), SanPattern::Exact(spiffe.into()), Uri, spiffe));
        assert!(!fits(Some(Uri), SanPattern::Exact("SPIFFE://cluster.local/ns/a/sa/b".into()), Uri, spiffe));
        assert!(!fits(Some(Dns), SanPattern::Exact(spiffe.into()), Uri, spiffe));
        assert!(fits(None, SanPattern::Prefix("spiffe://cluster.local/ns/a/".into()), Uri, spiffe));
        assert!(!fits(None, SanPattern::Prefix("spiffe://cluster.local/ns/ab".into()), Uri, spiffe));
        assert!(fits(None, SanPattern::Suffix("/sa/b".into()), Uri, spiffe));
        assert!(!fits(None, SanPattern::Suffix(format!("x{spiffe}").into()), Uri, spiffe));
        assert!(fits(None, SanPattern::Contains("/ns/".into()), Uri, spiffe));
        assert!(fits(Some(Dns), SanPattern::Exact("A.example.com".into()), Dns, "a.Example.com"));
    }

    #[test]
    fn a_wildcard_is_for_one_label() {
        let exact = |name: &str| SanPattern::Exact(name.into());
        assert!(fits(None, exact("a.example.com"), SanKind::Dns, "*.example.com"));
        assert!(!fits(None, exact("a.b.example.com"), SanKind::Dns, "*.example.com"));
        assert!(!fits(None, exact("example.com"), SanKind::Dns, "*.example.com"));
        assert!(!fits(None, exact(".example.com"), SanKind::Dns, "*.example.com"));
        assert!(!fits(None, exact("a.example.com"), SanKind::Uri, "*.example.com"));
    }

    #[test]
    fn cuts_inside_a_character_are_no_match() {
        assert!(!fits(None, SanPattern::Prefix("a".into()), SanKind::Uri, "é"));
        assert!(!fits(None, SanPattern::Suffix("a".into()), SanKind::Uri, "é"));
    }
}
