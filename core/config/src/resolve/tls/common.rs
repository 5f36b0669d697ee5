//! What contexts of both sides say alike.

use std::sync::Arc;

use sidegate_tls::{
    Dropped, Groups, Identity, Parsed, Part, Pins, Protocol, Resumption, Roots, SanKind, SanMatch, SanPattern, Source,
    Suites, Trust, Version, Versions,
};

use super::brought::{IdentityFrom, identity_from};
use super::materials::Materials;
use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// The keys that both sides have, read; and where they stand, for what is found
/// out later.
pub(super) struct Common<'a> {
    pub at: Cursor<'a>,
    pub status: Option<Cursor<'a>>,
    /// Whether the context counts. If not, only what is no setting at all is an
    /// error, and nothing is worth a warning.
    pub on: bool,
    chain: Option<Cursor<'a>>,
    key: Option<Cursor<'a>>,
    ca: Option<Cursor<'a>>,
    crl: Option<Cursor<'a>>,
    min_version: Option<Cursor<'a>>,
    suites: Option<Cursor<'a>>,
    pub ocsp: Option<Cursor<'a>>,
    pub names: Option<Cursor<'a>>,
    pub tickets: Option<Cursor<'a>>,
    pub fall_back: Option<Cursor<'a>>,
    pub identity: Option<Identity>,
    pub identity_from: IdentityFrom<'a>,
    /// Roots as far as `ca_cert` and pins say.
    pub trust: Trust,
    pub has_ca: bool,
    pub protocol: Protocol,
    pub resumption: Resumption,
}

pub(super) fn common<'a>(object: &mut ObjectReader<'a>, materials: &Materials<'_>) -> Common<'a> {
    let at = object.cursor().clone();
    let status = object.get("status");
    let on = status.as_ref().and_then(|cursor| cursor.bool()) == Some(true);
    let identity_from = identity_from(object, on, materials);
    let chain = source(object, "cert_chain", materials);
    let key = source(object, "private_key", materials);
    let ca = source(object, "ca_cert", materials);
    let crl = source(object, "crl", materials);
    let leaf_only = object.get("only_verify_leaf_cert_crl").and_then(|cursor| cursor.bool()) == Some(true);
    let names = object.get("match_typed_subject_alt_names").and_then(|cursor| cursor.array()).unwrap_or_default();
    let names = names.iter().filter_map(san_match).collect();
    let pins = pins(object);
    let roots = match &ca {
        Some((_, source)) => Roots::Given(source.clone()),
        None if !pins.is_empty() => Roots::Pinned,
        None => identity_from.cas().map_or(Roots::System, Roots::Given),
    };
    let (min_version, versions) = versions(object, on);
    let suites_at = object.text("cipher_suites");
    let suites = suites_at.as_ref().and_then(|(cursor, text)| taken(cursor, Suites::parse(text), on));
    let groups = object.text("ecdh_curves").and_then(|(cursor, text)| taken(&cursor, Groups::parse(text), on));
    let alpn = object.text("alpn").map(|(cursor, text)| alpn(&cursor, text, on)).unwrap_or_default();
    let resumption = match object.get("session_resumption").and_then(|cursor| cursor.bool()) {
        Some(false) => Resumption::Off,
        None | Some(true) => Resumption::On,
    };
    let fall_back = object.get("fall_back").filter(|cursor| cursor.bool() == Some(true) && on);
    let identity = match (&chain, &key) {
        (Some((_, chain)), Some((_, key))) => Some(Identity { chain: chain.clone(), key: key.clone(), ocsp: None }),
        _ => identity_from.identity(),
    };
    let is_here = matches!(identity_from, IdentityFrom::Here);
    match (&chain, &key) {
        (Some((cursor, _)), None) if on && is_here => {
            cursor.error(Finding::mismatch(kind::BAD_VALUE, "`private_key` beside it", "none"));
        }
        (None, Some((cursor, _))) if on && is_here => {
            cursor.error(Finding::mismatch(kind::BAD_VALUE, "`cert_chain` beside it", "none"));
        }
        _ => {}
    }
    let (has_ca, crl_source) = (ca.is_some(), crl.as_ref().map(|(_, source)| source.clone()));
    let place = |read: Option<(Cursor<'a>, Source)>| read.map(|(cursor, _)| cursor);
    Common {
        at,
        status,
        on,
        chain: place(chain),
        key: place(key),
        ca: place(ca),
        crl: place(crl),
        min_version,
        suites: suites_at.map(|(cursor, _)| cursor),
        ocsp: None,
        names: None,
        tickets: None,
        fall_back,
        identity,
        identity_from,
        trust: Trust { roots, crl: crl_source, crl_leaf_only: leaf_only, names, pins },
        has_ca,
        protocol: Protocol {
            versions: versions.unwrap_or_default(),
            suites: suites.unwrap_or_default(),
            groups: groups.unwrap_or_default(),
            alpn,
        },
        resumption,
    }
}

impl<'a> Common<'a> {
    /// Whether there is neither certificate nor key, and nothing else that was
    /// to bring them.
    pub fn has_no_identity(&self) -> bool {
        self.chain.is_none() && self.key.is_none() && matches!(self.identity_from, IdentityFrom::Here)
    }

    /// Where a part of the context stands.
    pub fn place(&self, part: Part) -> &Cursor<'a> {
        let own = match part {
            Part::Chain => &self.chain,
            Part::Key => &self.key,
            Part::Ocsp => &self.ocsp,
            Part::Ca => &self.ca,
            Part::Crl => &self.crl,
            Part::Protocol if self.suites.is_some() => &self.suites,
            Part::Protocol => &self.min_version,
            Part::Name => &self.names,
            Part::Tickets => &self.tickets,
        };
        let brought = match (&self.identity_from, part) {
            (IdentityFrom::Brought(at, _), Part::Chain | Part::Key | Part::Ca) => Some(at),
            _ => None,
        };
        own.as_ref().or(brought).unwrap_or(&self.at)
    }

    /// Says what is odd about a context, but works.
    pub fn warn(&self, warnings: &[(Part, String)]) {
        for (part, words) in warnings {
            self.place(*part).warning(Finding::said(kind::BAD_VALUE, words.clone()));
        }
    }
}

