//! What the process tells of its certificates, and to whom it tells keys.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, CertificateRevocationListParams, KeyIdMethod, SerialNumber, date_time_ymd};
use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, ProxyOptions, Reply, TempDir, binary, run, until};

use super::{Ca, dial, with};

const DAY: u64 = 24 * 3600;

/// So many days from now, in seconds since 1970.
fn in_days(days: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + days * DAY
}

/// Lets a certificate end then.
fn until_then(params: &mut CertificateParams, seconds: u64) {
    params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
}

/// A list of `ca` that revokes nothing and ends then.
fn list(ca: &Ca, seconds: u64) -> String {
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&ca.issuer).unwrap().pem().unwrap()
}

fn certs(proxy: &Proxy, query: &str) -> Vec<Value> {
    let answer = proxy.admin_get(&format!("/api/v1/certs{query}"));
    assert_eq!(answer.status(), 200);
    let mut answer: Value = serde_json::from_str(&answer.text()).unwrap();
    serde_json::from_value(answer["certs"].take()).unwrap()
}

#[test]
fn what_is_held_and_when_it_ends_is_told() {
    let (ca, dir, origin) = (Ca::new("ca"), TempDir::new(), Origin::http(|_| Reply::ok("x")));
    let (soon, sooner) = (in_days(5), in_days(3));
    let (chain, key) = ca.issue("a.test", |params| until_then(params, soon));
    let file = dir.write("a.pem", &chain);
    let crl = list(&ca, sooner);
    let listener = json!({
        "status": true, "cert_chain": file, "private_key": key, "ca_cert": ca.pem, "crl": crl, "verify_client": true,
    });
    let cluster = with(ca.context("front"), json!({"ca_cert": ca.file(&dir)}));
    let config = ConfigBuilder::to(origin.address())
        .in_chain("tls_context_set", json!([listener, ca.context("*.b.test")]))
        .in_cluster("tls_context", cluster);
    let proxy = Proxy::start(&config);
    let all = certs(&proxy, "");
    assert_eq!(all.len(), 3, "{all:#?}");
    let first = &all[0];
    assert_eq!(
        (&first["listener"], &first["context"], &first["server_names"]),
        (&json!("main"), &json!(0), &json!(["a.test"]))
    );
    let own = &first["cert_chain"];
    assert_eq!((&own["source"], &own["private_key_source"]), (&json!(file), &json!("inline")));
    let certificate = &own["certificates"][0];
    let text = |key: &str| certificate[key].as_str().unwrap().to_owned();
    assert_eq!(
        (text("subject"), text("issuer"), text("key")),
        ("CN=a.test".into(), "CN=ca".into(), "ECDSA P-256".into())
    );
    assert_eq!(certificate["subject_alt_names"], json!(["a.test"]));
    assert_eq!(text("sha256").len(), 64);
    assert!([4, 5].contains(&certificate["days_left"].as_i64().unwrap()), "{certificate:#}");
    assert!(text("not_after") > text("not_before"));
    assert_eq!(first["ca_cert"]["source"], "inline");
    assert_eq!(first["ca_cert"]["certificates"][0]["subject"], "CN=ca");
    let shown_list = &first["crl"]["lists"][0];
    assert_eq!((&shown_list["issuer"], &shown_list["revoked"]), (&json!("CN=ca"), &json!(0)));
    assert!([2, 3].contains(&shown_list["days_left"].as_i64().unwrap()), "{shown_list:#}");
    let of_cluster = certs(&proxy, "?cluster=origin");
    assert_eq!(of_cluster.len(), 1);
    assert_eq!(of_cluster[0]["cert_chain"]["certificates"][0]["subject"], "CN=front");
    assert_eq!(of_cluster[0]["ca_cert"]["source"], json!(dir.join("ca.pem")));
    let whole = proxy.admin_get("/api/v1/certs").text();
    assert!(!whole.contains("PRIVATE KEY") && !whole.contains("BEGIN"), "{whole}");
    // The first end of each kind.
    let ends = |kind: &str| {
        let series = format!("sidegate_tls_expiry_timestamp_seconds{{listener=\"main\",kind=\"{kind}\"}}");
        proxy.metric(&series).unwrap()
    };
    assert_eq!((ends("certificate"), ends("crl")), (soon as f64, sooner as f64));
    assert!(ends("ca") > in_days(14) as f64);
    for words in ["the certificate of CN=a.test expires in", "the list of revoked certificates of CN=ca expires in"] {
        until(words, || proxy.logs().contains(words).then_some(()));
    }
    assert!(!proxy.logs().contains("the CA of"));
}

