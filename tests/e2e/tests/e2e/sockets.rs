//! Listening sockets: whose they are, and what stands in their way.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Outcome, Proxy, ProxyOptions, Signal, TempDir, sidegate};

fn on_unix(path: &Path) -> ConfigBuilder {
    ConfigBuilder::to("127.0.0.1:9".parse().unwrap()).in_listener("address", json!(format!("unix:{}", path.display())))
}

/// Runs a proxy that cannot start.
fn fails_to_start(config: &ConfigBuilder) -> Outcome {
    let dir = TempDir::new();
    let file = dir.write("config.json", config.build(dir.path()).to_string());
    let outcome = sidegate(["run".as_ref(), "-c".as_ref(), file.as_os_str()]);
    assert_eq!(outcome.code, Some(1), "{}", outcome.output());
    outcome
}

#[test]
fn what_is_no_socket_stays_and_is_said() {
    let dir = TempDir::new();
    let (file, link, pipe) = (dir.write("file", "precious"), dir.join("link"), dir.join("pipe"));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [&file, &link, &pipe] {
        let outcome = fails_to_start(&on_unix(path));
        let expected = format!("cannot listen on unix:{}", path.display());
        assert!(outcome.stderr.contains(&expected), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("what is there is no socket, and stays as it is"), "{}", outcome.stderr);
    }
    assert_eq!(fs::read_to_string(&link).unwrap(), "precious");
    assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
}

#[test]
fn a_socket_that_is_left_over_is_replaced_and_one_in_use_is_not() {
    let dir = TempDir::new();
    let path = dir.join("l.sock");
    drop(UnixListener::bind(&path).unwrap());
    let config = on_unix(&path);
    let mut first = Proxy::start(&config);
    let outcome = fails_to_start(&config);
    assert!(outcome.stderr.contains("another process holds it"), "{}", outcome.stderr);
    first.signal(Signal::TERM);
    assert_eq!(first.wait_exit().code(), Some(0));
    assert!(!path.exists(), "who made it takes it along");
}

#[test]
fn a_process_that_ends_leaves_its_successors_socket() {
    let dir = TempDir::new();
    let path = dir.join("l.sock");
    let mut first = Proxy::start(&on_unix(&path));
    fs::remove_file(&path).unwrap();
    let _second = Proxy::start(&on_unix(&path));
    first.signal(Signal::TERM);
    assert_eq!(first.wait_exit().code(), Some(0));
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    std::os::unix::net::UnixStream::connect(&path).unwrap();
}

#[test]
fn a_socket_has_the_mode_that_is_configured() {
    let dir = TempDir::new();
    for (number, (mode, bits)) in [("0600", 0o600), ("660", 0o660), ("0666", 0o666)].into_iter().enumerate() {
        let path = dir.join(format!("{number}.sock"));
        let _proxy = Proxy::start(&on_unix(&path).in_listener("mode", json!(mode)));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, bits);
    }
    for wrong in [json!("0888"), json!("rw"), json!(""), json!("1777"), json!(660)] {
        let outcome = fails_to_start(&on_unix(&dir.join("x.sock")).in_listener("mode", wrong));
        assert!(outcome.stderr.contains("listeners[0].mode: expected "), "{}", outcome.stderr);
    }
}

#[test]
fn a_port_is_shared_only_where_that_is_asked_for() {
    let origin = Origin::echo();
    // A port that is free: nobody else listens on it between here and there.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = |overlap: Value| {
        ConfigBuilder::to(origin.address())
            .in_listener("address", json!(port.to_string()))
            .in_listener("reuseport", json!(true))
            .in_listener("reuseport_overlap", overlap)
    };
    let first = Proxy::start_with(&config(json!(false)), &ProxyOptions::default());
    let outcome = fails_to_start(&config(json!(false)));
    for word in ["cannot listen on", "another process holds it", "reuseport_overlap"] {
        assert!(outcome.stderr.contains(word), "{}", outcome.stderr);
    }
    let mut second = Proxy::start(&config(json!(true)));
    second.signal(Signal::TERM);
    assert_eq!(second.wait_exit().code(), Some(0));
    assert_eq!(first.get("/").status(), 200);
}
