//! Certificates that a plugin brings.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::date_time_ymd;
use rustls::ClientConfig;
use rustls::version::TLS13;
use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, ProxyOptions, Reply, TempDir, artifact, binary, sidegate, until};

use super::{Ca, dial, with};

const PROGRAM: &str = "sidegate-test-plugin";

/// A plugin that answers with what stands in a file.
pub(super) struct Answers {
    dir: TempDir,
}

impl Answers {
    pub(super) fn new(context: &Value, ca: &str) -> Answers {
        let answers = Answers { dir: TempDir::new() };
        answers.put(&Answers::json(context, ca));
        answers
    }

    pub(super) fn json(context: &Value, ca: &str) -> String {
        json!({"cert_pem": context["cert_chain"], "key_pem": context["private_key"], "ca_pem": ca}).to_string()
    }

    pub(super) fn file(&self) -> PathBuf {
        self.dir.join("answer.json")
    }

    /// At once: it may be read just now.
    pub(super) fn put(&self, answer: &str) {
        fs::write(self.dir.join("next"), answer).unwrap();
        fs::rename(self.dir.join("next"), self.file()).unwrap();
    }

    pub(super) fn context(&self, how: &str, more: Value) -> Value {
        let settings = json!({
            "command": artifact(PROGRAM).display().to_string(), "args": [how], "name": "keys",
            "env": {"TEST_PLUGIN_ANSWER": self.file()}, "timeout": "15s", "refresh_interval": "20ms",
            "retry_backoff": "20ms", "retry_backoff_max": "50ms",
        });
        json!({"status": true, "type": "loader", "extend_verify": with(settings, more)})
    }
}

pub(super) fn config(origin: &Origin, context: Value) -> ConfigBuilder {
    ConfigBuilder::to(origin.address()).in_chain("tls_context", context)
}

pub(super) fn is_served(proxy: &Proxy, client: &Arc<ClientConfig>) -> bool {
    let mut connection = dial(client, proxy.address(), "a.test");
    let asked = connection.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    asked.and_then(|()| connection.read_to_end(&mut answer)).is_ok() && answer.starts_with(b"HTTP/1.1 200")
}

pub(super) fn refreshes(proxy: &Proxy, result: &str) -> f64 {
    let name = format!("sidegate_tls_loader_refreshes_total{{plugin=\"keys\",result=\"{result}\"}}");
    proxy.metric(&name).unwrap_or_default()
}

/// Waits for more questions than there were.
pub(super) fn await_more(proxy: &Proxy, result: &str) {
    let before = refreshes(proxy, result);
    until(&format!("answers that are {result}"), || (refreshes(proxy, result) > before + 1.0).then_some(()));
}

/// Lines of a key in PEM that are nobody else's.
fn secrets(context: &Value) -> Vec<String> {
    let key = context["private_key"].as_str().unwrap();
    key.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned).collect()
}

#[track_caller]
pub(super) fn tells_no_secret(proxy: &Proxy, contexts: &[&Value]) {
    let mut told = proxy.logs();
    for page in ["/api/v1/certs", "/api/v1/plugins", "/api/v1/config_dump", "/metrics"] {
        told.push_str(&proxy.admin_get(page).text());
    }
    assert!(!told.contains("PRIVATE KEY"), "{told}");
    for secret in contexts.iter().flat_map(|context| secrets(context)) {
        assert!(!told.contains(&secret), "{told}");
    }
}

#[test]
fn a_listener_has_what_a_plugin_brings_and_what_it_brings_next() {
    let (ca, other, origin) = (Ca::new("ca"), Ca::new("other"), Origin::http(|_| Reply::ok("x")));
    let (first, second) = (ca.context("a.test"), other.context("a.test"));
    let answers = Answers::new(&first, "");
    let proxy = Proxy::start(&config(&origin, answers.context("loader", json!({}))));
    assert!(is_served(&proxy, &ca.client(&[])));
    let certs = proxy.admin_get("/api/v1/certs").json();
    assert_eq!(certs["certs"][0]["cert_chain"]["source"], "plugin keys");
    assert_eq!(certs["certs"][0]["cert_chain"]["private_key_source"], "plugin keys");
    await_more(&proxy, "unchanged");
    answers.put(&Answers::json(&second, ""));
    until("the next certificate", || is_served(&proxy, &other.client(&[])).then_some(()));
    assert!(!is_served(&proxy, &ca.client(&[])));
    assert_eq!(refreshes(&proxy, "changed"), 2.0);
    tells_no_secret(&proxy, &[&first, &second]);
}

