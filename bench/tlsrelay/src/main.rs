//! A relay with nothing but `rustls` and `httparse`, as the floor that
//! Sidegate's TLS is measured against.
//!
//! ```text
//! sidegate-tlsrelay ORIGIN_PORT CHAIN KEY      HTTPS in, HTTP/1.1 in clear text out; files are PEM
//! ```
//!
//! It listens on a free port of 127.0.0.1 and prints it as a line of JSON. One
//! thread, no filters, no statistics, no timeouts; bodies whose length was
//! announced, and no others.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its port is its output")]

mod head;

use std::cell::RefCell;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

use crate::head::Head;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whatever ends a connection; nobody is told here.
type Failure = Box<dyn std::error::Error>;

/// As the other proxies have it.
const BACKLOG: u32 = 4096;
/// A record of TLS, and the head in front of a reply of 10 KiB.
const BUFFER: usize = 16 * 1024 + 512;

struct Relay {
    origin: u16,
    acceptor: TlsAcceptor,
    idle: RefCell<Vec<TcpStream>>,
    /// Of connections that wait for nothing.
    buffers: RefCell<Vec<Vec<u8>>>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [origin, chain, key] = arguments.as_slice() else {
        eprintln!("usage: sidegate-tlsrelay ORIGIN_PORT CHAIN KEY");
        return ExitCode::from(2);
    };
    let run = || -> Result<(), Failure> {
        let relay = Relay {
            origin: origin.parse()?,
            acceptor: TlsAcceptor::from(Arc::new(config(chain, key)?)),
            idle: RefCell::default(),
            buffers: RefCell::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, listen(Rc::new(relay)))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("sidegate-tlsrelay: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// TLS 1.3, and tickets, as the other proxies give them.
fn config(chain: &str, key: &str) -> Result<ServerConfig, Failure> {
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_protocol_versions(&[&version::TLS13])?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn listen(relay: Rc<Relay>) -> Result<(), Failure> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener: TcpListener = socket.listen(BACKLOG)?;
    println!("{{\"port\":{}}}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    loop {
        let (socket, _) = listener.accept().await?;
        let relay = relay.clone();
        spawn_local(async move {
            let _ = relay.serve(socket).await;
        });
    }
}

impl Relay {
    async fn serve(&self, socket: TcpStream) -> Result<(), Failure> {
        socket.set_nodelay(true)?;
        // Boxed: it is over before anything else begins.
        let mut client = Box::pin(self.acceptor.accept(socket)).await?;
        loop {
            // What waits holds no buffer of its own.
            let mut first = [0; 1];
            if client.read(&mut first).await? == 0 {
                break;
            }
            let mut buffer = self.buffer();
            buffer.extend_from_slice(&first);
            let kept = Box::pin(self.exchange(&mut client, &mut buffer)).await;
            buffer.clear();
            self.buffers.borrow_mut().push(buffer);
            if !kept? {
                break;
            }
        }
        client.shutdown().await?;
        Ok(())
    }

    /// A request, whose first byte is in `buffer`, and its reply; whether the
    /// connection goes on.
    async fn exchange(
        &self,
        client: &mut tokio_rustls::server::TlsStream<TcpStream>,
        buffer: &mut Vec<u8>,
    ) -> Result<bool, Failure> {
        let request = Head::read(client, buffer).await?;
        let mut origin = self.connection().await?;
        relay(client, &mut origin, buffer, &request).await?;
        buffer.clear();
        let reply = Head::read(&mut origin, buffer).await?;
        relay(&mut origin, client, buffer, &reply).await?;
        client.flush().await?;
        if reply.keeps {
            self.idle.borrow_mut().push(origin);
        }
        Ok(request.keeps)
    }

    async fn connection(&self) -> Result<TcpStream, Failure> {
        let idle = self.idle.borrow_mut().pop();
        if let Some(idle) = idle {
            return Ok(idle);
        }
        let origin = TcpStream::connect(("127.0.0.1", self.origin)).await?;
        origin.set_nodelay(true)?;
        Ok(origin)
    }

    fn buffer(&self) -> Vec<u8> {
        self.buffers.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(BUFFER))
    }
}

/// Passes a message on whose head, and what came with it, is in `buffer`.
async fn relay(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    buffer: &mut Vec<u8>,
    head: &Head,
) -> Result<(), Failure> {
    let mut left = (head.bytes + head.body).checked_sub(buffer.len()).ok_or("more than was announced")?;
    loop {
        to.write_all(buffer).await?;
        if left == 0 {
            return Ok(());
        }
        buffer.clear();
        match from.read_buf(buffer).await? {
            0 => return Err("cut".into()),
            count => left = left.checked_sub(count).ok_or("more than was announced")?,
        }
    }
}
