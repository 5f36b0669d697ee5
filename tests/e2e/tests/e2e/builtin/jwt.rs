//! `jwt_authn`.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, TempDir};

/// `{"iss":"me"}`, signed with `secret`.
const GOOD: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJtZSJ9.tY5UTzGBi-lx3tE-p_ZIBnGQOEy03LMR98dXC-k32Kk";
/// The same with an `exp` of 1970.
const ENDED: &str =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJtZSIsImV4cCI6MTAwMH0.EhhCl0gHlEGWScr2uH5bI6FVaFYLKgnLMWi7FS-q9HQ";
/// The first, signed with `other`.
const FORGED: &str =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJtZSJ9.S9foQSppI71uZRwqd9snEacNbvmG0AeqgvV9j8km0oI";

fn proxy_to(origin: &Origin, jwks: Value, more: Value) -> Proxy {
    let mut provider = json!({"issuer": "me", "local_jwks": jwks});
    for (key, value) in more.as_object().unwrap() {
        provider[key] = value.clone();
    }
    let filter = json!({"type": "jwt_authn", "config": {
        "providers": {"me": provider},
        "rules": [{"match": {"path": "/open"}}, {"match": {"prefix": "/"}, "requires": {"provider_name": "me"}}],
    }});
    Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter))
}

fn key_set() -> String {
    json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}).to_string()
}

#[test]
pub(crate) fn requests_without_a_good_token_are_answered_401() {
    let origin = Origin::echo();
    let proxy = proxy_to(&origin, json!({"inline_string": key_set()}), json!({}));
    for (path, fields, status, details) in [
        ("/", format!("Authorization: Bearer {GOOD}\r\n"), 200, ""),
        ("/", format!("Authorization: bearer {GOOD}\r\n"), 200, ""),
        ("/open", String::new(), 200, ""),
        ("/missing", String::new(), 401, "jwt_missing"),
        ("/ended", format!("Authorization: Bearer {ENDED}\r\n"), 401, "jwt_expired"),
        ("/forged", format!("Authorization: Bearer {FORGED}\r\n"), 401, "jwt_bad_signature"),
        ("/none", "Authorization: Bearer x\r\n".to_owned(), 401, "jwt_malformed"),
        // The way in is not around the match.
        ("/open/../none", String::new(), 401, "jwt_missing"),
        ("/%6fpen/../none", String::new(), 401, "jwt_missing"),
    ] {
        let before = origin.count();
        let reply = proxy.get_with(path, &fields);
        assert_eq!(reply.status(), status, "{path} {fields}");
        assert_eq!(origin.count() - before, usize::from(status == 200), "{path}");
        if status == 401 {
            assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer realm=\"test\""), "{path}");
            proxy.access_line(path, |line| line.details == details);
        }
    }
    assert!(!origin.last().head.has("authorization"), "a verified token stays here");
}

#[test]
pub(crate) fn what_was_verified_goes_on_as_it_is_wanted() {
    let origin = Origin::echo();
    let dir = TempDir::new();
    let file = dir.write("keys.json", key_set());
    let more = json!({"forward": true, "forward_payload_header": "x-payload", "from_params": ["t"]});
    let proxy = proxy_to(&origin, json!({"filename": file}), more);
    assert_eq!(proxy.get_with(&format!("/p?a=1&t={GOOD}"), "X-Payload: forged\r\n").status(), 200);
    let seen = origin.last();
    assert_eq!(seen.head.all("x-payload"), [GOOD.split('.').nth(1).unwrap()]);
    assert_eq!(seen.head.target(), format!("/p?a=1&t={GOOD}"));
    assert_eq!(proxy.get_with("/open", "X-Payload: forged\r\n").status(), 200);
    assert!(!origin.last().head.has("x-payload"));
}
