//! What a secret looks like: the names it goes by, and its own form.

use serde_json::Value;

/// What a key's name says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrecy {
    None,
    /// Strings are secrets; other values are settings.
    Texts,
    /// The value is a secret, whatever it is.
    Whole,
}

/// Endings of names, in lower case and without `-` and `_`.
const WHOLE: [&str; 9] =
    ["privatekey", "token", "secret", "password", "passwd", "passphrase", "apikey", "secretkey", "accesskey"];

/// The same. `tokens` may be a number, `cookie` an object that names one.
const TEXTS: [&str; 22] = [
    "authorization",
    "cookie",
    "credential",
    "credentials",
    "tokens",
    "secrets",
    "passwords",
    "apikeys",
    "signingkey",
    "sharedkey",
    "authkey",
    "encryptionkey",
    "functionskey",
    "hmackey",
    "masterkey",
    "subscriptionkey",
    "assertion",
    "jwt",
    "pwd",
    "sessionid",
    "signature",
    "ticket",
];

pub(super) fn secrecy(key: &str) -> Secrecy {
    let key: String = key.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).collect();
    let ends = |endings: &[&str]| endings.iter().any(|ending| key.ends_with(ending));
    if ends(&WHOLE) {
        Secrecy::Whole
    } else if ends(&TEXTS) {
        Secrecy::Texts
    } else {
        Secrecy::None
    }
}

/// Whether a string with this name, of a key or a header, is a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    secrecy(name) != Secrecy::None
}

/// Whether `text` is a secret wherever it stands.
pub(super) fn is_secret_text(text: &str) -> bool {
    is_private_key(text) || is_secret_jwk(text) || is_credentials(text) || is_jwt(text) || has_userinfo(text)
}

fn is_private_key(text: &str) -> bool {
    text.contains("-----BEGIN") && text.contains("PRIVATE KEY-----")
}

/// JSON Web Keys as text.
fn is_secret_jwk(text: &str) -> bool {
    if !text.contains("\"kty\"") {
        return false;
    }
    match serde_json::from_str::<Value>(text) {
        Ok(mut keys) => {
            let before = keys.clone();
            super::redact(&mut keys);
            keys != before
        }
        Err(_) => super::JWK_SECRETS.iter().any(|member| text.contains(&format!("\"{member}\""))),
    }
}

/// The value of an `authorization` field (RFC 9110 section 11.4).
fn is_credentials(text: &str) -> bool {
    text.split_once(' ').is_some_and(|(scheme, word)| {
        ["basic", "bearer"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
            && !word.is_empty()
            && word.bytes().all(|b| b.is_ascii_graphic())
    })
}

/// A signed JSON Web Token: three parts in base64url, the first a JSON object.
fn is_jwt(text: &str) -> bool {
    let is_part = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    text.starts_with("eyJ") && text.split('.').count() == 3 && text.split('.').all(is_part)
}

/// A URL with a password in it.
fn has_userinfo(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_secrets() {
        for name in ["token", "X-Auth-Token", "clientSecret", "db_password", "api-key", "awsSecretAccessKey"] {
            assert_eq!(secrecy(name), Secrecy::Whole, "{name}");
        }
        for name in ["Authorization", "proxy-authorization", "cookie", "Set-Cookie", "tokens", "credentials"] {
            assert_eq!(secrecy(name), Secrecy::Texts, "{name}");
        }
        for name in ["Ocp-Apim-Subscription-Key", "x-functions-key", "x-jwt-assertion", "db_pwd", "X-Hub-Signature"] {
            assert_eq!(secrecy(name), Secrecy::Texts, "{name}");
        }
        for name in ["key", "hash_key", "limit_key", "token_header", "cookie_name", "jwt_max_token_size", "keys", ""] {
            assert_eq!(secrecy(name), Secrecy::None, "{name}");
        }
    }

    #[test]
    fn forms_tell_secrets() {
        for text in [
            "-----BEGIN EC PRIVATE KEY-----\nx\n-----END EC PRIVATE KEY-----",
            "{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}",
            "{\"kty\":\"RSA\",\"qi\":\"x\"}",
            "{\"kty\":\"oct\",\"k\":\"cut off",
            "Bearer abc",
            "basic YTpi",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",
            "redis://user:pw@host:6379/0",
            "https://:pw@host",
        ] {
            assert!(is_secret_text(text), "{text}");
        }
        for text in [
            "Bearer ",
            "Bearer",
            "bearer of bad news",
            "{\"kty\":\"RSA\",\"n\":\"x\",\"e\":\"AQAB\"}",
            "http://host/a:b@c",
            "eyJ.a",
            "-----BEGIN CERTIFICATE-----",
            "user@host",
        ] {
            assert!(!is_secret_text(text), "{text}");
        }
    }
}
