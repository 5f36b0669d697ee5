use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use sidegate_api::Method;

use super::JwtAuthn;
use crate::testing::{Bench, Outcome, errors};

/// Public keys, and tokens signed with private ones that nobody has any more.
fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).unwrap()
}

/// A provider whose key is the secret `secret`, and more keys.
fn provider(more: Value) -> Value {
    // "secret" in base64url.
    let jwks = json!({"keys": [{"kty": "oct", "kid": "s", "k": "c2VjcmV0"}]}).to_string();
    let mut provider = json!({"issuer": "me", "local_jwks": {"inline_string": jwks}});
    for (key, value) in more.as_object().unwrap() {
        provider[key] = value.clone();
    }
    provider
}

fn config(provider: Value, requires: Value) -> Value {
    json!({"providers": {"p": provider}, "rules": [{"match": {"prefix": "/"}, "requires": requires}]})
}

fn one(more: Value) -> Value {
    config(provider(more), json!({"provider_name": "p"}))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn signed(header: Header, claims: &Value, secret: &str) -> String {
    encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn token(claims: Value) -> String {
    signed(Header::new(Algorithm::HS256), &claims, "secret")
}

fn good() -> String {
    token(json!({"iss": "me", "exp": now() + 1000}))
}

fn bearer(config: Value, token: &str) -> Bench {
    Bench::new::<JwtAuthn>(config).header("authorization", &format!("Bearer {token}"))
}

/// The details of the refusal, or nothing.
fn refused(mut bench: Bench) -> &'static str {
    match bench.request_reply() {
        Ok(Outcome::Continue) => "",
        Ok(other) => panic!("{other:?}"),
        Err(reply) => {
            assert_eq!(reply.status, 401);
            reply.details
        }
    }
}

#[test]
fn every_algorithm_is_verified() {
    let vectors = vectors();
    let provider = json!({"issuer": "issuer.test", "local_jwks": {"inline_string": vectors["jwks"].to_string()}});
    for (algorithm, token) in vectors["tokens"].as_object().unwrap() {
        let token = token.as_str().unwrap();
        let config = config(provider.clone(), json!({"provider_name": "p"}));
        assert_eq!(refused(bearer(config.clone(), token)), "", "{algorithm}");
        // A flipped bit of the signature's middle.
        let middle = token.len() - 40;
        let other = if token.as_bytes()[middle] == b'A' { "B" } else { "A" };
        let forged = format!("{}{other}{}", &token[..middle], &token[middle + 1..]);
        assert_eq!(refused(bearer(config, &forged)), "jwt_bad_signature", "{algorithm}");
    }
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let token = signed(Header::new(algorithm), &json!({"iss": "me"}), "secret");
        assert_eq!(refused(bearer(one(json!({})), &token)), "", "{algorithm:?}");
    }
}

#[test]
fn a_token_does_not_choose_how_it_is_verified() {
    let vectors = vectors();
    let jwks = vectors["jwks"].to_string();
    let provider = json!({"local_jwks": {"inline_string": jwks}});
    // The public key as a secret: the classic confusion.
    let modulus = vectors["jwks"]["keys"][0]["n"].as_str().unwrap();
    for kid in [None, Some("rsa".to_owned())] {
        let header = Header { kid, ..Header::new(Algorithm::HS256) };
        let forged = signed(header, &json!({"iss": "issuer.test"}), modulus);
        assert_eq!(
            refused(bearer(config(provider.clone(), json!({"provider_name": "p"})), &forged)),
            "jwt_unknown_key"
        );
    }
    // "none", with and without a signature.
    for forged in ["eyJhbGciOiJub25lIn0.eyJpc3MiOiJtZSJ9.", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJtZSJ9.AAAA"] {
        assert_eq!(refused(bearer(one(json!({})), forged)), "jwt_malformed");
    }
    let header = Header { crit: Some(vec!["exp".into()]), ..Header::new(Algorithm::HS256) };
    let critical = signed(header, &json!({"iss": "me"}), "secret");
    assert_eq!(refused(bearer(one(json!({})), &critical)), "jwt_malformed");
}

#[test]
fn keys_are_chosen_by_their_id() {
    let with_id = |id: &str, secret| {
        let header = Header { kid: Some(id.into()), ..Header::new(Algorithm::HS256) };
        signed(header, &json!({"iss": "me"}), secret)
    };
    assert_eq!(refused(bearer(one(json!({})), &with_id("s", "secret"))), "");
    assert_eq!(refused(bearer(one(json!({})), &with_id("s", "other"))), "jwt_bad_signature");
    assert_eq!(refused(bearer(one(json!({})), &with_id("t", "secret"))), "jwt_unknown_key");
}

