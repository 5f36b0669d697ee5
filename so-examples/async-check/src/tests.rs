use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{channel, Receiver};
use std::time::Duration;

use serde_json::{json, Value};
use sidegate_sdk::testing::TestHost;

use super::AsyncCheck;

/// Answers each connection with what `answer` makes of its request, and tells
/// what the requests were. Empty: it says nothing until the client goes.
fn server(answer: fn(&str) -> &'static str) -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            let request = String::from_utf8(request).unwrap();
            let text = answer(&request);
            // First, so that who has the answer finds the request here.
            let _ = tell.send(request);
            match text {
                "" => drop(stream.read(&mut [0])),
                text => stream.write_all(text.as_bytes()).unwrap(),
            }
        }
    });
    (address, told)
}

fn host(address: SocketAddr, more: Value) -> TestHost {
    let mut config = json!({"address": address, "path": "/check", "header": "X-Key"});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    TestHost::new::<AsyncCheck>(config).unwrap()
}

fn status(host: &TestHost, key: &str) -> u16 {
    host.request("GET", "/", &[("x-key", key)]).run().status().unwrap()
}

fn answers(host: &TestHost, answer: &str) -> f64 {
    host.metric("async_check_answers_total", &[("answer", answer)]).unwrap()
}

fn by_key(request: &str) -> &'static str {
    match request.lines().find_map(|line| line.strip_prefix("x-key: ")).unwrap() {
        "good" => "HTTP/1.1 204 No Content\r\n\r\n",
        "bad" => "HTTP/1.1 403 Forbidden\r\n\r\n",
        "text" => "hello, who is there?",
        "short" => "HTTP/1.1",
        _ => "HTTP/1.1 500 Oops\r\n\r\n",
    }
}

#[test]
fn the_server_decides() {
    let (address, told) = server(by_key);
    let host = host(address, json!({}));
    let outcome = host.request("GET", "/", &[("x-key", "good")]).run();
    assert_eq!(outcome.hooks(), ["on_request_headers", "on_resume", "destroy"]);
    assert_eq!(outcome.status(), Some(200));
    assert!(told.recv().unwrap().starts_with("GET /check HTTP/1.1\r\n"));
    let statuses = ["bad", "text", "short", "other", "good"].map(|key| status(&host, key));
    assert_eq!(statuses, [403, 503, 503, 503, 200]);
    assert_eq!(["allowed", "refused", "failed"].map(|answer| answers(&host, answer)), [2.0, 1.0, 3.0]);
    assert_eq!(host.request("GET", "/", &[]).run().status(), Some(403));
}

#[test]
fn a_failure_may_let_requests_through() {
    let (address, _told) = server(by_key);
    let host = host(address, json!({"on_failure": "allow"}));
    assert_eq!(["other", "bad"].map(|key| status(&host, key)), [200, 403]);
}

#[test]
fn silence_is_a_failure_in_the_end() {
    let (address, _told) = server(|_| "");
    assert_eq!(status(&host(address, json!({"timeout": "20ms"})), "good"), 503);
}

#[test]
fn verdicts_are_kept_for_a_time() {
    let (address, told) = server(by_key);
    let host = host(address, json!({"cache": {"for": "10s", "entries": 2}}));
    assert_eq!(
        ["good", "bad", "good", "bad", "other", "other"].map(|key| status(&host, key)),
        [200, 403, 200, 403, 503, 503]
    );
    // Failures are not kept.
    assert_eq!((answers(&host, "cached"), told.try_iter().count()), (2.0, 4));
    host.advance(Duration::from_secs(10));
    assert_eq!((status(&host, "good"), answers(&host, "cached")), (200, 2.0));
}

#[test]
fn a_client_may_leave_while_it_waits() {
    let (address, _told) = server(|_| "");
    let host = host(address, json!({"timeout": "20ms"}));
    let outcome = host.request("GET", "/", &[("x-key", "a")]).leave_when_pending().run();
    assert_eq!((outcome.response, outcome.fault), (None, None));
}

#[test]
fn refuses_what_makes_no_sense() {
    let refused = |key: &str, value: Value| {
        let mut config = json!({"address": "127.0.0.1:1", "path": "/", "header": "a"});
        config[key] = value;
        TestHost::new::<AsyncCheck>(config).err().unwrap().to_string()
    };
    assert_eq!(refused("path", json!("/a b")), "path: expected a path, found `/a b`");
    assert_eq!(refused("threads", json!(0)), "threads: expected 1 to 64, found 0");
    assert!(refused("address", json!("localhost")).starts_with("address: "));
    assert!(refused("on_failure", json!("ignore")).starts_with("on_failure: "));
}
