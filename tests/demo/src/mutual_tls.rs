//! The second Sidegate: it stands before the origin and takes nobody without a
//! certificate.

use std::path::Path;

use serde_json::{Value, json};
use sidegate_harness::{Call, Client, Proxy, ProxyOptions, Spoken, TempDir, run};

use crate::configuration::Sidegate;

/// The name in its certificate.
const NAME: &str = "b.demo.test";
/// Whom it knows the first one as, and where it tells the origin.
const CLIENT: &str = "a.demo.test";
const FIELD: &str = "x-client-certificate";

/// A proxy before the origin, and the certificates of both sides.
pub struct Second {
    proxy: Proxy,
    spoken: Spoken,
    certs: TempDir,
}

impl Second {
    /// Makes certificates and starts it.
    pub fn start(binary: &Path, spoken: Spoken, origin: &str) -> Result<Second, String> {
        println!("client → Sidegate A, with the module → mutual TLS → Sidegate B → origin\n");
        let certs = TempDir::new();
        let made = run(std::process::Command::new(binary)
            .arg("cert")
            .arg(certs.path())
            .args(["--name", NAME])
            .args(["--client", CLIENT]));
        if made.code != Some(0) {
            return Err(format!("no certificates: {}", made.output()));
        }
        println!("$ sidegate cert {} --name {NAME} --client {CLIENT}\n{}", certs.path().display(), made.stdout);
        let mut tls = pair(&certs, "server");
        tls["verify_client"] = json!(true);
        tls["require_client_cert"] = json!(true);
        let adds = json!([{"header": {"key": FIELD, "value": "%tls_peer_subject%"}, "append": false}]);
        let settings = Sidegate {
            address: "127.0.0.1:0".to_owned(),
            clients: spoken,
            host: spoken,
            origin: origin.to_owned(),
            filters: json!([]),
            adds,
            tls_with_clients: Some(tls),
            tls_with_host: None,
        };
        let proxy = started(binary, &settings)?;
        println!("Sidegate B listens on {}, takes TLS from who has a certificate of that CA, and", proxy.address());
        println!("tells the origin in {FIELD} who it was. Sidegate A has such a certificate.\n");
        Ok(Second { proxy, spoken, certs })
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.proxy.address().to_string()
    }

    /// What the first one needs to speak with it.
    pub fn tls(&self) -> Value {
        let mut tls = pair(&self.certs, "client");
        tls["server_name"] = json!(NAME);
        tls
    }

    /// What the origin's answer holds, since it shows what it got.
    pub fn identity() -> String {
        format!("[\"{FIELD}\",\"CN={CLIENT}\"]")
    }

    /// Others try: one in clear text, one in TLS without a certificate. Whether
    /// all was as expected.
    pub fn turns_others_away(&self, binary: &Path) -> Result<bool, String> {
        println!("Nobody else gets through to B. In clear text:\n");
        println!("$ curl -i http://{}/hello", self.address());
        let call = Call::get("/hello").authority(&self.address());
        let clear = shown(Client::connect(Spoken::Http1, self.proxy.address()).try_call(&call), 400);
        println!("Through a Sidegate that has no certificate of its own:\n");
        let settings = Sidegate {
            address: "127.0.0.1:0".to_owned(),
            clients: Spoken::Http1,
            host: self.spoken,
            origin: self.address(),
            filters: json!([]),
            adds: json!([]),
            tls_with_clients: None,
            tls_with_host: Some(json!({"status": true, "ca_cert": file(&self.certs, "ca.pem"), "server_name": NAME})),
        };
        let third = started(binary, &settings)?;
        println!("$ curl -i http://{}/hello", third.address());
        let bare = shown(Client::connect(Spoken::Http1, third.address()).try_call(&call), 502);
        let reason = sidegate_harness::until("B's reason", || {
            let logs = self.proxy.logs();
            logs.lines().find(|line| line.contains("certificate_missing")).map(str::to_owned)
        });
        println!("B's log says why:\n  {}\n", reason.trim());
        Ok(clear && bare)
    }
}

fn shown(answer: Result<sidegate_harness::Message, String>, status: u16) -> bool {
    match answer {
        Ok(got) => {
            println!("{}\n{}", got.head.start, got.text().trim_end());
            let as_expected = got.status() == status;
            println!("  {}\n", if as_expected { "as expected" } else { "WRONG: expected another status" });
            as_expected
        }
        Err(error) => {
            println!("  WRONG: no response ({error}), expected {status}\n");
            false
        }
    }
}

fn started(binary: &Path, settings: &Sidegate) -> Result<Proxy, String> {
    let dir = TempDir::new();
    let file = dir.write("config.json", format!("{:#}\n", settings.configuration()));
    Proxy::try_run(dir, &file, &ProxyOptions { binary: Some(binary.to_path_buf()), ..ProxyOptions::default() })
}

/// A context with a certificate, its key, and whom it believes.
fn pair(certs: &TempDir, name: &str) -> Value {
    json!({"status": true, "cert_chain": file(certs, &format!("{name}.pem")),
        "private_key": file(certs, &format!("{name}.key")), "ca_cert": file(certs, "ca.pem")})
}

fn file(certs: &TempDir, name: &str) -> String {
    certs.join(name).display().to_string()
}
