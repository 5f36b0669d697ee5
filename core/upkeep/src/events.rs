//! Where changes of health are told: the process log, and a file if one is
//! configured.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::json;
use sidegate_telemetry::{LogSink, LogSinks, LogTarget, write_rfc3339};
use sidegate_upstream::{Health, Host};

use crate::probe::Failure;

/// The events of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    cluster: Arc<str>,
    service: Arc<str>,
    file: Option<LogSink>,
}

impl Events {
    /// `path` is the configured file. If it cannot be opened that is an error
    /// in the process log: checks matter more than their log.
    pub(crate) fn new(cluster: Arc<str>, service: Arc<str>, path: Option<&str>, sinks: &LogSinks) -> Self {
        let file = path.and_then(|path| {
            let opened = sinks.open(&LogTarget::parse(path), None);
            opened.inspect_err(|error| tracing::error!(%error, "no event log of health checks")).ok()
        });
        Events { cluster, service, file }
    }

    /// `host` was found to be `health`, which it was not before.
    pub(crate) fn changed(&self, host: &Host, health: Health, why: Option<&Failure>) {
        let (cluster, address) = (&*self.cluster, host.text().as_str());
        match why {
            Some(why) => tracing::warn!(cluster, host = address, %why, "host is unhealthy"),
            None => tracing::info!(cluster, host = address, "host is healthy"),
        }
        let Some(file) = &self.file else { return };
        let mut time = Vec::new();
        write_rfc3339(&mut time, SystemTime::now());
        let event = json!({
            "time": String::from_utf8_lossy(&time),
            "cluster": cluster,
            "service": &*self.service,
            "host": address,
            "healthy": health == Health::Healthy,
            "reason": why.map(ToString::to_string),
        });
        file.push(|line| line.extend_from_slice(format!("{event}\n").as_bytes()));
    }
}
