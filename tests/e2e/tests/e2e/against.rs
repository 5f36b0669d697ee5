//! `check --against`: what it sends, and what it makes of the answer. Here an
//! admin interface is played.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Outcome, Proxy, TempDir, sidegate};

/// Head and body of the one request that came.
type Seen = JoinHandle<(String, Value)>;

fn serve(mut stream: impl Read + Write, status: &str, answer: &str) -> (String, Value) {
    let mut reader = BufReader::new(&mut stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    drop(reader);
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}", answer.len())
        .unwrap();
    (head, serde_json::from_slice(&body).unwrap_or_default())
}

fn on_port(status: &'static str, answer: Value) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (address, std::thread::spawn(move || serve(listener.accept().unwrap().0, status, &answer.to_string())))
}

fn config(dir: &TempDir) -> String {
    let config = ConfigBuilder::to("127.0.0.1:9".parse().unwrap());
    dir.write("config.json", config.build(dir.path()).to_string()).to_str().unwrap().to_owned()
}

fn check(file: &str, against: &str, more: &[&str]) -> Outcome {
    let mut arguments = vec!["check", "-c", file, "--against", against];
    arguments.extend(more);
    sidegate(arguments)
}

#[test]
fn the_whole_configuration_is_sent_and_the_lines_are_printed() {
    let dir = TempDir::new();
    let file = config(&dir);
    let changes = json!({"same": false, "lines": ["+ listener b", "! drains"], "restart": []});
    let (address, seen) = on_port("200 OK", json!({"ok": true, "changes": changes, "errors": [], "warnings": []}));
    dir.write("token", "s3cret\n");
    let outcome = check(&file, &address, &["--token-file", dir.join("token").to_str().unwrap()]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "+ listener b\n! drains\n"), "{}", outcome.output());
    assert!(!outcome.stderr.contains("clear text"), "{}", outcome.stderr);
    let (head, body) = seen.join().unwrap();
    assert!(head.starts_with("POST /api/v1/config/diff "), "{head}");
    assert!(head.contains("Authorization: Bearer s3cret\r\n"), "{head}");
    assert_eq!((body["name"].as_str(), body["folder"].as_str()), (Some(file.as_str()), dir.path().to_str()));
    assert_eq!(body["files"][&file], std::fs::read_to_string(&file).unwrap());
}

#[test]
fn a_unix_socket_will_do_and_a_restart_is_no_success() {
    let dir = TempDir::new();
    let file = config(&dir);
    let listener = UnixListener::bind(dir.join("admin.sock")).unwrap();
    let answer = json!({"ok": true, "changes": {"same": false, "lines": ["! restart"], "restart": [{"message": "m"}]}});
    let seen = std::thread::spawn(move || serve(listener.accept().unwrap().0, "200 OK", &answer.to_string()));
    let outcome = check(&file, &format!("unix:{}", dir.join("admin.sock").display()), &["--format", "json"]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.output());
    let printed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(printed["changes"]["lines"][0], "! restart");
    seen.join().unwrap();
}

#[test]
fn what_the_other_side_refuses_is_told() {
    let dir = TempDir::new();
    let file = config(&dir);
    let error = json!({"file": "c.yaml", "line": 3, "column": 4, "path": "a.b", "message": "no such file"});
    let (address, seen) = on_port("422 Unprocessable", json!({"ok": false, "errors": [error]}));
    let outcome = check(&file, &address, &[]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains(&format!("{address}: c.yaml:3:4: a.b: no such file")), "{}", outcome.stderr);
    seen.join().unwrap();
    let (address, seen) = on_port("403 Forbidden", json!("changes are accepted from loopback"));
    let outcome = check(&file, &address, &[]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("refuses: 403: "), "{}", outcome.stderr);
    seen.join().unwrap();
}

#[test]
fn mistakes_are_found_before_anything_is_sent() {
    let dir = TempDir::new();
    let file = dir.write("config.json", "{\"servers\": [], \"nobody\": 1}");
    // Nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let outcome = check(file.to_str().unwrap(), &address, &[]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("unknown key"), "{}", outcome.stderr);
    let outcome = check(&config(&dir), &address, &[]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains(&format!("cannot reach the admin interface at {address}: ")), "{}", outcome.stderr);
    let outcome = check(&config(&dir), "https://a:1", &[]);
    assert_eq!(outcome.code, Some(2), "{}", outcome.output());
}

#[test]
fn a_process_that_runs_says_what_would_change() {
    let origin = Origin::echo();
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()));
    let dir = TempDir::new();
    let config = ConfigBuilder::to("127.0.0.1:9".parse().unwrap());
    let file = dir.write("config.json", config.build(dir.path()).to_string());
    let outcome = check(file.to_str().unwrap(), &proxy.admin().to_string(), &[]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.output());
    let line = format!("~ cluster origin: hosts: added 127.0.0.1:9, removed {}", origin.address());
    assert!(outcome.stdout.lines().any(|shown| shown == line), "{}", outcome.output());
}
