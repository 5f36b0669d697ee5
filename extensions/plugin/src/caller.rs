//! Plugins that others call: whoever has a caller asks by the thread `plugins`
//! as the filter does, and sees of it a trait alone.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use sidegate_api::{
    BuildEnv, Callee, FilterConfigError, Fingerprint, PluginAnswer, PluginCall, PluginCaller, PluginCallers,
    PluginFailure, PluginFailureKind, PluginFields, PluginRefused, PluginRequest, ResumeSlot,
};
use sidegate_settings::{self as settings, Object, Shape, Table, key};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::Instant;

use crate::builder::secret_env;
use crate::call::{Answer, Call, Failure};
use crate::fields::separator;
use crate::host::{Calls, PluginHost};
use crate::plugin::Plugin;
use crate::settings::{Surroundings, number, of_plugin, plugin_called};
use crate::spec::{PluginSpec, Purpose, Source};
use crate::wire::{MapField, RequestWriter};

/// A call that has no end by then is given up by its caller.
const GRACE: Duration = Duration::from_millis(500);

static CALLEE: Table = Table::new(
    "A plugin that a module may call: a program that is started beside the proxy, or one that listens at an address.",
    &[
        key("command", Shape::Name, "", "The program, as in the filter `plugin`."),
        of_plugin::ARGS,
        key("directory", Shape::Name, "the folder of the configuration file", "Its working directory."),
        of_plugin::ENV,
        key("address", Shape::Name, "", "In place of `command`: where a plugin listens that somebody else starts."),
        key("name", Shape::Name, "the name that the module has for it", "For status, metrics and logs."),
        key("timeout", Shape::Duration, "1s", "Bound of a call; a module may ask for less."),
        of_plugin::MAX_PROCS,
        key("max_in_flight", Shape::Integer(1, 100_000), "1024", "Calls of this filter at once; what is more fails."),
        of_plugin::LIMITS,
        key("max_timeouts", Shape::Integer(0, 1_000_000), "30", "Calls without an answer, until it starts again."),
        of_plugin::START_TIMEOUT,
        of_plugin::STOP_TIMEOUT,
        of_plugin::RESTART_BACKOFF,
        of_plugin::RESTART_BACKOFF_MAX,
        of_plugin::COOKIE,
    ],
)
.exactly_one(&["command", "address"]);

/// Makes callers of the plugins that configurations give to modules.
#[derive(Debug)]
pub(crate) struct Callers {
    /// Who runs the plugins; `None` where configurations are only looked at.
    pub(crate) host: Option<PluginHost>,
    pub(crate) log_base: String,
}

/// What one caller may do.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    timeout: Duration,
    max_in_flight: usize,
}

impl Callers {
    fn read(
        &self,
        callee: &Callee<'_>,
        env: &BuildEnv,
    ) -> Result<(Bounds, Option<PluginSpec>), Vec<FilterConfigError>> {
        let around = Surroundings { env, log_base: &self.log_base };
        settings::read(callee.settings, callee.path, &CALLEE, &env.regexes, |object| {
            (bounds(object), plugin_called(Some(callee.name), object, &around, Purpose::Streams))
        })
    }
}

fn bounds(object: &Object<'_>) -> Bounds {
    let timeout = match object.get("timeout").and_then(|setting| Some((setting.duration()?, setting))) {
        Some((timeout, setting)) => {
            if timeout.is_zero() {
                setting.expected("a duration above zero");
            }
            timeout
        }
        None => Duration::from_secs(1),
    };
    Bounds { timeout, max_in_flight: number(object, "max_in_flight", 1024) }
}

impl PluginCallers for Callers {
    fn check(&self, callee: &Callee<'_>, env: &BuildEnv) -> Result<Fingerprint, Vec<FilterConfigError>> {
        let (_, spec) = self.read(callee, env)?;
        Ok(spec.map_or(Fingerprint::SPEC, |spec| spec.fingerprint()))
    }

    fn open(&self, callee: &Callee<'_>, env: &BuildEnv) -> Result<Arc<dyn PluginCaller>, Vec<FilterConfigError>> {
        let (bounds, spec) = self.read(callee, env)?;
        let plugin = match (&self.host, spec) {
            (Some(host), Some(spec)) => Some(host.take(spec, &env.metrics).map_err(|error| {
                vec![FilterConfigError::new(callee.path, error.to_string()).with_kind("plugin_not_up")]
            })?),
            _ => None,
        };
        Ok(Arc::new(Caller { bounds, plugin, in_flight: Arc::default() }))
    }

    fn schema(&self) -> Value {
        secret_env(settings::json_schema(&CALLEE))
    }
}

impl PluginSpec {
    /// What it depends on beside its words.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        match &self.source {
            Source::Program(program) => Fingerprint::of(program.digest).and(program.log_base.as_bytes()),
            Source::Address(_) => Fingerprint::SPEC,
        }
    }
}

