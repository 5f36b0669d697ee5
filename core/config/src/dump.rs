//! The configuration as the admin page shows it.

use serde_json::Value;

/// What stands in place of a secret.
pub const REDACTED: &str = "***REDACTED***";

/// `value` with everything that looks like a secret replaced: by key
/// (`private_key`, `token`, …), and private keys in PEM wherever they stand.
pub fn redact(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries.iter_mut() {
                let says_something = match value {
                    Value::Null | Value::Bool(_) => false,
                    Value::String(text) => !text.is_empty(),
                    _ => true,
                };
                if says_something && is_secret(key) {
                    *value = REDACTED.into();
                } else {
                    redact(value);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(redact),
        Value::String(text) if is_private_key(text) || is_secret_jwk(text) => *value = REDACTED.into(),
        _ => {}
    }
}

/// Whether a key with this name holds a secret.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    const ENDINGS: [&str; 8] =
        ["private_key", "privatekey", "token", "secret", "password", "passwd", "api_key", "apikey"];
    ENDINGS.iter().any(|ending| key.ends_with(ending))
}

fn is_private_key(text: &str) -> bool {
    text.contains("-----BEGIN") && text.contains("PRIVATE KEY-----")
}

/// JSON Web Keys as text, with a symmetric key (`k`) or a private one (`d`).
fn is_secret_jwk(text: &str) -> bool {
    text.contains("\"kty\"") && (text.contains("\"k\"") || text.contains("\"d\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let mut value = json!({
            "admin": {"Token": "abc", "address": "x"},
            "tls": [{"private_key": "/etc/key.pem", "pem": "-----BEGIN RSA PRIVATE KEY-----\nx"}],
            "jwks": ["{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}", "{\"kty\":\"RSA\",\"n\":\"x\"}"],
            "empty": {"token": ""},
            "config": {"db_password": 12, "tokens": [1], "token": ["a"], "secret": true, "limit_key": "path"},
        });
        redact(&mut value);
        assert_eq!(
            value,
            json!({
                "admin": {"Token": REDACTED, "address": "x"},
                "tls": [{"private_key": REDACTED, "pem": REDACTED}],
                "jwks": [REDACTED, "{\"kty\":\"RSA\",\"n\":\"x\"}"],
                "empty": {"token": ""},
                "config": {
                    "db_password": REDACTED, "tokens": [1], "token": REDACTED, "secret": true, "limit_key": "path",
                },
            })
        );
    }
}
