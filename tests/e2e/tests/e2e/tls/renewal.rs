//! Certificates that are replaced while they are in use.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, ProxyOptions, Reply, TempDir, until};

use super::{Ca, dial, with};
use crate::support::{assert_same_bytes, pattern};

/// A pair in files, as the keys of a context name them.
fn pair(folder: &Path) -> Value {
    json!({"status": true, "cert_chain": folder.join("tls.crt"), "private_key": folder.join("tls.key")})
}

/// Puts a file in the place of another at once.
fn rename_over(place: &Path, content: &Value) {
    let fresh = place.with_extension("fresh");
    fs::write(&fresh, content.as_str().unwrap()).unwrap();
    fs::rename(&fresh, place).unwrap();
}

fn rename_pair_over(folder: &Path, context: &Value) {
    rename_over(&folder.join("tls.crt"), &context["cert_chain"]);
    rename_over(&folder.join("tls.key"), &context["private_key"]);
}

/// What Kubernetes mounts: links into a folder that a link names.
struct Mount {
    folder: PathBuf,
    version: u32,
}

impl Mount {
    fn new(folder: PathBuf, context: &Value) -> Mount {
        fs::create_dir(&folder).unwrap();
        let mut mount = Mount { folder, version: 0 };
        mount.swap(context);
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), mount.folder.join(name)).unwrap();
        }
        mount
    }

    fn swap(&mut self, context: &Value) {
        self.version += 1;
        let version = format!("..version_{}", self.version);
        let folder = self.folder.join(&version);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("tls.crt"), context["cert_chain"].as_str().unwrap()).unwrap();
        fs::write(folder.join("tls.key"), context["private_key"].as_str().unwrap()).unwrap();
        symlink(&version, self.folder.join("..data_tmp")).unwrap();
        fs::rename(self.folder.join("..data_tmp"), self.folder.join("..data")).unwrap();
        if self.version > 1 {
            fs::remove_dir_all(self.folder.join(format!("..version_{}", self.version - 1))).unwrap();
        }
    }
}

/// Whether a client that believes only its CA gets an answer.
fn is_served(proxy: &Proxy, client: &Arc<ClientConfig>) -> bool {
    let mut connection = dial(client, proxy.address(), "a.test");
    let asked = connection.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    asked.and_then(|()| connection.read_to_end(&mut answer)).is_ok() && answer.starts_with(b"HTTP/1.1 200")
}

fn await_served(proxy: &Proxy, client: &Arc<ClientConfig>) {
    until("the new certificate", || is_served(proxy, client).then_some(()));
}

fn reloads(proxy: &Proxy, result: &str) -> f64 {
    proxy.metric(&format!("sidegate_tls_reload_total{{result=\"{result}\"}}")).unwrap()
}

