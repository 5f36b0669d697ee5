//! A gRPC connection to a plugin.
//!
//! tonic speaks gRPC, hyper carries it: tonic's own channel connects anew by
//! itself and hides whether a call was sent, and both matter here.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustix::process::geteuid;
use sidegate_proto::go_plugin::grpc_controller_client::GrpcControllerClient;
use sidegate_proto::go_plugin::grpc_stdio_client::GrpcStdioClient;
use sidegate_proto::go_plugin::{Empty, StdioData};
use sidegate_proto::health::HealthCheckRequest;
use sidegate_proto::health::health_check_response::ServingStatus;
use sidegate_proto::health::health_client::HealthClient;
use sidegate_proto::mosn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::tokio_stream;
use tonic::{Code, Status, Streaming};
use tower_service::Service;

use crate::address::PluginAddress;

/// Bytes of an answer. What filters may put into a body is bounded elsewhere.
const MAX_ANSWER: usize = 64 << 20;

const CALL: PathAndQuery = PathAndQuery::from_static("/proto.Plugin/Call");
/// What is said of a plugin that ended its connection.
const CLOSED: &str = "it closed its connection";
/// The service that go-plugin reports its health under.
const HEALTH_SERVICE: &str = "plugin";

/// A connection; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    carrier: Carrier,
    state: Arc<watch::Sender<State>>,
    to: Arc<(PluginAddress, Trust)>,
    /// What servers see as the authority of calls; parsed once.
    origin: Uri,
}

/// Whether a connection is there.
#[derive(Debug, Clone)]
enum State {
    Open,
    Ended(Arc<str>),
}

/// Why a call came to nothing.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The plugin has not seen it.
    NotSent,
    /// The connection ended while it was under way.
    Lost,
    /// The plugin answered with an error, or with what is no answer.
    Answered(Box<Status>),
}

/// What a plugin says of its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Serving,
    NotServing,
    /// It does not say.
    Unserved,
}

/// Who must be at the other end of a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// A process of our user: what a plugin that we started prints may be
    /// anybody's.
    OwnUser,
    /// Whoever listens: the configuration names the address.
    Anybody,
}

impl Connection {
    /// Connects. The connection lives on the runtime of the caller.
    pub(crate) async fn open(address: &PluginAddress, trust: Trust) -> io::Result<Self> {
        let to = Arc::new((address.clone(), trust));
        match address {
            PluginAddress::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Self::over(stream, to).await
            }
            PluginAddress::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                let (peer, own) = (stream.peer_cred()?.uid(), geteuid().as_raw());
                if trust == Trust::OwnUser && peer != own {
                    return Err(io::Error::other(format!("user {peer} listens there, expected user {own}")));
                }
                Self::over(stream, to).await
            }
        }
    }

    /// Another connection to the same plugin.
    pub(crate) async fn again(&self) -> io::Result<Self> {
        let (address, trust) = &*self.to;
        Self::open(address, *trust).await
    }

    /// Whether both are one connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        to: Arc<(PluginAddress, Trust)>,
    ) -> io::Result<Self> {
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2.initial_stream_window_size(1 << 20).initial_connection_window_size(4 << 20);
        let (sender, connection) = http2.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let state = Arc::new(watch::Sender::new(State::Open));
        let (ours, mut of_all) = (state.clone(), state.subscribe());
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => {
                    let why = ended.map_or_else(|error| broken(&error), |()| CLOSED.into());
                    ours.send_replace(State::Ended(why));
                }
                _ = of_all.wait_for(State::is_ended) => {}
            }
        });
        Ok(Connection { carrier: Carrier(sender), state, to, origin: Uri::from_static("http://localhost") })
    }

    /// Waits for its end, and says how it came.
    pub(crate) async fn closed(&self) -> Arc<str> {
        match self.state.subscribe().wait_for(State::is_ended).await.as_deref() {
            Ok(State::Ended(why)) => why.clone(),
            // The other half is in `self`.
            Ok(State::Open) | Err(_) => "its connection is gone".into(),
        }
    }

    /// Ends it, and the calls that are under way, also those whose requests the
    /// plugin does not read.
    pub(crate) fn close(&self) {
        give_up(&self.state);
    }

    /// Closes it together with another, if it does not end before.
    pub(crate) fn close_with(&self, other: &Self) {
        // Nothing that would keep it up.
        let (state, mut ours, mut theirs) = (self.state.clone(), self.state.subscribe(), other.state.subscribe());
        tokio::spawn(async move {
            tokio::select! {
                _ = ours.wait_for(State::is_ended) => {}
                _ = theirs.wait_for(State::is_ended) => give_up(&state),
            }
        });
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.borrow().is_ended()
    }

    /// MOSN's call. `request` is encoded already; the plugin is told that it
    /// has `timeout`.
    pub(crate) async fn call(&self, request: Bytes, timeout: Duration) -> Result<mosn::Response, CallError> {
        let mut request = tonic::Request::new(request);
        request.set_timeout(timeout);
        let mut grpc =
            Grpc::with_origin(self.carrier.clone(), self.origin.clone()).max_decoding_message_size(MAX_ANSWER);
        let one = request.map(tokio_stream::once);
        let mut answers = grpc.streaming(one, CALL, Encoded).await.map_err(CallError::of)?.into_inner();
        let first = answers.message().await.map_err(CallError::of)?;
        // Its status comes after the answer, and tonic's own unary call does not
        // look whether there is another in between.
        match (first, answers.message().await.map_err(CallError::of)?) {
            (Some(answer), None) => Ok(answer),
            (None, _) => Err(CallError::of(Status::internal("it ended the call without an answer"))),
            (Some(_), Some(_)) => Err(CallError::of(Status::internal("it answered twice"))),
        }
    }

    /// For clients of other services.
    pub(crate) fn carrier(&self) -> Carrier {
        self.carrier.clone()
    }

    /// For calls of other services.
    pub(crate) fn grpc(&self) -> Grpc<Carrier> {
        Grpc::with_origin(self.carrier.clone(), self.origin.clone())
    }

    /// Asks for its health.
    pub(crate) async fn health(&self) -> Result<Health, Status> {
        let mut client = HealthClient::with_origin(self.carrier.clone(), self.origin.clone());
        match client.check(HealthCheckRequest { service: HEALTH_SERVICE.to_owned() }).await {
            Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => Ok(Health::Serving),
            Ok(_) => Ok(Health::NotServing),
            // It serves no health, or none for a service of this name.
            Err(status) if matches!(status.code(), Code::Unimplemented | Code::NotFound) => Ok(Health::Unserved),
            Err(status) => Err(status),
        }
    }

    /// Asks it to end, as go-plugin's hosts do.
    pub(crate) async fn shut_down(&self) -> Result<(), Status> {
        let mut client = GrpcControllerClient::with_origin(self.carrier.clone(), self.origin.clone());
        client.shutdown(Empty {}).await.map(drop)
    }

    /// What it writes to its standard streams, where it serves that.
    pub(crate) async fn stdio(&self) -> Result<Streaming<StdioData>, Status> {
        let mut client = GrpcStdioClient::with_origin(self.carrier.clone(), self.origin.clone());
        client.stream_stdio(Empty {}).await.map(tonic::Response::into_inner)
    }
}

