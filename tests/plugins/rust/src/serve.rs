//! Serving, over a Unix socket or TCP.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::process::{Command, ExitCode};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sidegate_proto::go_plugin::grpc_controller_server::GrpcControllerServer;
use sidegate_proto::go_plugin::grpc_stdio_server::GrpcStdioServer;
use sidegate_proto::health::health_server::HealthServer;
use sidegate_proto::mosn::plugin_server::PluginServer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tonic::body::Body;
use tonic::codegen::Service as _;

use crate::behaviour::Behaviour;
use crate::say;
use crate::streams::Twice;

/// Serves until it is ended.
pub(crate) fn serve(behaviour: Behaviour) -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    match runtime.block_on(run(behaviour)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("[ERROR] {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(behaviour: Behaviour) -> std::io::Result<()> {
    if behaviour.is("forks") {
        // It outlives this process unless somebody ends the group.
        Command::new("/bin/sleep").arg("3600").spawn()?;
    }
    if behaviour.is("slow") {
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    if behaviour.is("unix") || behaviour.is("loader") || behaviour.is("others") {
        let path = std::env::temp_dir().join(format!("sidegate-test-plugin-{}", std::process::id()));
        let listener = UnixListener::bind(&path)?;
        if behaviour.is("others") {
            // As if somebody else had made it.
            std::os::unix::fs::lchown(&path, Some(65_534), None)?;
        }
        say(&format!("1|1|unix|{}|grpc|", path.display()));
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(connection(stream, behaviour.clone()));
        }
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let end = if behaviour.is("plain") { "" } else { "||true" };
    say(&format!("1|1|tcp|{}|grpc{end}", listener.local_addr()?));
    loop {
        let (stream, _) = listener.accept().await?;
        // An answer is several small writes.
        stream.set_nodelay(true)?;
        if behaviour.is("single") {
            drop(listener);
            connection(stream, behaviour).await;
            return Ok(());
        }
        tokio::spawn(connection(stream, behaviour.clone()));
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, behaviour: Behaviour) {
    let service = Router(behaviour);
    let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// The services by their paths.
struct Router(Behaviour);

impl Service<Request<Incoming>> for Router {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let behaviour = self.0.clone();
        let is_plain = behaviour.is("plain");
        let path = request.uri().path();
        if path.starts_with("/grpc.health.v1.Health/") && !is_plain {
            Box::pin(async move { HealthServer::new(behaviour).call(request).await })
        } else if path.starts_with("/plugin.GRPCController/") && !is_plain {
            Box::pin(async move { GrpcControllerServer::new(behaviour).call(request).await })
        } else if path.starts_with("/plugin.GRPCStdio/") && behaviour.is("stdio") {
            Box::pin(async move { GrpcStdioServer::new(behaviour).call(request).await })
        } else if behaviour.is("twice") {
            Box::pin(async move { Ok(Twice::answer(behaviour, request).await) })
        } else {
            // It answers what it does not serve with `unimplemented`.
            Box::pin(async move { PluginServer::new(behaviour).call(request).await })
        }
    }
}