#[test]
fn answers_that_are_no_good_leave_the_one_before_in_use() {
    let (ca, other, origin) = (Ca::new("ca"), Ca::new("other"), Origin::http(|_| Reply::ok("x")));
    let (good, foreign) = (ca.context("a.test"), other.context("a.test"));
    let answers = Answers::new(&good, "");
    let proxy = Proxy::start(&config(&origin, answers.context("loader", json!({}))));
    let mixed = json!({"cert_chain": good["cert_chain"], "private_key": foreign["private_key"]});
    let (chain, key) = ca.issue("a.test", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let old = json!({"cert_chain": chain, "private_key": key});
    for bad in [
        "no JSON".to_owned(),
        format!("{{\"key_pem\": {}", good["private_key"]),
        "{}".to_owned(),
        Answers::json(&mixed, ""),
        Answers::json(&old, ""),
        Answers::json(&foreign, "no PEM"),
    ] {
        answers.put(&bad);
        await_more(&proxy, "failed");
        assert!(is_served(&proxy, &ca.client(&[])), "{bad}");
        assert_eq!(proxy.metric("sidegate_tls_loader_failing{plugin=\"keys\"}"), Some(1.0));
    }
    fs::remove_file(answers.file()).unwrap();
    await_more(&proxy, "failed");
    // It dies of each question, and is started again.
    answers.put("die");
    await_more(&proxy, "failed");
    assert!(is_served(&proxy, &ca.client(&[])));
    assert!(proxy.logs().contains("the ones before stay in use"), "{}", proxy.logs());
    answers.put(&Answers::json(&foreign, ""));
    until("the next certificate", || is_served(&proxy, &other.client(&[])).then_some(()));
    until("success", || (proxy.metric("sidegate_tls_loader_failing{plugin=\"keys\"}") == Some(0.0)).then_some(()));
    tells_no_secret(&proxy, &[&good, &foreign, &old]);
}

#[test]
fn clients_are_verified_by_the_ca_that_a_plugin_brings() {
    let (ca, clients, origin) = (Ca::new("ca"), Ca::new("clients"), Origin::http(|_| Reply::ok("x")));
    let own = ca.context("a.test");
    let answers = Answers::new(&own, &clients.pem);
    let context = answers.context("loader", json!({}));
    let context = with(context, json!({"verify_client": true, "require_client_cert": true}));
    let proxy = Proxy::start(&config(&origin, context));
    let client = |issuer: &Ca| ca.client_as(&issuer.context("me.test"), &TLS13);
    assert!(is_served(&proxy, &client(&clients)));
    assert!(!is_served(&proxy, &client(&ca)) && !is_served(&proxy, &ca.client(&[])));
    // Another CA with the same certificate.
    answers.put(&Answers::json(&own, &ca.pem));
    until("clients of the other CA", || is_served(&proxy, &client(&ca)).then_some(()));
    assert!(!is_served(&proxy, &client(&clients)));
}

#[test]
fn hosts_are_met_with_what_a_plugin_brings() {
    let (ca, clients) = (Ca::new("ca"), Ca::new("clients"));
    let origin = Origin::http(|_| Reply::ok("x"));
    // A second proxy stands for the host: it verifies who comes.
    let host = with(
        ca.context("host.test"),
        json!({"verify_client": true, "require_client_cert": true, "ca_cert": clients.pem}),
    );
    let host = Proxy::start(&config(&origin, host));
    let own = clients.context("me.test");
    let answers = Answers::new(&own, &ca.pem);
    let context = with(answers.context("loader", json!({})), json!({"server_name": "host.test"}));
    let front = Proxy::start(&ConfigBuilder::to(host.address()).in_cluster("tls_context", context));
    assert_eq!(front.get("/").status(), 200);
    // Who is no client of the host's is turned away by it.
    answers.put(&Answers::json(&ca.context("me.test"), &ca.pem));
    until("a refusal", || (front.get("/").status() == 503 || front.get("/").status() == 502).then_some(()));
    answers.put(&Answers::json(&own, &ca.pem));
    until("an answer", || (front.get("/").status() == 200).then_some(()));
    tells_no_secret(&front, &[&own]);
}

/// The proxy's program in a folder of its own, and the plugin beside it.
pub(super) fn beside(dir: &TempDir) -> PathBuf {
    let own = dir.join("sidegate");
    fs::copy(binary(), &own).unwrap();
    fs::copy(artifact(PROGRAM), dir.join("loader")).unwrap();
    own
}

pub(super) fn options(binary: Option<PathBuf>, how: &str, answer: &Path) -> ProxyOptions {
    let environment = vec![("TEST_PLUGIN_HOW".into(), how.into()), ("TEST_PLUGIN_ANSWER".into(), answer.into())];
    ProxyOptions { binary, environment, ..ProxyOptions::default() }
}

#[test]
fn mosns_context_runs_the_program_beside_the_proxy() {
    let (ca, dir, origin) = (Ca::new("ca"), TempDir::new(), Origin::http(|_| Reply::ok("x")));
    let answers = Answers::new(&ca.context("a.test"), &ca.pem);
    let options = options(Some(beside(&dir)), "loader", &answers.file());
    let proxy = Proxy::start_with(&config(&origin, json!({"status": true, "type": "loader"})), &options);
    assert!(is_served(&proxy, &ca.client(&[])));
    assert_eq!(proxy.admin_get("/api/v1/plugins").json()["plugins"][0]["name"], "loader");
}

#[test]
fn without_certificates_nothing_is_served() {
    let (ca, origin, dir) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")), TempDir::new());
    let answers = Answers::new(&ca.context("a.test"), "");
    let run = |context: Value| {
        let file = dir.write("config.json", config(&origin, context).build(dir.path()).to_string());
        let ended = sidegate(["run", "-c", file.to_str().unwrap()]);
        assert_eq!(ended.code, Some(1), "{}", ended.output());
        assert!(!ended.output().contains("PRIVATE KEY"), "{}", ended.output());
        ended.output()
    };
    let said = run(answers.context("loader", json!({"env": {"TEST_PLUGIN_ANSWER": "/nowhere"}})));
    assert!(said.contains("plugin keys: it answered with the error"), "{said}");
    let said = run(answers.context("exit", json!({})));
    assert!(said.contains("it does not come up"), "{said}");
    let said = run(answers.context("silent", json!({"start_timeout": "200ms"})));
    assert!(said.contains("it printed no handshake"), "{said}");
    // Keys do not come over TCP unless somebody wants it.
    let said = run(answers.context("", json!({})));
    assert!(said.contains("keys come over a Unix socket"), "{said}");
    let said = run(with(answers.context("loader", json!({})), json!({"verify_client": true})));
    assert!(said.contains("it has brought none"), "{said}");
}

#[test]
fn tcp_is_taken_where_it_is_wanted_with_a_warning() {
    let (ca, origin) = (Ca::new("ca"), Origin::http(|_| Reply::ok("x")));
    let answers = Answers::new(&ca.context("a.test"), "");
    let proxy = Proxy::start(&config(&origin, answers.context("", json!({"allow_tcp": true}))));
    assert!(is_served(&proxy, &ca.client(&[])));
    assert!(proxy.logs().contains("private keys may come over TCP"), "{}", proxy.logs());
}

#[test]
fn a_check_starts_nothing_and_names_mistakes() {
    let (origin, dir) = (Origin::http(|_| Reply::ok("x")), TempDir::new());
    let check = |context: Value| {
        let file = dir.write("config.json", config(&origin, context).build(dir.path()).to_string());
        sidegate(["check", "-c", file.to_str().unwrap()])
    };
    let context = |more: Value| {
        let settings = json!({"command": artifact(PROGRAM).display().to_string(), "args": ["exit"]});
        json!({"status": true, "type": "loader", "extend_verify": with(settings, more)})
    };
    // It would not come up.
    let good = check(context(json!({})));
    assert_eq!(good.code, Some(0), "{}", good.output());
    for (bad, said) in [
        (context(json!({"timeot": "1s"})), "did you mean \"timeout\"?"),
        (context(json!({"retry_backoff": "0s"})), "expected a duration above zero"),
        (json!({"status": true, "type": "loadr"}), "expected \"loader\""),
        (
            json!({"status": true, "type": "loader", "extend_verify": {"args": ["a"]}}),
            "means nothing without `command`",
        ),
        (
            json!({"status": true, "type": "loader", "extend_verify": {"address": "127.0.0.1:9"}}),
            "keys come over a Unix socket",
        ),
        (with(context(json!({})), json!({"cert_chain": "a", "private_key": "b"})), "the extension of `type` brings it"),
    ] {
        let checked = check(bad);
        assert_eq!(checked.code, Some(1), "{}", checked.output());
        assert!(checked.output().contains(said), "{said}: {}", checked.output());
    }
}
