//! What `sidegate schema` says of the filters' settings is what the check
//! takes.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, TempDir};

use crate::schema::{checked, problems, validator};

fn jwt(rule: Value, jwks: Value) -> (&'static str, Value) {
    ("jwt_authn", json!({"providers": {"p": {"local_jwks": jwks}}, "rules": [rule]}))
}

fn keys() -> Value {
    json!({"inline_string": "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}"})
}

fn agree(expected: bool, table: Vec<(&str, Value)>) {
    let validator = validator();
    for (name, config) in table {
        let filter = json!({"type": name, "config": config});
        let file = ConfigBuilder::to("127.0.0.1:9".parse().unwrap()).filter(filter).build(TempDir::new().path());
        let problems = problems(&validator, &file);
        assert_eq!(problems.is_empty(), expected, "the schema: {name} {config} {problems:?}");
        let checked = checked(&file);
        assert_eq!(checked.is_ok(), expected, "the check: {name} {config} {checked:?}");
    }
}

#[test]
fn good_settings_are_valid() {
    let any = json!({"requires_any": {"requirements": [{"provider_name": "p"}, {"allow_missing": {}}]}});
    let all = json!({"requires_all": {"requirements": [any, {"provider_name": "p"}]}});
    agree(
        true,
        vec![
            ("fault", json!({})),
            ("fault", json!({"delay": {"percentage": 100, "fixed_delay": "1.5s"}, "abort": {"status": 503}})),
            ("gzip", json!({"gzip_level": 9, "content_length": 0, "content_types": ["text/html"]})),
            (
                "ip_access",
                json!({"default_action": "deny", "ips": [{"action": "allow", "addrs": ["::1", "10.0.0.0/8"]}]}),
            ),
            ("payload_limit", json!({"max_entity_size ": 3, "http_status": 0})),
            ("header_to_metadata", json!({"request_rules": [{"header": "x", "on_header_present": {"key": "k"}}]})),
            ("mirror", json!({"amplification": 2, "broadcast": true})),
            ("dsl", json!({})),
            ("dsl", json!({"before_router_by_dsl": "ctx.del_request_header(\"x\")", "debug": false})),
            ("flowControlFilter", json!({})),
            ("flowControlFilter", json!({"global_switch": true, "rules": [{"resource": "/", "threshold": 1.5}]})),
            (
                "flowControlFilter",
                json!({"limit_key_type": "ARG", "rules": [{"resource": "a", "metricType": 0, "threshold": 8_000_000}]}),
            ),
            jwt(json!({"match": {"prefix": "/"}, "requires": all}), keys()),
            jwt(json!({"match": {"safe_regex": {"regex": "/a.*"}, "headers": [{"name": "x"}]}}), keys()),
        ],
    );
}

#[test]
fn bad_settings_are_refused_by_both() {
    let prefix = || json!({"prefix": "/"});
    agree(
        false,
        vec![
            ("fault", json!({"delays": {}})),
            ("fault", json!({"abort": {"percentage": 1, "status": 600}})),
            ("fault", json!({"delay": {"fixed_delay": 3}})),
            ("fault", json!({"headers": [{"value": "x"}]})),
            ("gzip", json!({"gzip_level": 10})),
            ("gzip", json!({"content_types": "text/html"})),
            ("ip_access", json!({"default_action": "Deny"})),
            ("ip_access", json!({"ips": [{"action": "deny"}]})),
            ("payload_limit", json!({"max_entity_size": -1})),
            ("header_to_metadata", json!({"request_rules": [{"header": "x"}]})),
            ("header_to_metadata", json!({"request_rules": [{"header": "x", "on_header_missing": {"key": "k"}}]})),
            ("mirror", json!({"amplification": 101})),
            ("dsl", json!({"before_router": "true"})),
            ("dsl", json!({"before_router_by_dsl": true})),
            ("flowControlFilter", json!({"limit_key_type": "path"})),
            ("flowControlFilter", json!({"rules": [{"resource": "/"}]})),
            ("flowControlFilter", json!({"rules": [{"resource": "", "threshold": 1}]})),
            ("flowControlFilter", json!({"rules": [{"resource": "/", "threshold": "1"}]})),
            ("flowControlFilter", json!({"rules": [{"resource": "/", "threshold": 1, "controlBehavior": 2}]})),
            ("flowControlFilter", json!({"dynamic_data_resources": []})),
            jwt(json!({"match": {}}), keys()),
            jwt(json!({"match": {"prefix": "/", "path": "/"}}), keys()),
            jwt(json!({"match": prefix(), "requires": {"provider_name": "p", "allow_missing": {}}}), keys()),
            jwt(json!({"match": prefix(), "requires": {"provider_and_audiences": {}}}), keys()),
            jwt(json!({"match": prefix()}), json!({})),
            jwt(json!({"match": prefix()}), json!({"inline_string": 3})),
            ("jwt_authn", json!({"providers": {"p": {"remote_jwks": {"http_uri": {}}}}})),
        ],
    );
}
