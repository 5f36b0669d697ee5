use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{encode, Algorithm, EncodingKey, Header};
use serde_json::{json, Value};
use sidegate_sdk::testing::{Outcome, TestHost};

use super::Jwt;

/// "secret" and "other".
fn keys() -> Value {
    json!({"keys": [
        {"kty": "oct", "kid": "1", "alg": "HS256", "k": "c2VjcmV0"},
        {"kty": "oct", "kid": "2", "alg": "HS384", "k": "b3RoZXI"},
    ]})
}

fn config() -> Value {
    let forward = json!({"sub": "x-user", "roles": "x-roles"});
    json!({"keys": keys(), "issuer": "me", "audiences": ["shop", "bank"], "leeway": "30s", "forward": forward})
}

fn host() -> TestHost {
    TestHost::new::<Jwt>(config()).unwrap()
}

fn claims(more: Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({"iss": "me", "aud": "shop", "exp": now + 1000, "sub": "ann"});
    for (key, value) in more.as_object().unwrap() {
        claims[key] = match value.as_i64() {
            // Times are given from now.
            Some(seconds) => (now as i64 + seconds).into(),
            None => value.clone(),
        };
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn signed(algorithm: Algorithm, kid: Option<&str>, secret: &str, claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = kid.map(str::to_owned);
    encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn token(more: Value) -> String {
    signed(Algorithm::HS256, Some("1"), "secret", &claims(more))
}

fn send(host: &TestHost, authorization: &str) -> Outcome {
    host.request("GET", "/", &[("authorization", authorization), ("x-user", "root")]).run()
}

/// The words of the refusal.
fn refused(token: &str) -> String {
    let response = send(&host(), &format!("Bearer {token}")).response.unwrap();
    assert_eq!(response.status, 401);
    let why = response.header("www-authenticate").unwrap();
    let words = why.strip_prefix("Bearer error=\"invalid_token\", error_description=\"");
    words.unwrap().trim_end_matches('"').to_owned()
}

#[test]
fn a_valid_token_tells_who_it_is() {
    let host = host();
    let outcome = send(&host, &format!("bearer {}", token(json!({"roles": ["a", "b"]}))));
    assert_eq!((outcome.named("jwt.sub"), outcome.named("jwt.roles")), (Some("ann"), Some("[\"a\",\"b\"]")));
    let upstream = outcome.upstream.unwrap();
    assert_eq!((upstream.header("x-user"), upstream.header("x-roles")), (Some("ann"), Some("[\"a\",\"b\"]")));
    // What a token does not say, no client says in its place.
    let nobody = send(&host, &format!("Bearer {}", token(json!({"sub": null})))).upstream.unwrap();
    assert_eq!(nobody.header("x-user"), None);
    assert_eq!(host.metric("jwt_requests_total", &[("result", "valid")]), Some(2.0));
}

#[test]
fn every_key_signs() {
    let claims = claims(json!({"aud": ["x", "bank"]}));
    for (algorithm, kid, secret) in [
        (Algorithm::HS256, Some("1"), "secret"),
        (Algorithm::HS384, Some("2"), "other"),
        (Algorithm::HS384, None, "other"),
    ] {
        let token = signed(algorithm, kid, secret, &claims);
        assert_eq!(send(&host(), &format!("Bearer {token}")).status(), Some(200), "{algorithm:?}");
    }
}

#[test]
fn without_a_token_one_is_asked_for() {
    let host = host();
    let twice = format!("Bearer {}", token(json!({})));
    for headers in [
        &[][..],
        &[("authorization", "Basic YTpi")],
        &[("authorization", "Bearer ")],
        &[("authorization", &twice), ("authorization", &twice)],
    ] {
        let response = host.request("GET", "/", headers).run().response.unwrap();
        assert_eq!((response.status, response.header("www-authenticate")), (401, Some("Bearer")), "{headers:?}");
    }
    assert_eq!(host.metric("jwt_requests_total", &[("result", "missing")]), Some(4.0));
}

#[test]
fn claims_must_be_right() {
    for (more, why) in [
        (json!({"exp": -31}), "expired"),
        (json!({"exp": null}), "expired"),
        (json!({"nbf": 60}), "not valid yet"),
        (json!({"iss": "you"}), "wrong issuer"),
        (json!({"iss": null}), "wrong issuer"),
        (json!({"aud": ["x"]}), "wrong audience"),
        (json!({"aud": null}), "wrong audience"),
        (json!({"sub": "a\r\nx-admin: 1"}), "a claim cannot be passed on"),
    ] {
        assert_eq!(refused(&token(more.clone())), why, "{more}");
    }
    for within_leeway in [json!({"exp": -5}), json!({"nbf": 5})] {
        let token = token(within_leeway);
        assert_eq!(send(&host(), &format!("Bearer {token}")).status(), Some(200));
    }
}

#[test]
fn signatures_must_be_right() {
    let claims = claims(json!({}));
    assert_eq!(refused(&signed(Algorithm::HS256, Some("1"), "guess", &claims)), "wrong signature");
    assert_eq!(refused(&signed(Algorithm::HS256, Some("3"), "secret", &claims)), "unknown key");
    // The right secret with an algorithm that the key is not for.
    assert_eq!(refused(&signed(Algorithm::HS512, Some("1"), "secret", &claims)), "unknown key");
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", token(json!({})).split('.').nth(1).unwrap());
    assert_eq!(refused(&unsigned), "malformed");
    assert_eq!(refused("a.b.c"), "malformed");
}

#[test]
fn keys_come_from_a_file_too() {
    let file = std::env::temp_dir().join(format!("jwt-{}.json", std::process::id()));
    std::fs::write(&file, keys().to_string()).unwrap();
    let mut config = config();
    config["keys_file"] = file.to_str().unwrap().into();
    let both = TestHost::new::<Jwt>(config.clone()).err().unwrap();
    assert_eq!(both.to_string(), "expected either `keys` or `keys_file`");
    config.as_object_mut().unwrap().remove("keys");
    let host = TestHost::new::<Jwt>(config).unwrap();
    std::fs::remove_file(file).unwrap();
    assert_eq!(send(&host, &format!("Bearer {}", token(json!({})))).status(), Some(200));
}

#[test]
fn refuses_what_makes_no_sense() {
    let refused = |key: &str, value: Value| {
        let mut config = config();
        config[key] = value;
        TestHost::new::<Jwt>(config).err().unwrap().to_string()
    };
    let with = |key: Value| json!({"keys": [key]});
    assert_eq!(refused("audiences", json!([])), "audiences: expected at least one");
    assert_eq!(refused("keys", json!({"keys": []})), "keys.keys: expected at least one key");
    assert_eq!(
        refused("keys", with(json!({"kty": "oct", "k": "YQ"}))),
        "keys.keys[0].alg: expected the key's algorithm"
    );
    for key in [json!({"kty": "oct", "alg": "RS256", "k": "YQ"}), json!({"kty": "oct", "alg": "HS256", "k": ""})] {
        assert!(refused("keys", with(key)).starts_with("keys.keys[0]: expected a key for "));
    }
}
