//! One table of behaviour for the same filter three times: built in, as a
//! Rust module, as a C module.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, TempDir, artifact, sidegate};

const IMPLEMENTATIONS: [&str; 3] = ["built in", "Rust module", "C module"];

/// The stream filter entry for one implementation.
fn entry(implementation: &str, config: &Value) -> Value {
    let mut entry = match implementation {
        "built in" => json!({"type": "demo"}),
        "Rust module" => json!({"type": "loadso", "so_config": {"so_path": artifact("libauth.so")}}),
        _ => json!({"type": "loadso", "so_config": {"so_path": artifact("libauth_c.so")}}),
    };
    if !config.is_null() {
        entry["config"] = config.clone();
    }
    entry
}

struct Row {
    what: &'static str,
    fields: &'static str,
    status: u16,
}

const fn row(what: &'static str, fields: &'static str, status: u16) -> Row {
    Row { what, fields, status }
}

/// Sends all rows through all three and reports every difference.
#[track_caller]
fn table(config: &Value, rows: &[Row]) {
    let mut first: Vec<u16> = Vec::new();
    let mut wrong = Vec::new();
    for implementation in IMPLEMENTATIONS {
        let origin = Origin::echo();
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(entry(implementation, config)));
        let mut statuses = Vec::new();
        for row in rows {
            let before = origin.count();
            let status = proxy.get_with("/", row.fields).status();
            statuses.push(status);
            if row.status != status {
                wrong.push(format!("{implementation}, {}: {status} instead of {}", row.what, row.status));
            }
            let passed = origin.count() - before;
            if passed != usize::from(status == 200) {
                wrong.push(format!("{implementation}, {}: {status}, and the origin saw {passed}", row.what));
            }
        }
        if first.is_empty() {
            first = statuses;
        } else if first != statuses {
            wrong.push(format!("{implementation} answers {statuses:?}, {} {first:?}", IMPLEMENTATIONS[0]));
        }
    }
    assert!(wrong.is_empty(), "with {config}:\n{}", wrong.join("\n"));
}

#[test]
pub(crate) fn one_key() {
    table(
        &json!({"User": "admin"}),
        &[
            row("missing header", "", 403),
            row("right value", "User: admin\r\n", 200),
            row("wrong value", "User: guest\r\n", 403),
            row("empty value", "User:\r\n", 403),
            row("name in lower case", "user: admin\r\n", 200),
            row("name in upper case", "USER: admin\r\n", 200),
            row("value in another case", "User: Admin\r\n", 403),
            row("outer blanks", "User: \t admin \t\r\n", 200),
            row("longer value", "User: administrator\r\n", 403),
            row("shorter value", "User: admi\r\n", 403),
            row("value in another header", "X-User: admin\r\n", 403),
            row("twice the right value", "User: admin\r\nUser: admin\r\n", 200),
            row("twice a wrong value", "User: guest\r\nUser: guest\r\n", 403),
            row("right, then wrong", "User: admin\r\nUser: guest\r\n", 403),
            row("wrong, then right", "User: guest\r\nUser: admin\r\n", 403),
        ],
    );
}

#[test]
pub(crate) fn several_keys() {
    table(
        &json!({"User": "admin", "x-team": "blue", "X-Empty": ""}),
        &[
            row("all", "User: admin\r\nX-Team: blue\r\nX-Empty:\r\n", 200),
            row("one missing", "User: admin\r\nX-Empty:\r\n", 403),
            row("one wrong", "User: admin\r\nX-Team: red\r\nX-Empty:\r\n", 403),
            row("values swapped", "User: blue\r\nX-Team: admin\r\nX-Empty:\r\n", 403),
            row("the empty one missing", "User: admin\r\nX-Team: blue\r\n", 403),
            row("none", "", 403),
        ],
    );
}

#[test]
pub(crate) fn no_key() {
    for config in [json!({}), Value::Null] {
        table(&config, &[row("nothing", "", 200), row("anything", "User: guest\r\n", 200)]);
    }
}

#[test]
fn a_refused_request_with_a_body_leaves_the_connection_sane() {
    for implementation in IMPLEMENTATIONS {
        let origin = Origin::echo();
        let filter = entry(implementation, &json!({"User": "admin"}));
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
        let inner = "GET /inner HTTP/1.1\r\nHost: a\r\nUser: admin\r\n\r\n";
        let mut client = proxy.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{inner}", inner.len()));
        assert_eq!(client.response().status(), 403);
        let _ = client.try_send("GET /outer HTTP/1.1\r\nHost: a\r\nUser: admin\r\n\r\n");
        if let Ok(next) = client.try_response("GET") {
            assert_eq!(next.json()["target"], "/outer", "{implementation}");
        }
        assert!(origin.seen().iter().all(|seen| seen.head.target() != "/inner"), "{implementation}");
        let line = proxy.access_line("403", |line| line.status == 403);
        assert!(line.has("FR"), "{implementation}: {line:?}");
    }
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused_by_all_three() {
    for implementation in IMPLEMENTATIONS {
        let dir = TempDir::new();
        let config = ConfigBuilder::empty().filter(entry(implementation, &json!({"User": 1}))).build(dir.path());
        let file = dir.write("config.json", config.to_string());
        let outcome = sidegate([std::ffi::OsStr::new("check"), "-c".as_ref(), file.as_os_str()]);
        assert_eq!(outcome.code, Some(1), "{implementation}: {}", outcome.output());
        assert!(outcome.output().contains("User"), "{implementation}: {}", outcome.output());
    }
}

#[test]
pub(crate) fn several_filters_run_in_order() {
    let origin = Origin::echo();
    let config = ConfigBuilder::to(origin.address())
        .filter(entry("built in", &json!({"A": "1"})))
        .filter(entry("Rust module", &json!({"B": "2"})))
        .filter(entry("C module", &json!({"C": "3"})));
    let proxy = Proxy::start(&config);
    for (fields, status) in [
        ("A: 1\r\nB: 2\r\nC: 3\r\n", 200),
        ("B: 2\r\nC: 3\r\n", 403),
        ("A: 1\r\nC: 3\r\n", 403),
        ("A: 1\r\nB: 2\r\n", 403),
    ] {
        assert_eq!(proxy.get_with("/", fields).status(), status, "{fields:?}");
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn many_streams_through_a_module_are_told_apart() {
    for implementation in IMPLEMENTATIONS {
        let origin = Origin::echo();
        let filter = entry(implementation, &json!({"User": "admin"}));
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(filter));
        let mut clients: Vec<_> = (0..40).map(|_| proxy.connect()).collect();
        for round in 0..5 {
            for (index, client) in clients.iter_mut().enumerate() {
                let user = if (index + round) % 2 == 0 { "admin" } else { "guest" };
                client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nUser: {user}\r\n\r\n"));
            }
            for (index, client) in clients.iter_mut().enumerate() {
                let wanted = if (index + round) % 2 == 0 { 200 } else { 403 };
                assert_eq!(client.response().status(), wanted, "{implementation}");
            }
        }
    }
}
