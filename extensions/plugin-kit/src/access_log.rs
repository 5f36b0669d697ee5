//! Programs that take access logs.

use std::process::ExitCode;
use std::sync::Arc;

use sidegate_proto::v1::access_log_server::AccessLog;
use sidegate_proto::v1::{Configure, WriteRequest, WriteResponse};
use tonic::{Request, Response, Status, async_trait};

use crate::{Plugin, Use, serve};

/// Takes access logs.
///
/// ```no_run
/// use sidegate_plugin_kit::{LogError, LogSink, WriteRequest, async_trait, serve_log_sink};
///
/// struct Printed;
///
/// #[async_trait]
/// impl LogSink for Printed {
///     async fn write(&self, batch: WriteRequest) -> Result<(), LogError> {
///         for line in &batch.lines {
///             eprintln!("[INFO] {}: {}", batch.log, String::from_utf8_lossy(line));
///         }
///         Ok(())
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     serve_log_sink(Printed)
/// }
/// ```
#[async_trait]
pub trait LogSink: Send + Sync + 'static {
    /// Takes a batch. The host sends the next one of the log once this one is
    /// taken, and may send it again if that takes longer than its timeout.
    async fn write(&self, batch: WriteRequest) -> Result<(), LogError>;
}

/// A batch is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogError {
    /// It may be later: the host sends it again.
    NotNow(String),
    /// It never will: the host counts its lines as lost.
    Never(String),
}

/// Serves a program that takes access logs and does nothing else, as
/// [`serve`](crate::serve) does. One that has filters too says so in its
/// [`Plugin::log_sink`].
pub fn serve_log_sink(sink: impl LogSink) -> ExitCode {
    serve(Alone(Arc::new(sink)))
}

struct Alone(Arc<dyn LogSink>);

impl Plugin for Alone {
    fn configure(&self, _: &Configure) -> Result<Box<dyn Use>, String> {
        Err("it takes access logs, and has no filter".to_owned())
    }

    fn log_sink(&self) -> Option<Arc<dyn LogSink>> {
        Some(self.0.clone())
    }
}

/// The service.
pub(crate) struct Logs(pub(crate) Option<Arc<dyn LogSink>>);

#[async_trait]
impl AccessLog for Logs {
    async fn write(&self, request: Request<WriteRequest>) -> Result<Response<WriteResponse>, Status> {
        let Some(sink) = &self.0 else { return Err(Status::unimplemented("it takes no access logs")) };
        match sink.write(request.into_inner()).await {
            Ok(()) => Ok(Response::new(WriteResponse {})),
            Err(LogError::NotNow(why)) => Err(Status::unavailable(why)),
            Err(LogError::Never(why)) => Err(Status::invalid_argument(why)),
        }
    }
}