impl State {
    fn is_ended(&self) -> bool {
        matches!(self, State::Ended(_))
    }
}

/// What hyper says, whose causes tell who broke HTTP/2 and how.
fn broken(error: &hyper::Error) -> Arc<str> {
    let mut cause = std::error::Error::source(error);
    let socket = cause.and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    if let Some(io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof) = socket {
        // While a call was under way.
        return CLOSED.into();
    }
    let mut why = format!("its connection broke: {error}");
    while let Some(error) = cause {
        why = format!("{why}: {error}");
        cause = error.source();
    }
    why.into()
}

fn give_up(state: &watch::Sender<State>) {
    state.send_if_modified(|state| {
        let is_open = !state.is_ended();
        if is_open {
            *state = State::Ended("its connection was given up".into());
        }
        is_open
    });
}

impl CallError {
    pub(crate) fn of(status: Status) -> Self {
        let carried = std::error::Error::source(&status).and_then(|source| source.downcast_ref::<CarrierError>());
        match carried {
            Some(CarrierError::NotSent) => CallError::NotSent,
            Some(CarrierError::Lost(_)) => CallError::Lost,
            None if std::error::Error::source(&status).is_some_and(|source| source.is::<hyper::Error>()) => {
                CallError::Lost
            }
            None => CallError::Answered(Box::new(status)),
        }
    }
}

/// What Go's and everybody's servers see as the authority of calls.
pub(crate) fn origin() -> Uri {
    Uri::from_static("http://localhost")
}

/// Carries HTTP messages for tonic.
#[derive(Debug, Clone)]
pub(crate) struct Carrier(http2::SendRequest<Body>);

#[derive(Debug, thiserror::Error)]
pub(crate) enum CarrierError {
    #[error("the connection is closed")]
    NotSent,
    #[error("{0}")]
    Lost(hyper::Error),
}

impl Service<Request<Body>> for Carrier {
    type Response = Response<Incoming>;
    type Error = CarrierError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, CarrierError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CarrierError>> {
        // Where it is closed the call says so, and says that it was not sent.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut sender = self.0.clone();
        Box::pin(async move {
            sender.ready().await.map_err(|_| CarrierError::NotSent)?;
            sender.try_send_request(request).await.map_err(|mut failed| match failed.take_message() {
                Some(_) => CarrierError::NotSent,
                None => CarrierError::Lost(failed.into_error()),
            })
        })
    }
}

/// Requests that are encoded already.
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = mosn::Response;
    type Encoder = Encoded;
    type Decoder = Encoded;

    fn encoder(&mut self) -> Encoded {
        Encoded
    }

    fn decoder(&mut self) -> Encoded {
        Encoded
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = mosn::Response;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<mosn::Response>, Status> {
        // A whole message, or what is left of one.
        let message = mosn::Response::decode(&mut *buffer);
        buffer.advance(buffer.remaining());
        message.map(Some).map_err(|error| Status::internal(format!("its answer is no Response: {error}")))
    }
}