#[test]
fn what_takes_the_place_of_another_is_told_at_once() {
    let (ca, dir, origin) = (Ca::new("ca"), TempDir::new(), Origin::http(|_| Reply::ok("x")));
    let place = |name: &str, content: &str| {
        let fresh = dir.write("fresh", content);
        fs::rename(fresh, dir.join(name)).unwrap();
    };
    let issue = |days| ca.issue("a.test", |params| until_then(params, in_days(days)));
    let (chain, key) = issue(90);
    place("tls.crt", &chain);
    place("tls.key", &key);
    let context = json!({"status": true, "cert_chain": dir.join("tls.crt"), "private_key": dir.join("tls.key")});
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).in_chain("tls_context", context));
    let days_left = || certs(&proxy, "")[0]["cert_chain"]["certificates"][0]["days_left"].as_i64().unwrap();
    assert!(days_left() > 80);
    assert!(!proxy.logs().contains("expires in"));
    let (chain, key) = issue(4);
    place("tls.crt", &chain);
    place("tls.key", &key);
    until("the new certificate", || (days_left() < 10).then_some(()));
    until("the warning", || proxy.logs().contains("the certificate of CN=a.test expires in").then_some(()));
    let series = "sidegate_tls_expiry_timestamp_seconds{listener=\"main\",kind=\"certificate\"}";
    until("the series", || (proxy.metric(series)? < in_days(10) as f64).then_some(()));
}

/// A proxy with TLS on both sides, in front of another, and one request.
fn with_key_log(arguments: &[&str], file: &std::path::Path) -> (Proxy, Proxy) {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let back = Proxy::start(&ConfigBuilder::to(origin.address()).in_chain("tls_context", ca.context("back.test")));
    let config = ConfigBuilder::to(back.address())
        .in_chain("tls_context", ca.context("a.test"))
        .in_cluster("tls_context", json!({"status": true, "ca_cert": ca.pem, "server_name": "back.test"}));
    let options = ProxyOptions {
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        environment: vec![("SSLKEYLOGFILE".into(), file.into())],
        ..ProxyOptions::default()
    };
    let proxy = Proxy::start_with(&config, &options);
    let mut client = dial(&ca.client(&[]), proxy.address(), "a.test");
    client.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    (proxy, back)
}

#[test]
fn keys_are_told_only_where_that_is_asked_for_twice() {
    let dir = TempDir::new();
    let file = dir.join("keys");
    let (proxy, _back) = with_key_log(&[], &file);
    assert!(!file.exists());
    until("the line", || proxy.logs().contains("SSLKEYLOGFILE is set and does nothing").then_some(()));
    let (proxy, _back) = with_key_log(&["--tls-key-log"], &file);
    until("the warning", || proxy.logs().contains("THE KEYS OF ALL TLS SESSIONS").then_some(()));
    let text = until("the keys of both sides", || {
        let text = fs::read_to_string(&file).ok()?;
        (text.matches("CLIENT_TRAFFIC_SECRET_0 ").count() == 2).then_some(text)
    });
    for line in text.lines() {
        let parts: Vec<&str> = line.split(' ').collect();
        assert!(parts.len() == 3 && parts[1].len() == 64 && parts[2].len() >= 64, "{line}");
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o077, 0, "nobody else may read them");
}

#[test]
fn a_flag_without_a_file_for_keys_is_an_error() {
    let (dir, origin) = (TempDir::new(), Origin::http(|_| Reply::ok("x")));
    let file = dir.write("c.json", ConfigBuilder::to(origin.address()).build(dir.path()).to_string());
    for value in ["", "/nowhere/keys"] {
        let mut command = Command::new(binary());
        command.args(["run", "-c", file.to_str().unwrap(), "--tls-key-log"]).env("SSLKEYLOGFILE", value);
        let done = run(&mut command);
        assert_eq!(done.code, Some(1));
        assert!(done.stderr.contains("SSLKEYLOGFILE"), "{}", done.stderr);
    }
}
