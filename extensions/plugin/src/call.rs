//! One call of a plugin.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sidegate_api::ResumeHandle;
use sidegate_proto::mosn;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::connection::CallError;
use crate::link::Link;
use crate::own::Own;
use crate::plugin::Shared;

/// A call on its way.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) plugin: Arc<Shared>,
    pub(crate) request: Bytes,
    pub(crate) begun: Instant,
    pub(crate) timeout: Duration,
    /// Whoever waits; gone once the stream has ended.
    pub(crate) answer: oneshot::Sender<Answer>,
    pub(crate) resume: ResumeHandle,
    /// The connection of the thread that makes it; `None`: the plugin's first.
    pub(crate) own: Option<Arc<Own>>,
}

/// What comes back to the stream.
pub(crate) type Answer = Result<mosn::Response, Failure>;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no answer in {0:?}")]
    Timeout(Duration),
    #[error("the plugin does not run: {0}")]
    Down(Arc<str>),
    #[error("the plugin is disabled")]
    Disabled,
    #[error("{0} calls are in flight already")]
    TooMany(usize),
    #[error("{0} bytes wait already for the plugin to read them")]
    Behind(usize),
    #[error("the plugin's connection ended in the call")]
    Lost,
    #[error("the plugin answered with an error: {0}")]
    Error(String),
    #[error("the plugin's answer cannot be applied: {0}")]
    BadAnswer(String),
}

impl Failure {
    /// Labels of metrics.
    pub(crate) const REASONS: [&'static str; 7] =
        ["timeout", "down", "disabled", "too_many", "lost", "error", "bad_answer"];

    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Failure::Timeout(_) => "timeout",
            Failure::Down(_) => "down",
            Failure::Disabled => "disabled",
            Failure::TooMany(_) | Failure::Behind(_) => "too_many",
            Failure::Lost => "lost",
            Failure::Error(_) => "error",
            Failure::BadAnswer(_) => "bad_answer",
        }
    }
}

impl Call {
    /// Makes the call and wakes the stream. Given up as soon as the stream is
    /// gone, and the plugin is told.
    pub(crate) async fn run(self) {
        let Call { plugin, request, begun, timeout, mut answer, resume, own } = self;
        plugin.metrics.in_flight.add(1);
        let made = tokio::select! {
            biased;
            () = answer.closed() => None,
            made = make_over(&plugin, own.as_deref(), request, begun + timeout, timeout) => Some(made),
        };
        plugin.metrics.in_flight.add(-1);
        match made {
            // The stream counts what it does not wait for any longer.
            None => plugin.metrics.cancelled.inc(),
            Some(made) => {
                match &made {
                    Ok(_) => plugin.metrics.succeeded(begun.elapsed()),
                    Err(failure) => plugin.metrics.failed(failure),
                }
                if answer.send(made).is_ok() {
                    resume.resume();
                }
            }
        }
    }
}

/// A call over the plugin's first connection.
pub(crate) async fn make(plugin: &Shared, request: Bytes, deadline: Instant, timeout: Duration) -> Answer {
    make_over(plugin, None, request, deadline, timeout).await
}

/// A call that the plugin has not seen is made again with the next connection,
/// for as long as there is time.
async fn make_over(
    plugin: &Shared,
    mut own: Option<&Own>,
    request: Bytes,
    deadline: Instant,
    timeout: Duration,
) -> Answer {
    let timed_out = || Failure::Timeout(timeout);
    let mut links = plugin.links();
    loop {
        let link = links.borrow_and_update().clone();
        match link {
            Link::Up(first) if !first.is_closed() => {
                let left = deadline.saturating_duration_since(Instant::now());
                let call = async {
                    let connection = match own {
                        Some(own) => own.beside(&first).await,
                        None => first.clone(),
                    };
                    connection.call(request.clone(), left).await
                };
                let called = timeout_at(deadline, call).await;
                let called = called.map_err(|_| {
                    plugin.unanswered(timeout);
                    timed_out()
                });
                match called? {
                    Ok(response) => {
                        plugin.answered();
                        return Ok(response);
                    }
                    // The first tells whether that is the plugin's end.
                    Err(CallError::NotSent) if own.is_some() => {
                        own = None;
                        continue;
                    }
                    Err(CallError::NotSent) if links.has_changed().unwrap_or(false) => continue,
                    Err(CallError::NotSent) => {}
                    Err(CallError::Lost) => return Err(Failure::Lost),
                    // Its own deadline is ours.
                    Err(CallError::Answered(status)) if status.code() == tonic::Code::DeadlineExceeded => {
                        plugin.unanswered(timeout);
                        return Err(timed_out());
                    }
                    Err(CallError::Answered(status)) => {
                        plugin.answered();
                        return Err(Failure::Error(format!("{:?}: {}", status.code(), shown(status.message()))));
                    }
                }
            }
            // Its end is noticed at once.
            Link::Up(_) | Link::Starting => {}
            Link::Down { until, .. } if until <= deadline => {}
            Link::Down { why, .. } => return Err(Failure::Down(why)),
            Link::Disabled => return Err(Failure::Disabled),
            Link::Stopped => return Err(Failure::Down("it was stopped".into())),
        }
        match timeout_at(deadline, links.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(Failure::Down("it was stopped".into())),
            Err(_) => return Err(timed_out()),
        }
    }
}

/// What somebody else wrote, fit for a log.
pub(crate) fn shown(text: &str) -> String {
    const SHOWN: usize = 200;
    text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
