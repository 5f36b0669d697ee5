//! TLS on both sides of the real process.

mod bad_certificates;
mod bad_hosts;
mod by_name;
mod clients;
mod crowd;
mod cut;
mod hosts;
mod https_only;
mod identity;
mod identity_header;
mod loader;
mod loader_life;
mod own_ca;
mod raw;
mod renewal;
mod seen;
mod settings;
mod shown;
mod storms;
mod trouble;

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use serde_json::{Value, json};
use sidegate_harness::{Origin, PATIENCE, Proxy, Reply, TempDir, until};

/// A CA made for a test.
struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new(name: &str) -> Ca {
        let (params, key) = Ca::params(name);
        let pem = params.self_signed(&key).unwrap().pem();
        Ca { pem, issuer: Issuer::new(params, key) }
    }

    /// A CA below this one.
    fn below(&self, name: &str) -> Ca {
        let (params, key) = Ca::params(name);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Ca { pem, issuer: Issuer::new(params, key) }
    }

    fn params(name: &str) -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        (params, KeyPair::generate().unwrap())
    }

    /// A certificate for `name`, as keys of a context that is on.
    fn context(&self, name: &str) -> Value {
        let (chain, key) = self.issue(name, |_| {});
        json!({"status": true, "cert_chain": chain, "private_key": key})
    }

    /// A certificate of `subject` with these alternative names and serial number
    /// `beef01`, as keys of a context that is on.
    fn context_of(&self, subject: &str, names: Vec<SanType>) -> Value {
        let (chain, key) = self.issue(subject, |params| {
            params.subject_alt_names = names;
            params.serial_number = Some(vec![0xbe, 0xef, 0x01].into());
        });
        json!({"status": true, "cert_chain": chain, "private_key": key})
    }

    /// A certificate for `name` and its key, in PEM, with what `change` makes of
    /// it.
    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = Default::default();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn file(&self, dir: &TempDir) -> String {
        dir.write("ca.pem", &self.pem).display().to_string()
    }

    /// A client that trusts this CA.
    fn client(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut config = self.trusting(&[&TLS12, &TLS13]).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// The same with the certificate of `context`, in one version.
    fn client_as(&self, context: &Value, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        let pem = |key: &str| context[key].as_str().unwrap().as_bytes().to_vec();
        let chain = vec![CertificateDer::from_pem_slice(&pem("cert_chain")).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(&pem("private_key")).unwrap();
        Arc::new(self.trusting(&[version]).with_client_auth_cert(chain, key).unwrap())
    }

    fn trusting(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        builder.with_root_certificates(roots)
    }
}

/// Answers with the bodies of requests.
fn bodies() -> Origin {
    Origin::http(|seen| Reply::ok(seen.body.clone()))
}

/// With whom a handshake was.
#[derive(Debug, Clone, Copy)]
enum With {
    Clients,
    Hosts,
}

/// Waits until a handshake that failed is in the log and is counted.
#[track_caller]
fn failed(proxy: &Proxy, with: With, reason: &str) {
    let told = format!("reason=\"{reason}\"");
    let line = |line: &str| line.contains("no TLS session") && line.contains(&told);
    until(&format!("{reason} in the log"), || proxy.logs().lines().any(line).then_some(()));
    let counter = match with {
        With::Clients => format!("downstream_tls_handshake_failures_total{{listener=\"main\",{told}}}"),
        With::Hosts => format!("upstream_tls_handshake_failures_total{{cluster=\"origin\",{told}}}"),
    };
    until(&counter, || (proxy.metric(&counter)? >= 1.0).then_some(()));
}

/// `context` with more keys.
fn with(mut context: Value, more: Value) -> Value {
    let keys = more.as_object().unwrap().clone();
    context.as_object_mut().unwrap().extend(keys);
    context
}

/// A TLS connection to the proxy.
fn dial(config: &Arc<ClientConfig>, to: SocketAddr, name: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = name.to_owned().try_into().unwrap();
    StreamOwned::new(ClientConnection::new(config.clone(), name).unwrap(), stream)
}