#[test]
fn claims_are_checked() {
    let strict = json!({"audiences": ["a", "b"], "require_expiration": true, "clock_skew_seconds": 10});
    let whole = json!({"iss": "me", "aud": "a", "exp": now() + 1000, "nbf": now() - 1000});
    for (what, changes, refusal) in [
        ("whole", json!({}), ""),
        ("one of several audiences", json!({"aud": ["x", "b"]}), ""),
        ("just ended", json!({"exp": now() - 3}), ""),
        ("ended", json!({"exp": now() - 100}), "jwt_expired"),
        ("without end", json!({"exp": null}), "jwt_without_expiration"),
        ("end is no number", json!({"exp": "soon"}), "jwt_without_expiration"),
        ("not begun", json!({"nbf": now() + 100}), "jwt_not_yet_valid"),
        ("beginning is no number", json!({"nbf": "soon"}), "jwt_malformed"),
        ("other issuer", json!({"iss": "you"}), "jwt_wrong_issuer"),
        ("no issuer", json!({"iss": null}), "jwt_wrong_issuer"),
        ("issuer is no text", json!({"iss": 3}), "jwt_wrong_issuer"),
        ("a list of issuers", json!({"iss": ["me"]}), "jwt_wrong_issuer"),
        ("a list of others too", json!({"iss": ["me", "you"]}), "jwt_wrong_issuer"),
        ("an empty list", json!({"iss": []}), "jwt_wrong_issuer"),
        ("other audience", json!({"aud": "c"}), "jwt_wrong_audience"),
        ("no audience", json!({"aud": null}), "jwt_wrong_audience"),
        ("empty audience", json!({"aud": []}), "jwt_wrong_audience"),
    ] {
        let mut claims = whole.clone();
        for (key, value) in changes.as_object().unwrap() {
            claims[key] = value.clone();
        }
        assert_eq!(refused(bearer(one(strict.clone()), &token(claims))), refusal, "{what}");
    }
    // What a provider does not say is not checked.
    let lax = json!({"issuer": ""});
    assert_eq!(refused(bearer(one(lax.clone()), &token(json!({"iss": "you", "aud": "x"})))), "");
    // But a list is no issuer at all.
    assert_eq!(refused(bearer(one(lax), &token(json!({"iss": ["you"]})))), "jwt_wrong_issuer");
}

#[test]
fn claims_are_text() {
    let signed = |claims: &[u8]| {
        let key = EncodingKey::from_secret(b"secret");
        // {"alg":"HS256"} and the claims in base64url.
        let mut message = String::from("eyJhbGciOiJIUzI1NiJ9.");
        message.push_str(&base64url(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    };
    for (claims, refusal) in [
        (&b"{\"iss\":\"me\",\"x\":\"\xc3\xa4\"}"[..], ""),
        (b"{\"iss\":\"me\",\"x\":\"\xe4\"}", "jwt_malformed"),
        (b"{\"iss\":\"me\",\"\xe4\":1}", "jwt_malformed"),
        (b"{\"iss\":\"me\",\"x\":[{\"y\":\"\xff\"}]}", "jwt_malformed"),
        (b"{\"iss\":\"me\",\"iss\":[\"you\"]}", "jwt_malformed"),
    ] {
        assert_eq!(refused(bearer(one(json!({})), &signed(claims))), refusal, "{claims:?}");
    }
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            out.push(char::from(DIGITS[(word >> (18 - 6 * place) & 63) as usize]));
        }
    }
    out
}

#[test]
fn what_is_no_token_is_refused() {
    let config = one(json!({}));
    for (value, refusal) in [
        ("", "jwt_malformed"),
        ("x", "jwt_malformed"),
        ("a.b.c", "jwt_malformed"),
        ("....", "jwt_malformed"),
        ("\u{e9}.\u{e9}.\u{e9}", "jwt_malformed"),
    ] {
        assert_eq!(refused(bearer(config.clone(), value)), refusal, "{value:?}");
    }
    assert_eq!(refused(Bench::new::<JwtAuthn>(config.clone())), "jwt_missing");
    let basic = Bench::new::<JwtAuthn>(config.clone()).header("authorization", "Basic eDp5");
    assert_eq!(refused(basic), "jwt_missing");
    // All that are found must be good.
    let both = bearer(config, &good()).header("authorization", "bearer x");
    assert_eq!(refused(both), "jwt_malformed");
}

