//! A relay with nothing but the `h2` crate, as the floor that Sidegate's
//! HTTP/2 is measured against, and an origin that speaks HTTP/2.
//!
//! ```text
//! sidegate-h2relay origin                    fixed replies: 22 bytes, 10 KiB for /10k; bodies are read and dropped
//! sidegate-h2relay to-h1 ORIGIN_PORT         HTTP/2 in, HTTP/1.1 out
//! sidegate-h2relay to-h2 ORIGIN_PORT         HTTP/2 in, HTTP/2 out
//! ```
//!
//! It listens on a free port of 127.0.0.1 and prints it as a line of JSON. One
//! thread, no filters, no statistics, no timeouts, no limits but those of the
//! crate.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its port is its output")]

mod body;
mod origin;
mod to_h1;
mod to_h2;

use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::Request;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Windows that do not slow 10 KiB replies down; the crate's own, 64 KiB for a
/// whole connection, do.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Whatever ends a stream or a connection; nobody is told here.
type Failure = Box<dyn std::error::Error>;

enum Role {
    Origin,
    ToH1(to_h1::Pool),
    ToH2(to_h2::Pool),
}

impl Role {
    async fn serve(&self, request: Request<RecvStream>, respond: SendResponse<Bytes>) -> Result<(), Failure> {
        match self {
            Role::Origin => origin::answer(request, respond).await,
            Role::ToH1(pool) => to_h1::relay(pool, request, respond).await,
            Role::ToH2(pool) => to_h2::relay(pool, request, respond).await,
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let port = words.get(1).and_then(|text| text.parse().ok());
    let role = match (words.first().copied(), port) {
        (Some("origin"), None) => Role::Origin,
        (Some("to-h1"), Some(port)) => Role::ToH1(to_h1::Pool::new(port)),
        (Some("to-h2"), Some(port)) => Role::ToH2(to_h2::Pool::new(port)),
        _ => {
            eprintln!("usage: sidegate-h2relay origin | to-h1 ORIGIN_PORT | to-h2 ORIGIN_PORT");
            return ExitCode::from(2);
        }
    };
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, listen(Rc::new(role)))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("sidegate-h2relay: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn listen(role: Rc<Role>) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{{\"port\":{}}}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    loop {
        let (socket, _) = listener.accept().await?;
        spawn_local(serve(socket, role.clone()));
    }
}

async fn serve(socket: TcpStream, role: Rc<Role>) {
    let _ = socket.set_nodelay(true);
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
    builder.max_concurrent_streams(128);
    let Ok(mut connection) = builder.handshake(socket).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let role = role.clone();
        spawn_local(async move {
            // A stream that fails is reset when its halves are dropped.
            let _ = role.serve(request, respond).await;
        });
    }
}