#[test]
fn a_mounted_secret_is_followed_and_nobody_is_cut() {
    const SIZE: usize = 16 << 20;
    let (ca, other, dir) = (Ca::new("ca"), Ca::new("other"), TempDir::new());
    let origin = Origin::http(|seen| match seen.head.target() {
        "/large" => Reply::ok(pattern(SIZE)),
        _ => Reply::ok("x"),
    });
    let mut mount = Mount::new(dir.join("secret"), &ca.context("a.test"));
    let config = ConfigBuilder::to(origin.address()).in_chain("tls_context", pair(&mount.folder));
    let proxy = Proxy::start(&config);
    let number = proxy.number();
    let mut kept = dial(&ca.client(&[]), proxy.address(), "a.test");
    let mut ask_kept = || {
        kept.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nx") {
            let mut byte = [0];
            kept.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    };
    ask_kept();
    let mut download = dial(&ca.client(&[]), proxy.address(), "a.test");
    download.write_all(b"GET /large HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
    let mut begun = [0; 1024];
    download.read_exact(&mut begun).unwrap();
    mount.swap(&other.context("a.test"));
    await_served(&proxy, &other.client(&[]));
    assert!(!is_served(&proxy, &ca.client(&[])));
    ask_kept();
    let mut rest = begun.to_vec();
    download.read_to_end(&mut rest).unwrap();
    let head = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert_same_bytes(&rest[head..], &pattern(SIZE));
    // And once more: what was new is followed as well.
    mount.swap(&ca.context("a.test"));
    await_served(&proxy, &ca.client(&[]));
    assert_eq!(reloads(&proxy, "success"), 2.0);
    assert_eq!(proxy.number(), number, "it is the same configuration");
}

#[test]
fn a_pair_is_taken_whole_or_not_at_all() {
    let (ca, other, dir, origin) = (Ca::new("ca"), Ca::new("other"), TempDir::new(), Origin::echo());
    let (before, after) = (ca.context("a.test"), other.context("a.test"));
    rename_pair_over(dir.path(), &before);
    let config = ConfigBuilder::to(origin.address()).in_chain("tls_context", pair(dir.path()));
    let proxy = Proxy::start(&config);
    rename_over(&dir.join("tls.crt"), &after["cert_chain"]);
    until("the half pair", || (reloads(&proxy, "rejected") >= 1.0).then_some(()));
    assert!(is_served(&proxy, &ca.client(&[])) && !is_served(&proxy, &other.client(&[])));
    assert_eq!(proxy.metric("sidegate_tls_stale_contexts"), Some(1.0));
    let logs = proxy.logs();
    let line = logs.lines().find(|line| line.contains("certificates are not taken")).unwrap();
    for part in ["listener main", "private_key", "tls.key", "does not belong"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    rename_over(&dir.join("tls.key"), &after["private_key"]);
    await_served(&proxy, &other.client(&[]));
    assert!(!is_served(&proxy, &ca.client(&[])));
    until("all is well", || (proxy.metric("sidegate_tls_stale_contexts")? == 0.0).then_some(()));
}

#[test]
fn what_hosts_are_believed_by_changes_too() {
    let (ca, other, dir) = (Ca::new("ca"), Ca::new("other"), TempDir::new());
    let origin = Origin::http(|_| Reply::ok("x"));
    let trust = json!({"ca_cert": ca.pem, "verify_client": true, "require_client_cert": true});
    let back = ConfigBuilder::to(origin.address()).in_chain("tls_context", with(ca.context("back.test"), trust));
    let back = Proxy::start(&back);
    rename_pair_over(dir.path(), &ca.context("front"));
    let trusted = dir.write("ca.pem", &ca.pem);
    let context = with(pair(dir.path()), json!({"ca_cert": trusted, "server_name": "back.test"}));
    let proxy = Proxy::start(&ConfigBuilder::to(back.address()).in_cluster("tls_context", context));
    assert_eq!(proxy.get("/").status(), 200);
    let await_status = |status| until("the status", || (proxy.get("/").status() == status).then_some(()));
    // A connection of before would still answer.
    rename_over(&trusted, &json!(other.pem));
    await_status(502);
    rename_over(&trusted, &json!(ca.pem));
    await_status(200);
    rename_pair_over(dir.path(), &other.context("front"));
    await_status(502);
    rename_pair_over(dir.path(), &ca.context("front"));
    await_status(200);
}

#[test]
fn certificates_are_kept_where_that_is_asked_for() {
    let (ca, other, dir, origin) = (Ca::new("ca"), Ca::new("other"), TempDir::new(), Origin::echo());
    rename_pair_over(dir.path(), &ca.context("a.test"));
    let config = ConfigBuilder::to(origin.address()).in_chain("tls_context", pair(dir.path()));
    let options = ProxyOptions { arguments: vec!["--keep-certificates".into()], ..ProxyOptions::default() };
    let mut proxy = Proxy::start_with(&config, &options);
    rename_pair_over(dir.path(), &other.context("a.test"));
    assert!(is_served(&proxy, &ca.client(&[])));
    proxy.reload_file();
    assert!(is_served(&proxy, &other.client(&[])) && !is_served(&proxy, &ca.client(&[])));
    assert_eq!(reloads(&proxy, "success"), 0.0);
}

#[test]
fn a_new_certificate_is_no_new_configuration_under_watch() {
    let (ca, other, dir, origin) = (Ca::new("ca"), Ca::new("other"), TempDir::new(), Origin::echo());
    rename_pair_over(dir.path(), &ca.context("a.test"));
    let config = ConfigBuilder::to(origin.address()).in_chain("tls_context", pair(dir.path()));
    let options = ProxyOptions { arguments: vec!["--watch".into()], ..ProxyOptions::default() };
    let mut proxy = Proxy::start_with(&config, &options);
    let number = proxy.number();
    rename_pair_over(dir.path(), &other.context("a.test"));
    await_served(&proxy, &other.client(&[]));
    // A configuration that comes then is the next one, and has new files
    // followed.
    let more = dir.join("more");
    fs::create_dir(&more).unwrap();
    rename_pair_over(&more, &ca.context("a.test"));
    proxy.write(&ConfigBuilder::to(origin.address()).in_chain("tls_context", pair(&more)));
    proxy.await_number(number + 1);
    assert_eq!(proxy.number(), number + 1);
    await_served(&proxy, &ca.client(&[]));
    rename_pair_over(&more, &other.context("a.test"));
    await_served(&proxy, &other.client(&[]));
    assert_eq!(proxy.number(), number + 1);
}

/// A client with this certificate that believes `ca`; it keeps sessions.
fn client_with(ca: &Ca, (chain, key): &(String, String)) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    Arc::new(builder.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap())
}

/// A list of `ca` in which these serial numbers are.
fn list(ca: &Ca, serials: &[u64]) -> Value {
    let revoked = serials.iter().map(|serial| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2020, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(2090, 1, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    json!(params.signed_by(&ca.issuer).unwrap().pem().unwrap())
}

#[test]
fn who_was_revoked_meanwhile_does_not_come_in_by_an_old_session() {
    let (ca, dir, origin) = (Ca::new("ca"), TempDir::new(), Origin::echo());
    let crl = dir.join("ca.crl");
    rename_over(&crl, &list(&ca, &[1]));
    let trust = json!({"ca_cert": ca.pem, "crl": crl, "verify_client": true, "require_client_cert": true});
    let config = ConfigBuilder::to(origin.address()).in_chain("tls_context", with(ca.context("a.test"), trust));
    let proxy = Proxy::start(&config);
    let issue = |serial: u64| ca.issue("client", |params| params.serial_number = Some(SerialNumber::from(serial)));
    let (good, leaver) = (client_with(&ca, &issue(2)), client_with(&ca, &issue(3)));
    assert!(!is_served(&proxy, &client_with(&ca, &issue(1))));
    for _ in 0..2 {
        assert!(is_served(&proxy, &good) && is_served(&proxy, &leaver));
    }
    rename_over(&crl, &list(&ca, &[1, 3]));
    until("the new list", || (!is_served(&proxy, &leaver)).then_some(()));
    assert!(is_served(&proxy, &good));
    assert_eq!(reloads(&proxy, "success"), 1.0);
}
