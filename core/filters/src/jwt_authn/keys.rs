//! Key sets, and tokens that they sign.

use std::fmt;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// The keys of one provider, each with what its tokens must be.
pub(super) struct Keys(Vec<Key>);

struct Key {
    id: Option<Box<str>>,
    key: DecodingKey,
    /// What it may sign, and what must be true of its tokens. Algorithms come
    /// from the key and never from the token, which may lie about them.
    validation: Validation,
}

/// What must be true of claims.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claims<'a> {
    pub(super) issuer: Option<&'a str>,
    pub(super) audiences: &'a [&'a str],
    pub(super) expiration: Expiration,
    /// Seconds.
    pub(super) skew: u64,
}

/// Whether a token must end some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiration {
    Optional,
    Required,
}

impl Keys {
    /// Reads a JSON Web Key Set. Keys for other purposes or of other kinds are
    /// passed over, as RFC 7517 wants it, as long as one is left.
    pub(super) fn parse(text: &str, claims: Claims<'_>) -> Result<Keys, String> {
        let set: JwkSet =
            serde_json::from_str(text).map_err(|error| format!("expected a JSON Web Key Set ({error})"))?;
        let mut keys = Vec::new();
        for (index, jwk) in set.keys.iter().enumerate() {
            let Some(algorithms) = algorithms(jwk) else { continue };
            if matches!(&jwk.algorithm, AlgorithmParameters::OctetKey(key) if key.value.is_empty()) {
                return Err(format!("expected a key in keys[{index}] (an empty secret is everybody's)"));
            }
            let key =
                DecodingKey::from_jwk(jwk).map_err(|error| format!("expected a key in keys[{index}] ({error})"))?;
            let id = jwk.common.key_id.as_deref().map(Box::from);
            keys.push(Key { id, key, validation: validation(algorithms, claims) });
        }
        match keys.is_empty() {
            true => Err("expected a key set with an RSA, EC, Ed25519 or symmetric key for signatures".to_owned()),
            false => Ok(Keys(keys)),
        }
    }

    /// Whether one of the keys signed `token`, and its claims are as they must
    /// be.
    pub(super) fn verify(&self, token: &[u8]) -> Result<(), Refusal> {
        // An algorithm that nobody here has, such as `none`, is malformed too.
        let header = decode_header(token).map_err(|_| Refusal::Malformed)?;
        // Extensions that must be understood are not.
        if header.crit.is_some() {
            return Err(Refusal::Malformed);
        }
        let mut refusal = Refusal::UnknownKey;
        for key in &self.0 {
            let other = matches!((&key.id, &header.kid), (Some(known), Some(asked)) if **known != **asked);
            if other || !key.validation.algorithms.contains(&header.alg) {
                continue;
            }
            // Read as a whole, so that all of it is text.
            match decode::<Map<String, Value>>(token, &key.key, &key.validation) {
                Ok(TokenData { claims, .. }) => return check_issuer(claims.get("iss")),
                // Another key may fit.
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => refusal = Refusal::Signature,
                Err(error) => return Err(why(error.kind())),
            }
        }
        Err(refusal)
    }
}

/// RFC 7519 section 4.1.1: one text. The library takes a list for an issuer
/// if all in it are, which another reader of the claims may see otherwise.
fn check_issuer(issuer: Option<&Value>) -> Result<(), Refusal> {
    match issuer {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(_) => Err(Refusal::Issuer),
    }
}

fn why(kind: &ErrorKind) -> Refusal {
    match kind {
        ErrorKind::ExpiredSignature => Refusal::Expired,
        ErrorKind::ImmatureSignature => Refusal::NotYetValid,
        ErrorKind::InvalidIssuer => Refusal::Issuer,
        ErrorKind::InvalidAudience => Refusal::Audience,
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "iss" => Refusal::Issuer,
            "aud" => Refusal::Audience,
            _ => Refusal::NoExpiration,
        },
        _ => Refusal::Malformed,
    }
}

fn validation(algorithms: Vec<Algorithm>, claims: Claims<'_>) -> Validation {
    let mut validation = Validation { algorithms, leeway: claims.skew, validate_nbf: true, ..Validation::default() };
    // What is checked must be there: the library passes over absent claims.
    let mut required = Vec::new();
    if claims.expiration == Expiration::Required {
        required.push("exp");
    }
    if let Some(issuer) = claims.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    if claims.audiences.is_empty() {
        validation.validate_aud = false;
    } else {
        validation.set_audience(claims.audiences);
        required.push("aud");
    }
    validation.set_required_spec_claims(&required);
    validation
}

/// What a key may sign: what it says, or all that its kind can.
fn algorithms(jwk: &Jwk) -> Option<Vec<Algorithm>> {
    use Algorithm::*;
    if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return None;
    }
    let of_kind = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => vec![RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => vec![ES256],
            EllipticCurve::P384 => vec![ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![EdDSA],
        AlgorithmParameters::OctetKey(_) => vec![HS256, HS384, HS512],
        _ => return None,
    };
    let Some(named) = jwk.common.key_algorithm else { return Some(of_kind) };
    let named = Algorithm::try_from(named).ok().filter(|named| of_kind.contains(named))?;
    Some(vec![named])
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}