struct Caller {
    bounds: Bounds,
    /// `None` where nothing is to be run.
    plugin: Option<(Arc<Plugin>, Calls)>,
    in_flight: Arc<AtomicUsize>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl PluginCaller for Caller {
    fn call(&self, request: &PluginRequest<'_>, waker: Waker) -> Result<Box<dyn PluginCall>, PluginRefused> {
        let (plugin, calls) = self.plugin.as_ref().ok_or(PluginRefused::NotRun)?;
        let most = self.bounds.max_in_flight;
        let taken =
            self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < most).then_some(now + 1));
        if taken.is_err() {
            plugin.shared.metrics.failed(&Failure::TooMany(most));
            return Err(PluginRefused::TooMany);
        }
        let place = Place(self.in_flight.clone());
        let timeout = request.timeout.map_or(self.bounds.timeout, |asked| asked.min(self.bounds.timeout));
        // A wait of its own: whoever calls may wait for several answers.
        let wait = ResumeSlot::new();
        let resume = wait.arm();
        wait.poll_resumed(&Context::from_waker(&waker));
        let (tell, answer) = oneshot::channel();
        let begun = Instant::now();
        calls.send(Call {
            plugin: plugin.shared.clone(),
            request: written(request),
            begun,
            timeout,
            answer: tell,
            resume,
            own: None,
        });
        let deadline = begun.checked_add(timeout.saturating_add(GRACE)).unwrap_or(begun);
        Ok(Box::new(Ongoing { answer: Some(answer), timeout, deadline, _wait: wait, _place: place }))
    }
}

/// A place among the calls in flight.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call that was begun; its drop tells the thread `plugins`.
struct Ongoing {
    /// `None` once its end was taken.
    answer: Option<oneshot::Receiver<Answer>>,
    timeout: Duration,
    deadline: Instant,
    _wait: Arc<ResumeSlot>,
    _place: Place,
}

impl PluginCall for Ongoing {
    fn take(&mut self) -> Option<Result<PluginAnswer, PluginFailure>> {
        let end = match self.answer.as_mut()?.try_recv() {
            Ok(end) => end,
            Err(TryRecvError::Closed) => Err(Failure::Down("it was stopped".into())),
            Err(TryRecvError::Empty) if Instant::now() >= self.deadline => Err(Failure::Timeout(self.timeout)),
            Err(TryRecvError::Empty) => return None,
        };
        self.answer = None;
        Some(match end {
            Ok(response) => Ok(PluginAnswer {
                status: response.status,
                headers: response.header.into_iter().collect(),
                trailers: response.trailer.into_iter().collect(),
                body: response.body,
            }),
            Err(failure) => Err(PluginFailure { kind: kind_of(&failure), message: failure.to_string() }),
        })
    }

    fn deadline(&self) -> std::time::Instant {
        self.deadline.into_std()
    }
}

fn kind_of(failure: &Failure) -> PluginFailureKind {
    match failure {
        Failure::Timeout(_) => PluginFailureKind::Timeout,
        Failure::Down(_) => PluginFailureKind::Down,
        Failure::Disabled => PluginFailureKind::Disabled,
        Failure::Lost => PluginFailureKind::Lost,
        Failure::TooMany(_) | Failure::Behind(_) | Failure::Error(_) | Failure::BadAnswer(_) => {
            PluginFailureKind::Error
        }
    }
}

fn written(request: &PluginRequest<'_>) -> Bytes {
    let room =
        |fields: &PluginFields<'_>| fields.iter().map(|(name, value)| name.len() + value.len() + 16).sum::<usize>();
    let bytes = 16 + request.kind.len() + request.body.len() + room(request.headers) + room(request.trailers);
    let mut writer = RequestWriter::with_capacity(bytes);
    for (map, fields) in [(MapField::Header, request.headers), (MapField::Trailer, request.trailers)] {
        for (at, (name, first)) in fields.iter().enumerate() {
            // The first of a name stands for all of them.
            if fields.iter().take(at).all(|(other, _)| other != name) {
                let mut value = String::from_utf8_lossy(first);
                for (_, more) in fields.iter().skip(at + 1).filter(|(other, _)| other == name) {
                    let value: &mut String = Cow::to_mut(&mut value);
                    value.push_str(separator(name));
                    value.push_str(&String::from_utf8_lossy(more));
                }
                writer.entry(map, name, &value);
            }
        }
    }
    writer.body(request.body);
    writer.kind(request.kind);
    writer.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use prost::Message;
    use sidegate_proto::mosn;

    use super::*;

    #[test]
    fn what_is_asked_is_written_with_one_value_for_each_name() {
        let request = PluginRequest {
            kind: "check",
            headers: &[("a", b"1"), ("cookie", b"x=1"), ("a", b"2"), ("cookie", b"y=2"), ("b", b"\xff")],
            trailers: &[("t", b"")],
            body: b"\0body",
            timeout: None,
        };
        let read = mosn::Request::decode(written(&request)).unwrap();
        let header = |name: &str| read.header.get(name).map(String::as_str);
        assert_eq!((header("a"), header("cookie"), header("b")), (Some("1, 2"), Some("x=1; y=2"), Some("\u{fffd}")));
        assert_eq!((read.header.len(), read.trailer.len(), read.trailer["t"].as_str()), (3, 1, ""));
        assert_eq!((read.r#type.as_str(), read.body.as_slice()), ("check", &b"\0body"[..]));
    }
}
