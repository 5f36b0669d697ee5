//! Issuers of tokens.

use std::path::Path;
use std::sync::Arc;

use sidegate_api::{BuildEnv, EditError, FilterCx, Fingerprint, HeaderMapKind, StreamState};

use super::keys::{Claims, Expiration, Keys};
use super::location::{Found, Location};
use super::refusal::Refusal;
use crate::header_match::changeable_header_name;
use crate::settings::{Object, Setting};

/// Key sets are small: more than this is another file.
const MAX_FILE: u64 = 1 << 20;

/// One entry of `providers`.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) name: Box<str>,
    keys: Keys,
    locations: Vec<Location>,
    forward: Forward,
    payload: Option<PayloadHeader>,
}

/// What becomes of a token that was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forward {
    Token,
    Nothing,
}

#[derive(Debug)]
struct PayloadHeader {
    name: Box<[u8]>,
    padding: Padding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    None,
    Equals,
}

impl Provider {
    pub(super) fn read(name: &str, object: &Object<'_>, env: &BuildEnv) -> Option<Provider> {
        let flag = |key| object.get(key).and_then(|s| s.bool()).unwrap_or_default();
        let audiences = object.get("audiences").map(|s| s.list()).unwrap_or_default();
        let audiences: Vec<&str> = audiences.iter().filter_map(Setting::text).collect();
        let claims = Claims {
            issuer: object.get("issuer").and_then(|s| s.text()).filter(|issuer| !issuer.is_empty()),
            audiences: &audiences,
            expiration: if flag("require_expiration") { Expiration::Required } else { Expiration::Optional },
            skew: object.get("clock_skew_seconds").and_then(|s| s.integer()).unwrap_or(60),
        };
        let padding = if flag("pad_forward_payload_header") { Padding::Equals } else { Padding::None };
        let header = object.get("forward_payload_header").and_then(|s| s.parsed(changeable_header_name));
        let locations = Location::read_all(object);
        let keys = object.get("local_jwks").and_then(|s| s.object()).and_then(|jwks| read_keys(&jwks, claims, env));
        Some(Provider {
            name: name.into(),
            keys: keys?,
            locations,
            forward: if flag("forward") { Forward::Token } else { Forward::Nothing },
            payload: header.map(|name| PayloadHeader { name, padding }),
        })
    }

    /// The tokens of a request that are this provider's to judge, if all of
    /// them are good.
    pub(super) fn verify(&self, stream: &StreamState) -> Result<Vec<Found>, Refusal> {
        let mut found = Vec::new();
        for (place, location) in self.locations.iter().enumerate() {
            for token in location.tokens(stream) {
                self.keys.verify(token)?;
                found.push(Found { place, token: token.to_vec() });
            }
        }
        if found.is_empty() { Err(Refusal::Missing) } else { Ok(found) }
    }

    pub(super) fn payload_header(&self) -> Option<&[u8]> {
        self.payload.as_ref().map(|header| &*header.name)
    }

    /// Sends a verified token's payload on, and the token itself or not.
    pub(super) fn hand_on(&self, cx: &mut FilterCx<'_>, found: &Found) -> Result<(), EditError> {
        if let Some(header) = &self.payload {
            let mut payload = found.token.split(|&byte| byte == b'.').nth(1).unwrap_or_default().to_vec();
            if header.padding == Padding::Equals {
                payload.resize(payload.len().next_multiple_of(4), b'=');
            }
            cx.set_header(HeaderMapKind::Request, &header.name, &payload)?;
        }
        match (self.forward, self.locations.get(found.place)) {
            (Forward::Nothing, Some(location)) => location.clear(cx),
            _ => Ok(()),
        }
    }
}

fn read_keys(jwks: &Object<'_>, claims: Claims<'_>, env: &BuildEnv) -> Option<Keys> {
    let (text, at) = match (jwks.get("inline_string"), jwks.get("filename")) {
        (Some(at), _) => (at.text()?.to_owned(), at),
        (None, Some(at)) => {
            let path = env.resolve(Path::new(at.text()?));
            match &*read_file(&path, env) {
                Ok(text) => (text.clone(), at),
                Err(problem) => {
                    at.error(format!("expected a file that can be read, found {}: {problem}", path.display()));
                    return None;
                }
            }
        }
        (None, None) => return None,
    };
    // The text itself is not shown: it may hold a secret.
    Keys::parse(&text, claims).map_err(|problem| at.error(problem)).ok()
}

/// With the keys of a file, if `provider` names one.
pub(super) fn fingerprint(sum: Fingerprint, provider: &Object<'_>, env: &BuildEnv) -> Fingerprint {
    let jwks = provider.get("local_jwks").and_then(|s| s.object());
    let Some(name) = jwks.and_then(|jwks| jwks.get("filename")?.text()) else { return sum };
    match &*read_file(&env.resolve(Path::new(name)), env) {
        Ok(text) => sum.and(text.as_bytes()),
        Err(problem) => sum.and(problem.as_bytes()),
    }
}

/// The text of a key set's file, or why there is none.
fn read_file(path: &Path, env: &BuildEnv) -> Arc<Result<String, String>> {
    env.reads.watch(path);
    env.reads.once(path.to_path_buf(), || {
        let bytes = sidegate_files::read_regular(path, MAX_FILE).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
    })
}
