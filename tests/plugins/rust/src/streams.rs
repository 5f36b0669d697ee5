//! Answers of more than one message.

use std::future::Future;
use std::pin::Pin;

use http::{Request, Response};
use hyper::body::Incoming;
use sidegate_proto::go_plugin::grpc_stdio_server::GrpcStdio;
use sidegate_proto::go_plugin::stdio_data::Channel;
use sidegate_proto::go_plugin::{Empty, StdioData};
use sidegate_proto::mosn;
use sidegate_proto::mosn::plugin_server::Plugin;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::tokio_stream::{Iter, iter};
use tonic::server::{Grpc, ServerStreamingService};
use tonic_prost::ProstCodec;

use crate::behaviour::Behaviour;

/// What it says by go-plugin's service instead of its standard streams.
#[tonic::async_trait]
impl GrpcStdio for Behaviour {
    type StreamStdioStream = Iter<std::vec::IntoIter<Result<StdioData, Status>>>;

    async fn stream_stdio(&self, _: tonic::Request<Empty>) -> Result<tonic::Response<Self::StreamStdioStream>, Status> {
        let piece = |data: &str| Ok(StdioData { channel: Channel::Stderr.into(), data: data.as_bytes().to_vec() });
        // A line may come in pieces.
        Ok(tonic::Response::new(iter(vec![piece("[WARN] said by "), piece("the service\n")])))
    }
}

/// Answers each call by two messages, the second of which lets pass.
pub(crate) struct Twice(Behaviour);

impl Twice {
    pub(crate) async fn answer(behaviour: Behaviour, request: Request<Incoming>) -> Response<Body> {
        let codec = ProstCodec::<mosn::Response, mosn::Request>::default();
        Grpc::new(codec).server_streaming(Twice(behaviour), request).await
    }
}

impl ServerStreamingService<mosn::Request> for Twice {
    type Response = mosn::Response;
    type ResponseStream = Iter<std::vec::IntoIter<Result<mosn::Response, Status>>>;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<Self::ResponseStream>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<mosn::Request>) -> Self::Future {
        let behaviour = self.0.clone();
        Box::pin(async move {
            let first = Plugin::call(&behaviour, request).await?.into_inner();
            let second = mosn::Response { status: 1, ..mosn::Response::default() };
            Ok(tonic::Response::new(iter(vec![Ok(first), Ok(second)])))
        })
    }
}
