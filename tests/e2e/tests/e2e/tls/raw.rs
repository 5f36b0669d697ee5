//! Peers that show whatever they are told to show: rustls without the checks
//! that keep its users from mistakes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, LazyLock};

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, ServerConnection, SignatureScheme, StreamOwned, SupportedProtocolVersion,
};

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));

/// A chain and a key, whether or not they belong together.
#[derive(Debug, Clone)]
pub struct Shown(Arc<CertifiedKey>);

impl Shown {
    pub fn new(chain: &str, key: &str) -> Shown {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        Shown(Arc::new(CertifiedKey::new(chain, PROVIDER.key_provider.load_private_key(key).unwrap())))
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// A client that trusts `ca` and shows `shown`.
pub fn client(ca: &str, shown: Option<Shown>, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(PROVIDER.clone()).with_protocol_versions(&[version]).unwrap();
    let builder = builder.with_root_certificates(roots);
    Arc::new(match shown {
        Some(shown) => builder.with_client_cert_resolver(Arc::new(shown)),
        None => builder.with_no_client_auth(),
    })
}

/// A host that shows `shown`.
pub fn server(shown: Shown) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(PROVIDER.clone()).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_cert_resolver(Arc::new(shown)))
}

/// How a host ends its side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// As TLS has it.
    WithCloseNotify,
    /// As anybody on the way can have it.
    WithoutCloseNotify,
    /// The same, with a reset.
    WithReset,
}

/// A host of `connections` connections, one after another: reads a head,
/// answers with `reply` and goes. What each came to is told.
pub fn host(
    config: Arc<ServerConfig>,
    connections: usize,
    reply: &'static str,
    goes: Goes,
) -> (SocketAddr, Receiver<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            let stream = stream.unwrap();
            stream.set_read_timeout(Some(sidegate_harness::PATIENCE)).unwrap();
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
            let result = read_head(&mut stream).and_then(|()| stream.write_all(reply.as_bytes()));
            if result.is_ok() {
                go(&mut stream, goes);
            }
            let _ = tell.send(result);
        }
    });
    (address, told)
}

fn read_head(stream: &mut impl Read) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(())
}

fn go(stream: &mut StreamOwned<ServerConnection, std::net::TcpStream>, goes: Goes) {
    let _ = stream.flush();
    match goes {
        Goes::WithCloseNotify => {
            stream.conn.send_close_notify();
            let _ = stream.conn.complete_io(&mut stream.sock);
        }
        Goes::WithoutCloseNotify => {}
        Goes::WithReset => {
            rustix::net::sockopt::set_socket_linger(&stream.sock, Some(std::time::Duration::ZERO)).unwrap();
            return;
        }
    }
    let _ = stream.sock.shutdown(Shutdown::Write);
    // Until the proxy has closed: a reset could take the reply with it.
    let _ = std::io::copy(&mut stream.sock, &mut std::io::sink());
}
