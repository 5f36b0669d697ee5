use std::path::PathBuf;

use serde_json::{json, Value};
use sidegate_sdk::testing::TestHost;
use sidegate_sdk::Variable;

use super::AccessLog;

/// A name of this test's own; the file is there from then on.
fn file(name: &str) -> PathBuf {
    let file = std::env::temp_dir().join(format!("access-log-{}-{name}.jsonl", std::process::id()));
    std::fs::write(&file, "").unwrap();
    file
}

/// The lines so far, with which the file ends.
fn lines(file: PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_line_for_each_request() {
    let file = file("lines");
    let config = json!({"file": file, "request_headers": ["User-Agent", "x-none"]});
    let host = TestHost::new::<AccessLog>(config).unwrap();
    let request = host.request("POST", "/items?x=\"1\"", &[("host", "shop"), ("user-agent", "a\"b")]).body("12345");
    request.variable(Variable::DownstreamRemoteAddress, "192.0.2.1:5").respond(404, &[]).respond_body("none").run();
    host.request("GET", "/", &[]).run();
    // The thread writes what it was given before it ends.
    drop(host);
    let lines = lines(file);
    assert_eq!(lines.len(), 2);
    let first = &lines[0];
    assert_eq!(
        [&first["method"], &first["authority"], &first["target"], &first["client"]],
        ["POST", "shop", "/items?x=\"1\"", "192.0.2.1:5"]
    );
    assert_eq!([&first["status"], &first["bytes_received"], &first["bytes_sent"]], [404, 5, 4]);
    assert_eq!((&first["request_headers"], &first["reset_by"]), (&json!({"user-agent": "a\"b"}), &Value::Null));
    assert!(first["time"].as_f64().unwrap() > 1.7e9, "{first}");
}

#[test]
fn lines_are_appended() {
    let file = file("append");
    for _ in 0..2 {
        TestHost::new::<AccessLog>(json!({"file": file})).unwrap().request("GET", "/", &[]).run();
    }
    assert_eq!(lines(file).len(), 2);
}

/// A device that is always full.
#[test]
fn lines_that_are_lost_are_counted() {
    let host = TestHost::new::<AccessLog>(json!({"file": "/dev/full"})).unwrap();
    host.request("GET", "/", &[]).run();
    let failed = || host.metric("access_log_lines_total", &[("result", "failed")]);
    while failed() != Some(1.0) {
        std::thread::yield_now();
    }
    assert_eq!(host.metric("access_log_lines_total", &[("result", "written")]), Some(0.0));
}

#[test]
fn a_file_that_cannot_be_is_refused() {
    let refused = TestHost::new::<AccessLog>(json!({"file": "/nowhere/access.jsonl"})).err().unwrap();
    assert_eq!(refused.to_string(), "file: No such file or directory (os error 2)");
}
