//! What a plugin does beside answering: the handshake, health, and its end.
//! Copy this file, `build.rs` and `proto/`.

use std::error::Error;
use std::future::Future;

use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::Status;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

mod made {
    tonic::include_proto!("proto");
}
pub use made::{Request, Response};

use made::plugin_server::{Plugin, PluginServer};

/// As a response's status refuses the request.
pub const DENY: i32 = -1;

/// Answers calls until SIGTERM. `listen` is `unix:/path` or a loopback address;
/// without it the plugin makes a Unix socket of its own.
pub async fn serve<F>(call: F, listen: Option<String>) -> Result<(), Box<dyn Error>>
where
    F: Fn(Request) -> Response + Send + Sync + 'static,
{
    if listen.is_none() && std::env::var("MOSN_PLUGIN").as_deref() != Ok("ON") {
        return Err("this is a plugin: name it in a configuration of Sidegate, or say where to --listen".into());
    }
    // A folder of mode 0700: nobody else can connect, whatever the umask.
    let folder = tempfile::Builder::new().prefix("plugin-").tempdir()?;
    let listen = listen.unwrap_or_else(|| format!("unix:{}/socket", folder.path().display()));

    let (health, healthy) = tonic_health::server::health_reporter();
    health.set_service_status("plugin", tonic_health::ServingStatus::Serving).await;
    // Bodies may be larger than the 4 MiB that gRPC has as a bound; the listener bounds them.
    let service = PluginServer::new(Service(call)).max_decoding_message_size(usize::MAX);
    let server = Server::builder().add_service(service).add_service(healthy);

    let end = end()?;
    if let Some(path) = listen.strip_prefix("unix:") {
        let listener = UnixListener::bind(path)?;
        println!("1|1|unix|{path}|grpc");
        server.serve_with_incoming_shutdown(UnixListenerStream::new(listener), end).await?;
    } else {
        let listener = TcpListener::bind(&listen).await?;
        println!("1|1|tcp|{}|grpc", listener.local_addr()?);
        // An answer is several small writes.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        server.serve_with_incoming_shutdown(incoming, end).await?;
    }
    Ok(())
}

/// Comes when the plugin is told to end.
fn end() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

struct Service<F>(F);

#[tonic::async_trait]
impl<F: Fn(Request) -> Response + Send + Sync + 'static> Plugin for Service<F> {
    async fn call(&self, request: tonic::Request<Request>) -> Result<tonic::Response<Response>, Status> {
        Ok(tonic::Response::new((self.0)(request.into_inner())))
    }
}
