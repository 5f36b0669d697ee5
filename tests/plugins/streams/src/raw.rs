//! Breaks the protocol as `x-fault` of a request says.

use std::convert::Infallible;
use std::io::Write;
use std::process::ExitCode;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sidegate_proto::v1;
use sidegate_proto::v1::event::Kind;
use sidegate_proto::v1::plugin_server::{Plugin, PluginServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::codegen::Service;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::early::Early;

#[derive(Clone)]
struct Raw {
    /// Whether it takes calls and reads nothing of them.
    deaf: bool,
}

pub(crate) fn serve(deaf: bool) -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    match runtime.block_on(run(Raw { deaf })) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("[ERROR] {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(raw: Raw) -> std::io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("1|1|tcp|{}|grpc|", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let raw = raw.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let mut server = PluginServer::new(raw.clone());
                async move { Ok::<_, Infallible>(server.call(request).await.unwrap_or_else(|never| match never {})) }
            });
            let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

#[tonic::async_trait]
impl Plugin for Raw {
    async fn describe(&self, _: Request<v1::DescribeRequest>) -> Result<Response<v1::DescribeResponse>, Status> {
        // A variable and a minor that nobody knows yet.
        Ok(Response::new(v1::DescribeResponse { minor: 99, variables: vec![9999], ..Default::default() }))
    }

    type ProcessStream = ReceiverStream<Result<v1::PluginMessage, Status>>;

    async fn process(
        &self,
        request: Request<Streaming<v1::HostMessage>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let (out, messages) = mpsc::channel(4);
        let mut incoming = request.into_inner();
        let deaf = self.deaf;
        tokio::spawn(async move {
            if deaf {
                // Until the host ends the call.
                out.closed().await;
            }
            let mut early = Early::default();
            while let Ok(Some(message)) = incoming.message().await {
                let mut events = Vec::new();
                for event in message.events {
                    match early.answers(&event).map_or_else(|| answers(&event), Some) {
                        Some(more) => events.extend(more),
                        // The call ends here.
                        None => return,
                    }
                }
                if out.send(Ok(v1::PluginMessage { events })).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

fn answers(event: &v1::Event) -> Option<Vec<v1::PluginEvent>> {
    let answer = |stream, hook| v1::PluginEvent {
        stream,
        kind: Some(v1::plugin_event::Kind::Answer(v1::Answer { hook, ..Default::default() })),
    };
    let (stream, hook) = (event.stream, event.hook);
    let fault = match &event.kind {
        Some(Kind::RequestHeaders(head)) => {
            let field = head.fields.iter().find(|field| field.name == "x-fault");
            field.map(|field| String::from_utf8_lossy(&field.value).into_owned()).unwrap_or_default()
        }
        Some(Kind::End(_)) => return Some(Vec::new()),
        _ => String::new(),
    };
    let edited = |edit: v1::Answer| {
        let kind = Some(v1::plugin_event::Kind::Answer(v1::Answer { hook, ..edit }));
        Some(vec![v1::PluginEvent { stream, kind }])
    };
    match &*fault {
        "unknown" => Some(vec![answer(stream + 1000, hook)]),
        "twice" => Some(vec![answer(stream, hook), answer(stream, hook)]),
        "order" => Some(vec![answer(stream, hook + 1)]),
        "credit" => Some(vec![v1::PluginEvent {
            stream,
            kind: Some(v1::plugin_event::Kind::Credit(v1::Credit { request_bytes: 5, response_bytes: 0 })),
        }]),
        "end" => None,
        "empty" => Some(vec![v1::PluginEvent { stream, kind: None }]),
        "action" => edited(v1::Answer { action: 77, ..Default::default() }),
        "interest" => edited(v1::Answer { interest: 77, ..Default::default() }),
        "silent" => Some(Vec::new()),
        _ => Some(vec![answer(stream, hook)]),
    }
}