/// PEM, or a file.
fn source<'a>(
    object: &mut ObjectReader<'a>,
    name: &'static str,
    materials: &Materials<'_>,
) -> Option<(Cursor<'a>, Source)> {
    let (cursor, text) = object.text(name)?;
    let source = match Source::parse(text) {
        Source::File(_) => Source::File(materials.path(text)),
        inline => inline,
    };
    Some((cursor, source))
}

fn san_match(cursor: &Cursor<'_>) -> Option<SanMatch> {
    let mut object = cursor.object(&schema::SAN_MATCH)?;
    let kinds = [
        ("", None),
        ("DNS", Some(SanKind::Dns)),
        ("URI", Some(SanKind::Uri)),
        ("EMAIL", Some(SanKind::Email)),
        ("IP_ADDRESS", Some(SanKind::Ip)),
    ];
    let kind = object.get("san_type").and_then(|cursor| cursor.choice(&kinds)).flatten();
    let matcher = object.required("matcher");
    object.finish();
    let matcher = matcher?;
    let mut object = matcher.object(&schema::SAN_MATCHER)?;
    let mut patterns = Vec::new();
    let mut read = |name, make: fn(Arc<str>) -> SanPattern| {
        if let Some(cursor) = object.get(name) {
            patterns.push(cursor.name().map(|text| make(text.into())));
        }
    };
    read("exact", SanPattern::Exact);
    read("prefix", SanPattern::Prefix);
    read("suffix", SanPattern::Suffix);
    read("contains", SanPattern::Contains);
    let ignore_case = object.get("ignore_case").and_then(|cursor| cursor.bool()).unwrap_or_default();
    object.finish();
    if patterns.len() != 1 {
        let expected = "exactly one of exact, prefix, suffix and contains";
        let finding = match patterns.is_empty() {
            true => Finding::mismatch(kind::MISSING_KEY, expected, "none"),
            false => Finding::mismatch(kind::BAD_VALUE, expected, patterns.len().to_string()),
        };
        matcher.error(finding);
    }
    Some(SanMatch { kind, pattern: patterns.pop()??, ignore_case })
}

fn pins(object: &mut ObjectReader<'_>) -> Pins {
    let mut pins = Pins::default();
    for cursor in object.get("verify_certificate_spki").and_then(|cursor| cursor.array()).unwrap_or_default() {
        if cursor.string().is_some_and(|text| !pins.add_key(text)) {
            cursor.mismatch(kind::BAD_VALUE, "a SHA-256 hash in base64 (44 characters)");
        }
    }
    for cursor in object.get("verify_certificate_hash").and_then(|cursor| cursor.array()).unwrap_or_default() {
        if cursor.string().is_some_and(|text| !pins.add_certificate(text)) {
            cursor.mismatch(kind::BAD_VALUE, "a SHA-256 hash in hexadecimal (64 digits)");
        }
    }
    pins
}

fn versions<'a>(object: &mut ObjectReader<'a>, on: bool) -> (Option<Cursor<'a>>, Option<Versions>) {
    let mut bad = false;
    let mut read = |cursor: &Option<Cursor<'a>>| {
        let cursor = cursor.as_ref()?;
        let version = Version::parse(cursor.string()?);
        bad |= version.is_err();
        version.map_err(|problem| cursor.refuse(&problem)).ok().flatten()
    };
    let (min_at, max_at) = (object.get("min_version"), object.get("max_version"));
    let (min, max) = (read(&min_at), read(&max_at));
    if bad || !on {
        return (min_at, None);
    }
    let versions = match Versions::new(min, max) {
        Ok((versions, raised)) => {
            if let Some(cursor) = min_at.as_ref().filter(|_| raised) {
                cursor.inert(format!("raised to TLS 1.2: older versions are not safe, found {}", cursor.shown()));
            }
            Some(versions)
        }
        Err(problem) => {
            if let Some(cursor) = max_at.as_ref().or(min_at.as_ref()) {
                cursor.refuse(&problem);
            }
            None
        }
    };
    (min_at, versions)
}

/// A list of algorithms, with a warning about what was left out.
fn taken<T>(cursor: &Cursor<'_>, parsed: Result<Parsed<T>, sidegate_tls::AlgorithmError>, on: bool) -> Option<T> {
    match parsed {
        Ok(Parsed { value, dropped }) => {
            if on {
                dropped.iter().for_each(|dropped: &Dropped| cursor.inert(dropped.to_string()));
            }
            Some(value)
        }
        Err(problem) => {
            if on {
                cursor.refuse(&problem);
            }
            None
        }
    }
}

/// Protocols that are served; others that MOSN may name are left out.
fn alpn(cursor: &Cursor<'_>, text: &str, on: bool) -> Vec<Arc<str>> {
    let mut protocols: Vec<Arc<str>> = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "h2" | "http/1.1" if protocols.iter().any(|known| **known == *name) => {}
            "h2" | "http/1.1" => protocols.push(name.into()),
            _ if on => cursor.inert(format!("{name:?} is left out: expected h2 or http/1.1")),
            _ => {}
        }
    }
    if protocols.is_empty() && on {
        cursor.mismatch(kind::BAD_VALUE, "h2, http/1.1 or both");
    }
    protocols
}
