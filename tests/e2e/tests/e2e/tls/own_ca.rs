//! `sidegate cert`: certificates without any other tool.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply, TempDir, sidegate};

fn make(folder: &Path, more: &[&str]) -> sidegate_harness::Outcome {
    let folder = folder.display().to_string();
    sidegate([&["cert", &*folder], more].concat())
}

#[test]
fn what_it_makes_is_enough_for_mutual_tls() {
    let (dir, origin) = (TempDir::new(), Origin::http(|_| Reply::ok("x")));
    let certs = dir.join("certs");
    let made = make(&certs, &[]);
    assert_eq!(made.code, Some(0), "{made:?}");
    assert_eq!(made.stdout.lines().count(), 6, "{made:?}");
    for (file, mode) in [("ca.key", 0o600), ("server.key", 0o600), ("client.key", 0o600), ("ca.pem", 0o644)] {
        assert_eq!(std::fs::metadata(certs.join(file)).unwrap().permissions().mode() & 0o777, mode, "{file}");
    }
    let path = |name: &str| certs.join(name).display().to_string();
    let context = json!({"status": true, "cert_chain": path("server.pem"), "private_key": path("server.key"),
        "ca_cert": path("ca.pem"), "verify_client": true, "require_client_cert": true});
    let back = Proxy::start(&ConfigBuilder::to(origin.address()).in_chain("tls_context", context));
    let context = json!({"status": true, "cert_chain": path("client.pem"), "private_key": path("client.key"),
        "ca_cert": path("ca.pem")});
    let front = Proxy::start(&ConfigBuilder::to(back.address()).in_cluster("tls_context", context));
    assert_eq!(front.get("/").status(), 200);
}

#[test]
fn a_ca_that_is_there_is_used_again() {
    let dir = TempDir::new();
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    assert_eq!(make(dir.path(), &["--name", "a.test", "--days", "7"]).code, Some(0));
    let before = (read("ca.pem"), read("server.pem"));
    let again = make(dir.path(), &["--client", "other"]);
    assert_eq!((again.code, again.stdout.lines().count()), (Some(0), 4));
    assert_eq!(read("ca.pem"), before.0);
    assert_ne!(read("server.pem"), before.1);
    std::fs::remove_file(dir.join("ca.key")).unwrap();
    let half = make(dir.path(), &[]);
    assert_eq!(half.code, Some(1));
    assert!(half.stderr.contains("expected both of the CA, or neither"), "{half:?}");
}
