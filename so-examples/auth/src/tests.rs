use serde_json::json;
use sidegate_sdk::testing::{Source, TestHost};

use super::Auth;

fn passes(config: serde_json::Value, headers: &[(&str, &str)]) -> bool {
    let outcome = TestHost::new::<Auth>(config).unwrap().request("GET", "/", headers).run();
    assert_eq!(outcome.fault, None);
    let response = outcome.response.unwrap();
    if outcome.upstream.is_none() {
        assert_eq!((response.status, response.source), (403, Source::Filter));
        assert_eq!(response.body, b"forbidden\n");
        return false;
    }
    true
}

#[test]
fn every_configured_header_must_have_its_value() {
    let config = json!({"User": "admin", "X-Team": "edge"});
    for (headers, expected) in [
        (&[("user", "admin"), ("x-team", "edge")][..], true),
        (&[("USER", "admin"), ("X-TEAM", "edge"), ("other", "x")], true),
        (&[("user", "admin"), ("user", "admin"), ("x-team", "edge")], true),
        (&[("user", "guest"), ("user", "admin"), ("x-team", "edge")], false),
        (&[("user", "admin"), ("user", "guest"), ("x-team", "edge")], false),
        (&[("user", "admin")], false),
        (&[("user", "Admin"), ("x-team", "edge")], false),
        (&[("user", "admin "), ("x-team", "edge")], false),
        (&[("user", ""), ("x-team", "edge")], false),
        (&[], false),
    ] {
        assert_eq!(passes(config.clone(), headers), expected, "{headers:?}");
    }
}

#[test]
fn an_empty_configuration_lets_everything_through() {
    assert!(passes(json!({}), &[]));
}

#[test]
fn values_must_be_strings() {
    let refused = TestHost::new::<Auth>(json!({"User": 5})).unwrap_err();
    assert_eq!(
        (refused.path.as_str(), refused.message.as_str()),
        ("User", "invalid type: integer `5`, expected a string")
    );
}