#[test]
fn refusals_are_challenges() {
    let challenge = |mut bench: Bench| {
        let reply = bench.request_reply().unwrap_err();
        String::from_utf8(reply.headers.get(b"www-authenticate").unwrap().to_vec()).unwrap()
    };
    let missing = challenge(Bench::new::<JwtAuthn>(one(json!({}))));
    assert_eq!(missing, "Bearer realm=\"example.test\"");
    let malformed = challenge(bearer(one(json!({})), "x"));
    assert_eq!(
        malformed,
        "Bearer realm=\"example.test\", error=\"invalid_token\", error_description=\"token is malformed\""
    );
    let mut odd = Bench::new::<JwtAuthn>(one(json!({})));
    odd.stream.request.authority = "a\"b".into();
    assert_eq!(challenge(odd), "Bearer realm=\"\"");
}

#[test]
fn tokens_are_found_where_they_are_said_to_be_and_taken_away() {
    let places =
        json!({"from_headers": [{"name": "X-Token", "value_prefix": "T "}, {"name": "x-bare"}], "from_params": ["t"]});
    for (header, target) in [
        (Some(("x-token", format!("T {}", good()))), "/p?a=1".to_owned()),
        (Some(("x-bare", good())), "/p?a=1".to_owned()),
        (None, format!("/p?t={}&a=1", good())),
        (None, format!("/p?a=1&t={}", good())),
    ] {
        for forward in [false, true] {
            let mut provider = places.clone();
            provider["forward"] = forward.into();
            let mut bench = Bench::new::<JwtAuthn>(one(provider)).header("x-other", "1");
            if let Some((name, value)) = &header {
                bench = bench.header(name, value);
            }
            bench.stream.request.set_target(&target);
            assert_eq!(bench.request(), Outcome::Continue, "{header:?} {target}");
            let there = header.as_ref().is_some_and(|(name, _)| bench.stream.request.headers.contains(name.as_bytes()));
            assert_eq!(there, forward && header.is_some());
            let wanted = if forward { &*target } else { "/p?a=1" };
            assert_eq!(bench.stream.request.target(), wanted);
        }
    }
    // The usual places no longer count then.
    assert_eq!(refused(bearer(one(places), &good())), "jwt_missing");
    let mut usual = Bench::new::<JwtAuthn>(one(json!({})));
    usual.stream.request.set_target(&format!("/?access_token={}", good()));
    assert_eq!(usual.request(), Outcome::Continue);
    assert_eq!(usual.stream.request.target(), "/");
}

#[test]
fn the_payload_goes_on_and_cannot_be_forged() {
    for (pad, ends) in [(false, ""), (true, "==")] {
        let provider = json!({"forward_payload_header": "X-Payload", "pad_forward_payload_header": pad});
        let claims = json!({"iss": "me", "n": 12});
        let mut bench = bearer(one(provider), &token(claims)).header("x-payload", "forged");
        assert_eq!(bench.request(), Outcome::Continue);
        let values: Vec<_> = bench.stream.request.headers.get_all(b"x-payload").collect();
        // {"iss":"me","n":12} in base64url.
        assert_eq!(values, [format!("eyJpc3MiOiJtZSIsIm4iOjEyfQ{ends}").as_bytes()]);
    }
    // Also where no token is asked for.
    let mut config = one(json!({"forward_payload_header": "x-payload"}));
    config["rules"] = json!([]);
    let mut bench = Bench::new::<JwtAuthn>(config).header("x-payload", "forged");
    assert_eq!(bench.request(), Outcome::Continue);
    assert!(!bench.stream.request.headers.contains(b"x-payload"));
}

fn two(requires: Value) -> Value {
    let other = json!({"issuer": "you", "from_headers": [{"name": "x-you"}]});
    json!({
        "providers": {"me": provider(json!({})), "you": provider(other)},
        "rules": [{"match": {"prefix": "/"}, "requires": requires}],
    })
}

