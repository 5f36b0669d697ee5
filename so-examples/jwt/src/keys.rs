//! Which tokens are valid.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet};
use jsonwebtoken::{decode, decode_header, Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use sidegate_sdk::{At, ConfigError};

pub struct Keys(Vec<Key>);

struct Key {
    id: Option<String>,
    key: DecodingKey,
    /// With the one algorithm that the key is for. A token says which one it
    /// used, but that is not for the token to decide.
    validation: Validation,
}

/// Why a token is not valid, in words for the client: none of the token's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Malformed,
    UnknownKey,
    Signature,
    Expired,
    NotYet,
    Issuer,
    Audience,
    Claim,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Malformed => "malformed",
            Refusal::UnknownKey => "unknown key",
            Refusal::Signature => "wrong signature",
            Refusal::Expired => "expired",
            Refusal::NotYet => "not valid yet",
            Refusal::Issuer => "wrong issuer",
            Refusal::Audience => "wrong audience",
            Refusal::Claim => "a claim cannot be passed on",
        })
    }
}

impl Keys {
    pub fn new(set: &JwkSet, issuer: &str, audiences: &[String], leeway: Duration) -> Result<Keys, ConfigError> {
        if set.keys.is_empty() {
            return Err(ConfigError::new("keys", "expected at least one key"));
        }
        let keys = set.keys.iter().enumerate().map(|(place, jwk)| {
            let algorithm = algorithm(jwk).map_err(|error| error.within(&format!("keys[{place}]")))?;
            let key = DecodingKey::from_jwk(jwk).at(format!("keys[{place}]"))?;
            let mut validation = Validation::new(algorithm);
            validation.leeway = leeway.as_secs();
            validation.validate_nbf = true;
            validation.set_issuer(&[issuer]);
            validation.set_audience(audiences);
            // The library passes over claims that are not there.
            validation.set_required_spec_claims(&["exp", "iss", "aud"]);
            Ok(Key { id: jwk.common.key_id.clone(), key, validation })
        });
        Ok(Keys(keys.collect::<Result<_, ConfigError>>()?))
    }

    /// The claims of a token that one of the keys signed.
    pub fn verify(&self, token: &[u8]) -> Result<Map<String, Value>, Refusal> {
        let header = decode_header(token).map_err(|_| Refusal::Malformed)?;
        // It names extensions that must be understood, which none is here.
        if header.crit.is_some() {
            return Err(Refusal::Malformed);
        }
        let mut refusal = Refusal::UnknownKey;
        for key in &self.0 {
            let other = matches!((&key.id, &header.kid), (Some(known), Some(asked)) if known != asked);
            if other || !key.validation.algorithms.contains(&header.alg) {
                continue;
            }
            match decode(token, &key.key, &key.validation) {
                Ok(token) => return Ok(token.claims),
                // Another key may fit.
                Err(error) if *error.kind() == ErrorKind::InvalidSignature => refusal = Refusal::Signature,
                Err(error) => return Err(why(error.kind())),
            }
        }
        Err(refusal)
    }
}

/// What a key is for. A set may leave that open; here it must not, so that
/// nothing is guessed.
fn algorithm(jwk: &Jwk) -> Result<Algorithm, ConfigError> {
    let named = jwk.common.key_algorithm.ok_or_else(|| ConfigError::new("alg", "expected the key's algorithm"))?;
    let algorithm = Algorithm::try_from(named)
        .map_err(|_| ConfigError::new("alg", format_args!("expected an algorithm for signatures, found {named}")))?;
    use Algorithm::*;
    let fits = match &jwk.algorithm {
        // Everybody has an empty secret.
        AlgorithmParameters::OctetKey(key) => matches!(algorithm, HS256 | HS384 | HS512) && !key.value.is_empty(),
        AlgorithmParameters::RSA(_) => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
        AlgorithmParameters::EllipticCurve(_) => matches!(algorithm, ES256 | ES384),
        AlgorithmParameters::OctetKeyPair(_) => algorithm == EdDSA,
        _ => false,
    };
    match fits {
        true => Ok(algorithm),
        false => Err(ConfigError::new("", format_args!("expected a key for {named}"))),
    }
}

fn why(kind: &ErrorKind) -> Refusal {
    match kind {
        ErrorKind::ExpiredSignature => Refusal::Expired,
        ErrorKind::ImmatureSignature => Refusal::NotYet,
        ErrorKind::InvalidIssuer => Refusal::Issuer,
        ErrorKind::InvalidAudience => Refusal::Audience,
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "iss" => Refusal::Issuer,
            "aud" => Refusal::Audience,
            _ => Refusal::Expired,
        },
        _ => Refusal::Malformed,
    }
}
