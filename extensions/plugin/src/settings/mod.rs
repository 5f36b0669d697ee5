//! What configurations say of plugins and of filters that use them.
//!
//! ```text
//!  tables            the keys
//!  of_plugin         those of every plugin, wherever it is named
//!  mod               what a filter's entry says
//!  plugin ▸ files    the plugin it means; where its files lie
//! ```

mod files;
pub(crate) mod of_plugin;
mod plugin;
mod tables;

use std::time::Duration;

use sidegate_api::BuildEnv;
use sidegate_settings::Object;

use crate::spec::{PluginSpec, Purpose};
use crate::streaming::StreamingSettings;

pub(crate) use plugin::{mosn_plugin, plugin_called, plugin_spec};
pub(crate) use tables::{DEMO_PLUGIN, PLUGIN, PLUGIN_FILTER};

/// A filter's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UseSettings {
    pub(crate) timeout: Duration,
    pub(crate) on_error: OnError,
    pub(crate) request: bool,
    pub(crate) response: bool,
    pub(crate) send_body: bool,
    pub(crate) names: NameCase,
    pub(crate) pseudo_headers: bool,
    /// Whether `type` says what a call is about.
    pub(crate) says_type: bool,
    pub(crate) max_in_flight: usize,
    /// `None`: MOSN's call alone.
    pub(crate) streaming: Option<Box<StreamingSettings>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnError {
    Deny,
    Allow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameCase {
    Canonical,
    Lower,
}

/// Everything that one entry says.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) usage: UseSettings,
    /// `None` after something was reported.
    pub(crate) plugin: Option<PluginSpec>,
}

/// What is not the entry's own.
pub(crate) struct Surroundings<'a> {
    pub(crate) env: &'a BuildEnv,
    /// MOSN's `plugin.log_base`.
    pub(crate) log_base: &'a str,
}

impl Settings {
    /// `type: plugin`
    pub(crate) fn plugin(object: &Object<'_>, around: &Surroundings<'_>) -> Settings {
        let duration = |name, default| {
            let setting = object.get(name)?;
            Some((setting.duration()?, setting)).or(default)
        };
        let timeout = match duration("timeout", None) {
            Some((timeout, setting)) if timeout.is_zero() => {
                setting.expected("a duration above zero");
                timeout
            }
            Some((timeout, _)) => timeout,
            None => Duration::from_secs(1),
        };
        let both = object
            .get("direction")
            .and_then(|s| s.choice(&[("request", (true, false)), ("response", (false, true)), ("both", (true, true))]));
        let (request, response) = both.unwrap_or((true, false));
        let usage = UseSettings {
            timeout,
            on_error: object
                .get("on_error")
                .and_then(|s| s.choice(&[("deny", OnError::Deny), ("allow", OnError::Allow)]))
                .unwrap_or(OnError::Deny),
            request,
            response,
            send_body: object.get("send_body").and_then(|s| s.bool()).unwrap_or(false),
            names: object
                .get("header_names")
                .and_then(|s| s.choice(&[("canonical", NameCase::Canonical), ("lower", NameCase::Lower)]))
                .unwrap_or(NameCase::Canonical),
            pseudo_headers: object.get("pseudo_headers").and_then(|s| s.bool()).unwrap_or(true),
            says_type: true,
            max_in_flight: number(object, "max_in_flight", 1024),
            streaming: None,
        };
        let usage = UseSettings { streaming: StreamingSettings::read(object, &usage).map(Box::new), ..usage };
        Settings { usage, plugin: plugin_spec(object, around, Purpose::Streams) }
    }

    /// `type: demo_plugin`
    pub(crate) fn demo_plugin(object: &Object<'_>, around: &Surroundings<'_>) -> Settings {
        let path = object.get("config_path").and_then(|s| s.text());
        let args = path.map(|path| vec!["-c".to_owned(), path.to_owned()]).unwrap_or_default();
        let usage = UseSettings { timeout: Duration::from_secs(1), on_error: OnError::Deny, ..mosn_usage() };
        Settings { usage, plugin: mosn_plugin("checker", args, object, around, Purpose::Streams) }
    }

    /// `type: pluginfilter`
    pub(crate) fn plugin_filter(object: &Object<'_>, around: &Surroundings<'_>) -> Settings {
        let usage = UseSettings { send_body: true, ..mosn_usage() };
        Settings { usage, plugin: mosn_plugin("pluginfilter", Vec::new(), object, around, Purpose::Streams) }
    }
}

/// As MOSN's `pluginfilter`, less the body.
fn mosn_usage() -> UseSettings {
    UseSettings {
        timeout: Duration::from_millis(10),
        on_error: OnError::Allow,
        request: true,
        response: false,
        send_body: false,
        names: NameCase::Canonical,
        pseudo_headers: false,
        says_type: false,
        max_in_flight: 1024,
        streaming: None,
    }
}

pub(crate) fn number(object: &Object<'_>, name: &'static str, default: usize) -> usize {
    object.get(name).and_then(|s| s.integer()).and_then(|n| usize::try_from(n).ok()).unwrap_or(default)
}