#[test]
fn requirements_combine() {
    let (me, you) = (json!({"provider_name": "me"}), json!({"providerName": "you"}));
    let missing = json!({"allow_missing": {}});
    let any = |list: Vec<&Value>| json!({"requires_any": {"requirements": list}});
    let all = |list: Vec<&Value>| json!({"requiresAll": {"requirements": list}});
    let (mine, yours, bad) = (good(), token(json!({"iss": "you"})), "x.y.z".to_owned());
    let (none, mine, yours, bad) = (None, Some(&mine), Some(&yours), Some(&bad));
    let failed = json!({"allow_missing_or_failed": {}});
    for (requires, authorization, x_you, refusal) in [
        (any(vec![&me, &you]), mine, none, ""),
        (any(vec![&me, &you]), none, yours, ""),
        (any(vec![&me, &you]), none, none, "jwt_missing"),
        (any(vec![&me, &you]), bad, none, "jwt_malformed"),
        (any(vec![&me, &you]), bad, yours, ""),
        (all(vec![&me, &you]), mine, yours, ""),
        (all(vec![&me, &you]), mine, none, "jwt_missing"),
        (all(vec![&me, &you]), mine, bad, "jwt_malformed"),
        (any(vec![&me, &missing]), none, none, ""),
        (any(vec![&me, &missing]), mine, none, ""),
        (any(vec![&me, &missing]), bad, none, "jwt_malformed"),
        (any(vec![&me, &failed]), bad, none, ""),
        (missing.clone(), none, none, ""),
        (missing.clone(), none, yours, ""),
        (missing.clone(), bad, none, "jwt_malformed"),
        (any(vec![&missing]), none, none, ""),
        (any(vec![&missing]), bad, none, "jwt_malformed"),
        (failed.clone(), bad, bad, ""),
        (any(vec![&all(vec![&me, &you]), &me]), mine, none, ""),
        (json!({}), bad, none, ""),
    ] {
        let mut bench = Bench::new::<JwtAuthn>(two(requires.clone()));
        for (name, value) in
            [("authorization", authorization.map(|t| format!("Bearer {t}"))), ("x-you", x_you.cloned())]
        {
            if let Some(value) = value {
                bench = bench.header(name, &value);
            }
        }
        assert_eq!(refused(bench), refusal, "{requires} {authorization:?} {x_you:?}");
    }
}

#[test]
fn rules_are_for_some_requests() {
    let rule = |matcher: Value| {
        let mut config = one(json!({}));
        config["rules"][0]["match"] = matcher;
        config
    };
    let asked = |matcher: &Value, target: &str, header: Option<(&str, &str)>| {
        let mut bench = Bench::new::<JwtAuthn>(rule(matcher.clone()));
        bench.stream.request.set_target(target);
        if let Some((name, value)) = header {
            bench = bench.header(name, value);
        }
        !refused(bench).is_empty()
    };
    for (matcher, asks, passes) in [
        (json!({"prefix": "/a"}), vec!["/a", "/ab/c?x"], vec!["/", "/A", "/b/a"]),
        (json!({"prefix": "/a", "case_sensitive": false}), vec!["/A/b"], vec!["/b"]),
        (json!({"path": "/a"}), vec!["/a", "/a?x=1"], vec!["/a/", "/ab"]),
        (json!({"path_separated_prefix": "/a"}), vec!["/a", "/a/b", "/a?b"], vec!["/ab", "/"]),
        (json!({"safe_regex": {"google_re2": {}, "regex": "/a|/b"}}), vec!["/a", "/b?x"], vec!["/ab", "/a/b"]),
    ] {
        for target in asks {
            assert!(asked(&matcher, target, None), "{matcher} {target}");
        }
        for target in passes {
            assert!(!asked(&matcher, target, None), "{matcher} {target}");
        }
    }
    for (condition, agree, differ) in [
        (json!({"exact_match": "v"}), vec!["v"], vec!["vv", "V"]),
        (json!({"prefix_match": "v"}), vec!["v", "vv"], vec!["wv"]),
        (json!({"suffixMatch": "v"}), vec!["v", "wv"], vec!["vw", ""]),
        (json!({"contains_match": "v"}), vec!["wvw"], vec!["w"]),
        (json!({"safe_regex_match": {"regex": "[vw]"}}), vec!["v"], vec!["vw"]),
        (json!({"string_match": {"exact": "v", "ignore_case": true}}), vec!["V"], vec!["w"]),
        (json!({"present_match": true}), vec![""], vec![]),
        (json!({}), vec!["x"], vec![]),
        (json!({"present_match": false}), vec![], vec!["x"]),
        (json!({"exact_match": "v", "invert_match": true}), vec!["w"], vec!["v"]),
    ] {
        let mut header = condition.clone();
        header["name"] = "X-H".into();
        let matcher = json!({"prefix": "/", "headers": [header]});
        for value in agree {
            assert!(asked(&matcher, "/", Some(("x-h", value))), "{condition} {value:?}");
        }
        for value in differ {
            assert!(!asked(&matcher, "/", Some(("x-h", value))), "{condition} {value:?}");
        }
        let absent = condition.get("present_match") == Some(&json!(false)) || condition.get("invert_match").is_some();
        assert_eq!(asked(&matcher, "/", None), absent, "{condition}");
    }
    let by_method = json!({"prefix": "/", "headers": [{"name": ":method", "exact_match": "GET"},
        {"name": ":authority", "exact_match": "example.test"}]});
    assert!(asked(&by_method, "/", None));
}

