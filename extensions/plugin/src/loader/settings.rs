//! `extend_verify` of a TLS context of the type `loader`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use sidegate_api::{BuildEnv, CertificateBuilder, CertificateProvider, FilterConfigError};
use sidegate_settings::{self as settings, Object, Shape, Table, json_schema, key};

use super::due::Refresh;
use super::provider::Loader;
use crate::host::PluginHost;
use crate::settings::{Surroundings, mosn_plugin, of_plugin, plugin_spec};
use crate::spec::{BackoffSpec, Carriers, PluginSpec, Purpose, Source};

static LOADER: Table = Table::new(
    "Certificate, key and CAs from a plugin. Without `command` and `address` it is the program `loader` beside the \
     proxy's own, as in MOSN.",
    &[
        key("command", Shape::Name, "`loader` beside the proxy's own", "The program, as in the filter `plugin`."),
        of_plugin::ARGS,
        key("directory", Shape::Name, "the folder of the configuration file", "Its working directory."),
        of_plugin::ENV,
        key("address", Shape::Name, "", "In place of `command`: where a plugin listens, `unix:/path`."),
        key("allow_tcp", Shape::Bool, "false", "Whether keys may come over TCP, on this machine alone."),
        key("name", Shape::Name, "the program's file name, or the address", "For status, metrics and logs."),
        key("timeout", Shape::Duration, "5s", "Bound of a call."),
        key("refresh_interval", Shape::Duration, "1h", "Time from one question to the next; `0s`: none."),
        key("refresh_before", Shape::Duration, "a third of its life", "Asked so long before the certificate expires."),
        key("retry_backoff", Shape::Duration, "1s", "Pause after a question that failed; doubles each time."),
        key("retry_backoff_max", Shape::Duration, "1m", "The longest such pause."),
        of_plugin::MAX_PROCS,
        of_plugin::LIMITS,
        key("max_timeouts", Shape::Integer(0, 1_000_000), "30", "Calls without an answer that make it one that hangs."),
        of_plugin::START_TIMEOUT,
        of_plugin::STOP_TIMEOUT,
        of_plugin::RESTART_BACKOFF,
        of_plugin::RESTART_BACKOFF_MAX,
        of_plugin::COOKIE,
    ],
)
.at_most_one(&["command", "address"]);

/// What is said of a plugin that is named.
const OF_PLUGIN: [&str; 12] = [
    "args",
    "directory",
    "env",
    "name",
    "max_procs",
    "limits",
    "max_timeouts",
    "start_timeout",
    "stop_timeout",
    "restart_backoff",
    "restart_backoff_max",
    "cookie",
];

/// What a context says of its loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoaderSettings {
    pub(super) plugin: PluginSpec,
    pub(super) timeout: Duration,
    pub(super) refresh: Refresh,
    pub(super) retry: BackoffSpec,
}

impl LoaderSettings {
    /// `None` after something was reported.
    fn read(object: &Object<'_>, around: &Surroundings<'_>) -> Option<LoaderSettings> {
        let time = |name| object.get(name).and_then(|setting| Some((setting.duration()?, setting)));
        let positive = |name, default| match time(name) {
            Some((value, setting)) if value.is_zero() => {
                setting.expected("a duration above zero");
                value
            }
            Some((value, _)) => value,
            None => default,
        };
        let carriers = match object.get("allow_tcp").and_then(|setting| setting.bool()) {
            Some(true) => Carriers::Any,
            None | Some(false) => Carriers::Unix,
        };
        let purpose = Purpose::Keys(carriers);
        let retry = BackoffSpec {
            first: positive("retry_backoff", Duration::from_secs(1)),
            most: positive("retry_backoff_max", Duration::from_secs(60)),
        };
        let refresh = Refresh {
            interval: time("refresh_interval").map_or(Duration::from_secs(3600), |(value, _)| value),
            before: time("refresh_before").map(|(value, _)| value),
        };
        let timeout = positive("timeout", Duration::from_secs(5));
        let plugin = match (object.get("command"), object.get("address")) {
            (None, None) => {
                for of_program in OF_PLUGIN {
                    if let Some(setting) = object.get(of_program) {
                        setting.error("means nothing without `command`: the program `loader` is run as MOSN runs it");
                    }
                }
                mosn_plugin("loader", Vec::new(), object, around, purpose)
            }
            _ => plugin_spec(object, around, purpose),
        }?;
        if let (Source::Address(address), Some(setting)) = (&plugin.source, object.get("address"))
            && !purpose.allows(address)
        {
            setting.error("keys come over a Unix socket; `allow_tcp` lets them come over TCP");
            return None;
        }
        Some(LoaderSettings { plugin, timeout, refresh, retry })
    }

    pub(super) fn warning(&self) -> Option<&'static str> {
        (self.plugin.purpose == Purpose::Keys(Carriers::Any)).then_some(
            "`allow_tcp`: private keys may come over TCP, where any user of this machine can be at the other end; \
             expected a Unix socket",
        )
    }
}

/// Makes loaders.
pub(crate) struct LoaderBuilder {
    pub(crate) host: Option<PluginHost>,
    /// Whose loaders are taken where there is no `host`.
    pub(crate) beside: Option<PluginHost>,
    pub(crate) log_base: String,
}

impl CertificateBuilder for LoaderBuilder {
    fn provider(
        &self,
        value: &Value,
        env: &BuildEnv,
    ) -> Result<Option<Arc<dyn CertificateProvider>>, Vec<FilterConfigError>> {
        let around = Surroundings { env, log_base: &self.log_base };
        let read = settings::read(value, "", &LOADER, &env.regexes, |object| LoaderSettings::read(object, &around))?;
        if let (Some(beside), Some(read)) = (&self.beside, &read) {
            return Ok(beside
                .known_loader(|known| known.is_of(read))
                .map(|known| known as Arc<dyn CertificateProvider>));
        }
        let (Some(host), Some(read)) = (&self.host, read) else { return Ok(None) };
        let loader = host.loader(
            |known| known.is_of(&read) && !known.has_failed(),
            || Loader::new(read.clone(), host.clone(), env.metrics.clone()),
        );
        // One that failed is not asked again for the next context.
        let kept: Arc<Kept> = env.reads.once("certificate loaders", Kept::default);
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let loader = match kept.iter().find(|known| known.is_of(&read)) {
            Some(known) => known.clone(),
            None => {
                kept.push(loader.clone());
                loader
            }
        };
        Ok(Some(loader))
    }

    fn unasked(&self) -> Option<&str> {
        self.beside.as_ref().map(|_| {
            "no plugin that runs brings these certificates, and none is started to compare: TLS is left out of what differs \
             here"
        })
    }

    fn schema(&self) -> Value {
        let mut schema = json_schema(&LOADER);
        // The environment is where secrets are.
        if let Some(Value::Object(env)) = schema.pointer_mut("/properties/env/additionalProperties") {
            env.insert("writeOnly".to_owned(), json!(true));
        }
        schema
    }
}

/// Loaders of one configuration.
type Kept = Mutex<Vec<Arc<Loader>>>;
