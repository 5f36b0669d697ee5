//! From a program's start to its services.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sidegate_proto::go_plugin::grpc_controller_server::GrpcControllerServer;
use sidegate_proto::health::health_server::HealthServer;
use sidegate_proto::mosn;
use sidegate_proto::v1;
use tokio::net::UnixListener;
use tonic::body::Body;
use tonic::codegen::Service as _;

use crate::Plugin;
use crate::access_log::Logs;
use crate::controls::Controls;
use crate::session::Streams;
use crate::unary::Unary;

/// Bytes of a message. Hosts send bodies whole by MOSN's call.
const MAX_MESSAGE: usize = 64 << 20;

/// Serves a plugin until its host ends it: at a Unix socket of its own, which
/// it prints as go-plugin's handshake has it. With the variable
/// `SIDEGATE_PLUGIN_SOCKET` it listens there and prints nothing, for a program
/// that somebody else starts.
pub fn serve(plugin: impl Plugin) -> ExitCode {
    let served = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
        runtime.block_on(async {
            match std::env::var_os("SIDEGATE_PLUGIN_SOCKET") {
                Some(path) => listen(plugin, path.into()).await,
                None => as_child(plugin).await,
            }
        })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "what a plugin prints there is its host's log")]
fn tell(error: &str) {
    eprintln!("[ERROR] {error}");
}

async fn as_child(plugin: impl Plugin) -> io::Result<()> {
    if std::env::var_os("PLUGIN_PROTOCOL_VERSIONS").is_none() {
        return Err(io::Error::other(
            "this is a plugin: a proxy starts it, or SIDEGATE_PLUGIN_SOCKET says where it listens",
        ));
    }
    let name = format!("sidegate-plugin-{}.sock", std::process::id());
    let path = std::env::temp_dir().join(name);
    // Of a process before this one that had this number.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    let mut stdout = io::stdout();
    writeln!(stdout, "1|1|unix|{}|grpc|", path.display())?;
    stdout.flush()?;
    accept(listener, plugin).await
}

async fn listen(plugin: impl Plugin, path: PathBuf) -> io::Result<()> {
    let _ = std::fs::remove_file(&path);
    accept(UnixListener::bind(&path)?, plugin).await
}

async fn accept(listener: UnixListener, plugin: impl Plugin) -> io::Result<()> {
    let plugin = Arc::new(plugin);
    let services = Services { unary: Unary::new(&*plugin), plugin };
    loop {
        let (stream, _) = listener.accept().await?;
        let services = services.clone();
        tokio::spawn(async move {
            let mut http2 = http2::Builder::new(TokioExecutor::new());
            http2.initial_stream_window_size(1 << 20).initial_connection_window_size(4 << 20);
            // Its calls are told what went wrong.
            let _ = http2.serve_connection(TokioIo::new(stream), services).await;
        });
    }
}

struct Services<P> {
    plugin: Arc<P>,
    unary: Arc<Unary>,
}

impl<P> Clone for Services<P> {
    fn clone(&self) -> Self {
        Services { plugin: self.plugin.clone(), unary: self.unary.clone() }
    }
}

impl<P: Plugin> Service<Request<Incoming>> for Services<P> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let Services { plugin, unary } = self.clone();
        match request.uri().path().split('/').nth(1) {
            Some("sidegate.plugin.v1.Plugin") => {
                let mut server = v1::plugin_server::PluginServer::new(Streams(plugin));
                Box::pin(async move { server.call(request).await })
            }
            Some("sidegate.plugin.v1.AccessLog") => {
                let server = v1::access_log_server::AccessLogServer::new(Logs(plugin.log_sink()));
                let mut server = server.max_decoding_message_size(MAX_MESSAGE);
                Box::pin(async move { server.call(request).await })
            }
            Some("grpc.health.v1.Health") => Box::pin(async move { HealthServer::new(Controls).call(request).await }),
            Some("plugin.GRPCController") => {
                Box::pin(async move { GrpcControllerServer::new(Controls).call(request).await })
            }
            // It answers what it does not serve with `unimplemented`.
            _ => {
                let server = mosn::plugin_server::PluginServer::from_arc(unary);
                let mut server = server.max_decoding_message_size(MAX_MESSAGE);
                Box::pin(async move { server.call(request).await })
            }
        }
    }
}