#[test]
fn the_first_rule_decides_and_names_stand_for_requirements() {
    let mut config = one(json!({}));
    config["requirement_map"] = json!({"login": {"provider_name": "p"}});
    config["rules"] = json!([{"match": {"path": "/open"}}, {"match": {"prefix": "/"}, "requirement_name": "login"}]);
    let mut open = Bench::new::<JwtAuthn>(config.clone());
    open.stream.request.set_target("/open");
    assert_eq!(refused(open), "");
    assert_eq!(refused(Bench::new::<JwtAuthn>(config.clone())), "jwt_missing");
    assert_eq!(refused(bearer(config, &good())), "");
}

#[test]
fn preflight_requests_pass_if_asked_for() {
    for (bypass, refusal) in [(true, ""), (false, "jwt_missing")] {
        let mut config = one(json!({}));
        config["bypass_cors_preflight"] = bypass.into();
        let mut bench = Bench::new::<JwtAuthn>(config);
        bench = bench.header("origin", "https://a.test").header("access-control-request-method", "PUT");
        bench.stream.request.method = Method::Options;
        assert_eq!(refused(bench), refusal);
    }
}

#[test]
fn mistakes_are_named() {
    let inline = |text: &str| json!({"local_jwks": {"inline_string": text}});
    let found = errors::<JwtAuthn>(json!({
        "providers": {
            "remote": {"remote_jwks": {"http_uri": {}}, "local_jwks": {"inline_string": "{\"keys\":[]}"}},
            "text": inline("hunter2"),
            "none": {},
            "neither": {"local_jwks": {}},
            "file": {"local_jwks": {"filename": "/nonexistent/jwks.json"}},
            "both": {"local_jwks": {"filename": "x", "inline_string": "y"}},
            "empty": inline("{\"keys\":[{\"kty\":\"oct\",\"k\":\"\"}]}"),
            "encrypts": inline("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"use\":\"enc\"}]}"),
        },
        "rules": [
            {"match": {"prefix": "/", "path": "/"}, "requires": {"provider_name": "nobody"}},
            {"match": {}, "requires": {"requires_any": {"requirements": []}}},
            {"match": {"safe_regex": {"regex": "("}}, "requirement_name": "x"},
            {"match": {"prefix": "/"}, "requires": {"provider_name": "none", "allow_missing": {}}},
        ],
    }));
    let at = |path: &str| found.iter().filter(|line| line.starts_with(path)).cloned().collect::<Vec<_>>().join("\n");
    for (path, text) in [
        ("config.providers.remote.remote_jwks: ", "not available: keys are not fetched"),
        ("config.providers.text.local_jwks.inline_string: ", "expected a JSON Web Key Set"),
        ("config.providers.none.local_jwks: ", "required key is missing"),
        ("config.providers.neither.local_jwks: ", "found none"),
        ("config.providers.file.local_jwks.filename: ", "/nonexistent/jwks.json"),
        ("config.providers.both.local_jwks.filename: ", "expected one of"),
        ("config.providers.empty.local_jwks.inline_string: ", "keys[0]"),
        ("config.providers.encrypts.local_jwks.inline_string: ", "for signatures"),
        ("config.rules[0].match.path: ", "expected one of"),
        ("config.rules[0].requires.provider_name: ", "expected one of the providers (remote, text"),
        ("config.rules[1].match: ", "found none"),
        ("config.rules[1].requires.requires_any.requirements: ", "at least one"),
        ("config.rules[2].match.safe_regex.regex: ", "unclosed group"),
        ("config.rules[2].requirement_name: ", "expected a name in requirement_map"),
        ("config.rules[3].requires.allow_missing: ", "expected one of"),
    ] {
        assert!(at(path).contains(text), "{path}{text}\n{found:#?}");
    }
    assert!(!found.iter().any(|line| line.contains("hunter2")), "{found:#?}");
}

#[test]
fn keys_come_from_a_file() {
    let path = std::env::temp_dir().join(format!("sidegate-jwks-{}.json", std::process::id()));
    std::fs::write(&path, vectors()["jwks"].to_string()).unwrap();
    let provider = json!({"local_jwks": {"filename": path}});
    let token = vectors()["tokens"]["ES256"].as_str().unwrap().to_owned();
    let outcome = refused(bearer(config(provider, json!({"provider_name": "p"})), &token));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(outcome, "");
}
