use std::fs::read_to_string;

use serde_json::Value;
use sidegate_harness::{Call, Origin, Reply, TempDir, until};

use super::Example;

#[test]
pub(crate) fn each_request_has_a_line() {
    let dir = TempDir::new();
    let file = dir.join("access.jsonl");
    let origin = Origin::http(|_| Reply::new(404).body("none"));
    let example = Example::run_with("access-log", &origin, |config| {
        let filter = &mut config["servers"][0]["listeners"][0]["stream_filters"][0];
        filter["config"]["file"] = file.to_str().unwrap().into();
    });
    let mut client = example.connect();
    for path in ["/a?b=1", "/c"] {
        assert_eq!(client.call(&Call::get(path).authority("shop").header("User-Agent", "test")).status(), 404);
    }
    let lines = until("two lines", || {
        let text = read_to_string(&file).unwrap();
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (lines.len() == 2).then_some(lines)
    });
    for (line, target) in lines.iter().zip(["/a?b=1", "/c"]) {
        let texts = ["method", "authority", "target", "client", "upstream"].map(|key| line[key].as_str().unwrap());
        let (client, upstream) = (client.local().to_string(), origin.address().to_string());
        assert_eq!(texts, ["GET", "shop", target, client.as_str(), upstream.as_str()]);
        assert_eq!([&line["status"], &line["bytes_sent"]], [404, 4]);
        assert_eq!((&line["request_headers"]["user-agent"], &line["reset_by"]), (&Value::from("test"), &Value::Null));
        assert!(line["duration_ms"].as_f64().unwrap() >= line["upstream_ms"].as_f64().unwrap(), "{line}");
    }
    until("the counter", || {
        (example.metric("access_log_lines_total{module=\"libaccess_log\",result=\"written\"}") == 2.0).then_some(())
    });
}
