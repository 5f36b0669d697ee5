//! The configuration as the admin page shows it.

mod kinds;
mod marks;

use serde_json::Value;
use sidegate_api::Registry;

pub(crate) use self::kinds::is_secret;
use self::kinds::{Secrecy, is_secret_text, secrecy};

/// What stands in place of a secret.
pub const REDACTED: &str = "***REDACTED***";

/// `value` without secrets: those that are told by their kind, and those that
/// filters of `registry` and entries of modules mark.
pub(crate) fn redact_all(value: &mut Value, registry: &Registry) {
    marks::redact(value, registry);
    redact(value);
}

/// `value` with everything that looks like a secret replaced: by key
/// (`private_key`, `token`, …), by the name of the header that a value is for,
/// members of JSON Web Keys, and wherever they stand private keys in PEM, JSON
/// Web Tokens, credentials of HTTP and of URLs.
pub fn redact(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            let is_key = entries.get("kty").is_some_and(Value::is_string);
            let is_for_secret = entries.iter().any(|(key, name)| {
                NAME_KEYS.iter().any(|known| key.eq_ignore_ascii_case(known)) && name.as_str().is_some_and(is_secret)
            });
            for (key, value) in entries.iter_mut() {
                let is_value = || VALUE_KEYS.iter().any(|known| key.eq_ignore_ascii_case(known));
                if is_key && JWK_SECRETS.contains(&&**key) {
                    replace(value);
                } else if is_for_secret && is_value() {
                    redact_texts(value);
                } else if key.eq_ignore_ascii_case("so_config") {
                    redact_module(value);
                } else {
                    match secrecy(key) {
                        Secrecy::Whole => replace(value),
                        Secrecy::Texts => redact_texts(value),
                        Secrecy::None => {}
                    }
                    redact(value);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(redact),
        Value::String(text) if is_secret_text(text) => *value = REDACTED.into(),
        _ => {}
    }
}

/// What a `so_config` holds; its `secrets` say where secrets stand and are none.
fn redact_module(value: &mut Value) {
    let Value::Object(entries) = value else { return redact(value) };
    let is_pointers = |key: &str| key.eq_ignore_ascii_case("secrets");
    entries.iter_mut().filter(|(key, _)| !is_pointers(key)).for_each(|(_, value)| redact(value));
}

/// What names the header that a value beside it is for.
const NAME_KEYS: [&str; 3] = ["key", "name", "header_name"];

const VALUE_KEYS: [&str; 9] =
    ["value", "values", "exact", "exact_match", "prefix", "prefix_match", "suffix", "contains", "safe_regex"];

/// RFC 7518 section 6: of symmetric keys, and what RSA and elliptic curves keep
/// private.
const JWK_SECRETS: [&str; 8] = ["k", "d", "p", "q", "dp", "dq", "qi", "oth"];

/// Replaces `value` unless it says nothing.
fn replace(value: &mut Value) {
    let says_something = match value {
        Value::Null | Value::Bool(_) => false,
        Value::String(text) => !text.is_empty(),
        _ => true,
    };
    if says_something {
        *value = REDACTED.into();
    }
}

/// Replaces `value` if it is a string, and the strings of a list; an object of
/// this name has keys that tell more.
fn redact_texts(value: &mut Value) {
    match value {
        Value::String(_) => replace(value),
        Value::Array(elements) => elements.iter_mut().filter(|element| element.is_string()).for_each(replace),
        _ => {}
    }
}

/// Replaces everything in `value` that is no name.
fn redact_leaves(value: &mut Value) {
    match value {
        Value::Object(entries) => entries.values_mut().for_each(redact_leaves),
        Value::Array(elements) => elements.iter_mut().for_each(redact_leaves),
        Value::Bool(_) => *value = REDACTED.into(),
        _ => replace(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn becomes(mut value: Value, expected: &Value) {
        redact(&mut value);
        assert_eq!(&value, expected);
    }

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        becomes(
            json!({
                "admin": {"Token": "abc", "address": "x"},
                "tls": [{"private_key": "/etc/key.pem", "pem": "-----BEGIN RSA PRIVATE KEY-----\nx"}],
                "jwks": ["{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}", "{\"kty\":\"RSA\",\"n\":\"x\"}"],
                "empty": {"token": ""},
                "config": {"db_password": 12, "tokens": [1], "token": ["a"], "secret": true, "limit_key": "path"},
            }),
            &json!({
                "admin": {"Token": REDACTED, "address": "x"},
                "tls": [{"private_key": REDACTED, "pem": REDACTED}],
                "jwks": [REDACTED, "{\"kty\":\"RSA\",\"n\":\"x\"}"],
                "empty": {"token": ""},
                "config": {
                    "db_password": REDACTED, "tokens": [1], "token": REDACTED, "secret": true, "limit_key": "path",
                },
            }),
        );
    }

    #[test]
    fn where_secrets_stand_is_no_secret() {
        let module = json!({"so_config": {"so_path": "a.so", "secrets": ["/upstream/pin"]}, "secrets": ["x"]});
        let shown = json!({"so_config": {"so_path": "a.so", "secrets": ["/upstream/pin"]}, "secrets": [REDACTED]});
        becomes(module, &shown);
    }

    #[test]
    fn keys_of_json_web_keys_are_hidden_and_the_rest_is_not() {
        becomes(
            json!({"keys": [
                {"kty": "oct", "kid": "a", "k": "c2VjcmV0"},
                {"kty": "RSA", "n": "n", "e": "AQAB", "d": "1", "p": "2", "q": "3", "dp": "4", "dq": "5", "qi": "6",
                 "oth": [{"r": "7", "d": "8", "t": "9"}]},
                {"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "d": "1"},
                {"k": "no key", "d": 1},
            ]}),
            &json!({"keys": [
                {"kty": "oct", "kid": "a", "k": REDACTED},
                {"kty": "RSA", "n": "n", "e": "AQAB", "d": REDACTED, "p": REDACTED, "q": REDACTED, "dp": REDACTED,
                 "dq": REDACTED, "qi": REDACTED, "oth": REDACTED},
                {"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "d": REDACTED},
                {"k": "no key", "d": 1},
            ]}),
        );
    }

    #[test]
    fn values_for_headers_that_carry_credentials_are_hidden() {
        becomes(
            json!([
                {"header": {"key": "Authorization", "value": "secret"}, "append": false},
                {"header": {"key": "X-Api-Key", "value": "secret"}},
                {"Name": "proxy-authorization", "Value": "secret"},
                {"name": "Cookie", "exact": "a=b"},
                {"name": "x-vault-token", "values": ["a", "b"]},
                {"header": {"key": "x-team", "value": "blue"}},
                {"name": "authorization", "value_prefix": "Bearer "},
                {"cookie": {"name": "session", "path": "/", "ttl": "1h"}},
                {"cookie": "a=b", "Set-Cookie": ["a=b"], "authorization": {"enabled": true}},
            ]),
            &json!([
                {"header": {"key": "Authorization", "value": REDACTED}, "append": false},
                {"header": {"key": "X-Api-Key", "value": REDACTED}},
                {"Name": "proxy-authorization", "Value": REDACTED},
                {"name": "Cookie", "exact": REDACTED},
                {"name": "x-vault-token", "values": [REDACTED, REDACTED]},
                {"header": {"key": "x-team", "value": "blue"}},
                {"name": "authorization", "value_prefix": "Bearer "},
                {"cookie": {"name": "session", "path": "/", "ttl": "1h"}},
                {"cookie": REDACTED, "Set-Cookie": [REDACTED], "authorization": {"enabled": true}},
            ]),
        );
    }
}
