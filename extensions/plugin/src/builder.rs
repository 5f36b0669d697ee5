//! From configurations to filters.

use std::sync::Arc;

use serde_json::{Value, json};
use sidegate_api::{
    BuildEnv, FilterConfigError, FilterSpec, Fingerprint, Registry, StreamFilterBuilder, StreamFilterFactory,
};
use sidegate_settings::{self as settings, Object, Table, json_schema};

use crate::access_log::LogBuilder;
use crate::caller::Callers;
use crate::filter::{Factory, Use};
use crate::host::PluginHost;
use crate::loader::LoaderBuilder;
use crate::settings::{DEMO_PLUGIN, PLUGIN, PLUGIN_FILTER, Settings, Surroundings};
use crate::streaming::StreamingFactory;

/// What filters with plugins need of the process.
#[derive(Debug, Clone, Default)]
pub struct Plugins {
    /// Who runs the plugins; `None` where configurations are only looked at.
    pub host: Option<PluginHost>,
    /// Whose certificates such a configuration may have: those that are there.
    pub beside: Option<PluginHost>,
    /// Folder for the logs of plugins that are made for MOSN; `None`: its
    /// default.
    pub log_base: Option<String>,
}

/// Registers the filter `plugin`, those of MOSN's examples, what brings
/// certificates, what takes access logs, and who makes callers of plugins for
/// modules.
pub fn register(registry: &mut Registry, plugins: &Plugins) {
    let log_base = match plugins.log_base.as_deref() {
        None | Some("") => "logs/".to_owned(),
        Some(base) if base.ends_with('/') => base.to_owned(),
        Some(base) => format!("{base}/"),
    };
    let loaders =
        LoaderBuilder { host: plugins.host.clone(), beside: plugins.beside.clone(), log_base: log_base.clone() };
    let builder =
        |table, read: Reader| Arc::new(Builder { table, read, host: plugins.host.clone(), log_base: log_base.clone() });
    registry
        .stream_filter("plugin", builder(&PLUGIN, Settings::plugin))
        .stream_filter("demo_plugin", builder(&DEMO_PLUGIN, Settings::demo_plugin))
        .certificates("loader", Arc::new(loaders))
        .access_logs(Arc::new(LogBuilder { host: plugins.host.clone(), log_base: log_base.clone() }))
        .stream_filter("pluginfilter", builder(&PLUGIN_FILTER, Settings::plugin_filter))
        .plugins(Arc::new(Callers { host: plugins.host.clone(), log_base: log_base.clone() }));
}

/// Marks the environment, which is where secrets are.
pub(crate) fn secret_env(mut schema: Value) -> Value {
    if let Some(Value::Object(env)) = schema.pointer_mut("/properties/env/additionalProperties") {
        env.insert("writeOnly".to_owned(), json!(true));
    }
    schema
}

type Reader = fn(&Object<'_>, &Surroundings<'_>) -> Settings;

struct Builder {
    table: &'static Table,
    read: Reader,
    host: Option<PluginHost>,
    log_base: String,
}

impl Builder {
    fn settings(&self, spec: &FilterSpec, env: &BuildEnv) -> Result<Settings, Vec<FilterConfigError>> {
        let around = Surroundings { env, log_base: &self.log_base };
        settings::read(&spec.config, "config", self.table, &env.regexes, |object| (self.read)(object, &around))
    }
}

impl StreamFilterBuilder for Builder {
    fn check(&self, spec: &FilterSpec, env: &BuildEnv) -> Result<(), Vec<FilterConfigError>> {
        self.settings(spec, env).map(drop)
    }

    fn schema(&self) -> Value {
        secret_env(json_schema(self.table))
    }

    fn fingerprint(&self, spec: &FilterSpec, env: &BuildEnv) -> Fingerprint {
        // What cannot be read is for the check to say.
        let read = self.settings(spec, env).ok().and_then(|settings| settings.plugin);
        read.map_or(Fingerprint::SPEC, |plugin| plugin.fingerprint())
    }

    fn build(&self, spec: &FilterSpec, env: &BuildEnv) -> Result<Arc<dyn StreamFilterFactory>, Vec<FilterConfigError>> {
        let Settings { usage, plugin } = self.settings(spec, env)?;
        let plugin = match (&self.host, plugin) {
            (Some(host), Some(plugin)) => {
                let taken = host.take(plugin, &env.metrics);
                let (plugin, _) = taken.map_err(|error| {
                    vec![FilterConfigError::new("config", error.to_string()).with_kind("plugin_not_up")]
                })?;
                Some(plugin)
            }
            _ => None,
        };
        let is_streaming = usage.streaming.is_some();
        let usage = Use::new(usage, plugin, env.workers);
        Ok(match is_streaming {
            true => Arc::new(StreamingFactory::new(usage, env.workers)),
            false => Arc::new(Factory(usage)),
        })
    }
}
