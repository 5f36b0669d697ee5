//! Where configurations come from: the file that the process was started with.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use sidegate_config::{
    AdminConfig, Config, ConfigDiff, ConfigErrors, ConfigFile, Diagnostic, LoadEnv, LoadMode, MetricsConfig,
    Succession, diff, needs_restart,
};
use sidegate_generic_filter::GenericFilter;
use sidegate_manager::{FileWatch, Finding, ModuleWish, Origin, Refused, Source, WantedListener, Whole, Why};
use sidegate_overload::OverloadConfig;
use sidegate_plugin::PluginHost;
use sidegate_telemetry::{LogConfig, LogRotation, LogSinks, LogTarget};

use crate::compose::{ComposeError, Composed, built_in_filters, compose, filters_with};
use crate::fronts::front_sockets;
use crate::plans::Plans;
use crate::trust;

/// A file, and what is in use of it.
pub(crate) struct FileSource {
    /// As it was named on the command line.
    pub(crate) path: PathBuf,
    /// The number of workers of the command line.
    pub(crate) workers: Option<NonZeroUsize>,
    pub(crate) env: LoadEnv,
    pub(crate) modules: Arc<GenericFilter>,
    pub(crate) plugins: PluginHost,
    pub(crate) sinks: LogSinks,
    /// Told what runs.
    pub(crate) plans: Plans,
    /// Told which files to follow, once it is there.
    pub(crate) watch: Arc<OnceLock<FileWatch>>,
    /// Who follows files of TLS.
    pub(crate) certificates: FollowedCertificates,
    /// What runs.
    pub(crate) running: Made,
    /// What is made and not taken yet.
    pub(crate) next: Option<Made>,
}

/// Who follows files of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FollowedCertificates {
    /// The manager, whatever else is followed.
    Apart,
    /// They are files like others.
    WithTheRest,
}

/// A configuration and what it came to.
pub(crate) struct Made {
    pub(crate) file: Arc<ConfigFile>,
    pub(crate) config: Arc<Config>,
    /// Filters that follow others; until they have taken over.
    pub(crate) successions: Vec<Succession>,
    /// In the order of the configuration's.
    pub(crate) listeners: Vec<WantedListener>,
    /// When reading it began.
    pub(crate) since: SystemTime,
}

/// What was read, and when that began.
#[derive(Clone)]
pub(crate) struct Document {
    file: Arc<ConfigFile>,
    since: SystemTime,
}

/// What is not the workers': what serves beside the listeners, and limits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) admin: Option<AdminConfig>,
    pub(crate) metrics: MetricsConfig,
    pub(crate) log: LogConfig,
    /// How each access log is rotated.
    pub(crate) rotations: Vec<(LogTarget, Option<LogRotation>)>,
    pub(crate) graceful_timeout: Duration,
    pub(crate) drain_delay: Duration,
    pub(crate) overload: OverloadConfig,
    /// As read, without secrets.
    pub(crate) dump: Value,
}

impl Settings {
    pub(crate) fn of(config: &Config) -> Self {
        let logs = config.listeners.iter().flat_map(|listener| &listener.access_logs);
        Settings {
            admin: config.admin.clone(),
            metrics: config.metrics.clone(),
            log: config.log.clone(),
            rotations: logs.filter_map(|log| Some((log.log()?.clone(), log.rotation))).collect(),
            graceful_timeout: config.graceful_timeout,
            drain_delay: config.drain_delay,
            overload: config.overload.clone(),
            dump: config.dump.clone(),
        }
    }
}

impl Document {
    pub(crate) fn new(file: Arc<ConfigFile>, since: SystemTime) -> Self {
        Document { file, since }
    }
}

impl Made {
    /// Everything that makes another configuration once it changes. Files of
    /// TLS that the manager follows make none.
    pub(crate) fn watched(&self, certificates: FollowedCertificates) -> Vec<PathBuf> {
        let config = &self.config;
        let aside = match certificates {
            FollowedCertificates::Apart => config.tls_files(),
            FollowedCertificates::WithTheRest => BTreeSet::new(),
        };
        let all = config.watched.iter().chain(&config.watched_directories).filter(|path| !aside.contains(*path));
        let all: BTreeSet<&PathBuf> = all.collect();
        all.into_iter().cloned().collect()
    }
}

impl FileSource {
    fn follow(&self, paths: Vec<PathBuf>, since: SystemTime) {
        if let Some(watch) = self.watch.get() {
            watch.follow(paths, since);
        }
    }

    /// Refuses another number of workers, before anything is made for them.
    fn check_workers(&self, file: &ConfigFile) -> Result<(), Refused> {
        let wanted = wanted_workers(self.workers, file, self.env.workers);
        if wanted == self.env.workers {
            return Ok(());
        }
        let env = LoadEnv { workers: wanted, ..self.env.clone() };
        let mut registry = built_in_filters();
        registry.modules(self.modules.clone());
        let config = file.resolve(&registry, &env, LoadMode::NoLoad, None).map_err(|errors| refused(&errors))?;
        let restart = needs_restart(&self.running.config, &config);
        Err(Refused::for_reasons(Why::NeedsRestart, restart.iter().map(finding).collect()))
    }

    /// A reload is a new beginning for filters in quarantine, also where their
    /// factories go on.
    fn forgive(&self) {
        for (_, factory) in self.running.config.filters_cache.factories() {
            factory.reloaded();
        }
    }

    /// Names of the modules that filters come from.
    fn modules_in_use(&self) -> BTreeSet<&str> {
        let entries = self.running.config.listeners.iter().flat_map(|listener| &listener.chain);
        entries.filter_map(|entry| Some(&*entry.spec.module.as_ref()?.name)).collect()
    }
}

impl Source for FileSource {
    type Document = Document;
    type Settings = Settings;

    fn read(&mut self, origin: Origin) -> Result<Document, Refused> {
        if self.path == Path::new(ConfigFile::STDIN) {
            let text = "the configuration came from standard input; it cannot be read again";
            return Err(Refused::because(Why::Environment, text));
        }
        let since = SystemTime::now();
        let file = ConfigFile::read(&self.path);
        // What is told of was at rest, and may have been written to since:
        // half a file can be a valid one.
        if origin == Origin::Watch && self.watch.get().is_some_and(|watch| !watch.is_at_rest()) {
            return Err(Refused::because(Why::Superseded, "the files changed while they were read"));
        }
        let file = file.map_err(|errors| refused(&errors))?;
        Ok(Document { file: Arc::new(file), since })
    }

    fn digest(&self, document: &Document) -> [u8; 32] {
        document.file.digest()
    }

    fn make(&mut self, document: &Document, wish: Option<&ModuleWish>) -> Result<Whole<Settings>, Refused> {
        self.next = None;
        let Document { file, since } = document;
        self.check_workers(file)?;
        let trusted = file.module_policy(&self.env.working_dir);
        // Before the code of any module runs.
        if let Some(why) = trust::refusal(&self.running.config.module_policy, &trusted) {
            return Err(Refused::because(Why::NeedsRestart, why));
        }
        let mut registry = filters_with(Some(self.plugins.clone()), file);
        match wish {
            None => registry.modules(self.modules.clone()),
            Some(wish) if !self.modules_in_use().contains(&*wish.module) => {
                let text = format!("no module that is in use is called {:?}", wish.module);
                return Err(Refused::because(Why::NotFound, text));
            }
            Some(wish) => registry.modules(self.modules.wishing(wished(wish))),
        };
        self.modules.set_policy(trust::policy(&trusted));
        let before = &self.running.config.filters_cache;
        let mut config = match file.resolve(&registry, &self.env, LoadMode::Load, Some(before)) {
            Ok(config) => config,
            Err(errors) => {
                // What is wrong may be mended in a file that is not read yet.
                let mut paths = self.running.watched(FollowedCertificates::WithTheRest);
                paths.extend(file.files().iter().cloned());
                self.follow(paths, *since);
                return Err(refused(&errors));
            }
        };
        let running = &self.running;
        let restart = needs_restart(&running.config, &config);
        if !restart.is_empty() {
            return Err(Refused::for_reasons(Why::NeedsRestart, restart.iter().map(finding).collect()));
        }
        let composed = Composed { config: &running.config, listeners: &running.listeners };
        let listeners =
            compose(&config, Some(&composed), &self.env.metrics, &self.sinks).map_err(|error| match error {
                ComposeError::Config(errors) => refused(&errors),
                other => Refused::because(Why::Environment, other.to_string()),
            })?;
        let settings = Settings::of(&config);
        let same = |(one, other): (&WantedListener, &WantedListener)| {
            Arc::ptr_eq(&one.spec, &other.spec) && one.net == other.net
        };
        let is_same = listeners.len() == running.listeners.len()
            && listeners.iter().zip(&running.listeners).all(same)
            && config.clusters == running.config.clusters
            && settings == Settings::of(&running.config);
        let differs = diff(&running.config, &config);
        let whole = Whole {
            listeners: listeners.clone(),
            clusters: config.clusters.clone(),
            fronts: front_sockets(&settings),
            graceful_timeout: config.graceful_timeout,
            changes: differs.to_json(),
            summary: summary(&differs, wish),
            warnings: config.warnings.iter().map(|warning| warning.to_json()).collect(),
            is_same,
            settings,
        };
        let successions = std::mem::take(&mut config.successions);
        self.next = Some(Made { file: file.clone(), config: Arc::new(config), successions, listeners, since: *since });
        Ok(whole)
    }

    fn hand_over(&mut self) {
        let Some(next) = &self.next else { return };
        for succession in &next.successions {
            let (listener, filter) = (&*succession.place.listener, &*succession.place.filter);
            match succession.factory.inherit(&succession.predecessor) {
                Ok(sidegate_api::Inherited::Nothing) => {}
                Ok(sidegate_api::Inherited::State { bytes }) => {
                    tracing::info!(listener, filter, bytes, "filter has taken over what the one before knew");
                }
                Err(error) => {
                    tracing::warn!(listener, filter, kind = error.kind(), %error, "filter begins with nothing");
                }
            }
        }
    }

    fn taken(&mut self) {
        let Some(next) = self.next.take() else { return };
        self.follow(next.watched(self.certificates), next.since);
        self.plans.set_running(Some(next.config.clone()));
        // The factories of the configuration before go.
        self.running = Made { successions: Vec::new(), ..next };
        self.modules.in_use(&self.modules_in_use());
        self.forgive();
    }

    fn unchanged(&mut self) {
        self.given_up();
        self.forgive();
    }

    fn given_up(&mut self) {
        self.next = None;
        self.modules.set_policy(trust::policy(&self.running.config.module_policy));
    }
}

/// What differs, as one line that is not too long.
fn summary(differs: &ConfigDiff, wish: Option<&ModuleWish>) -> String {
    const MAX_LINES: usize = 20;
    if let Some(wish) = wish {
        return format!("module {} anew", wish.module);
    }
    let text = differs.to_string();
    let mut lines: Vec<&str> = text.lines().take(MAX_LINES).collect();
    if text.lines().count() > MAX_LINES {
        lines.push("…");
    }
    lines.join(", ")
}

fn wished(wish: &ModuleWish) -> sidegate_generic_filter::Wish {
    use sidegate_generic_filter::{What, Wish};
    Wish { module: wish.module.clone(), what: wish.sha256.map_or(What::Fresh, What::Former) }
}

/// Without a number there are as many as there were cores at the start.
pub(crate) fn wanted_workers(given: Option<NonZeroUsize>, file: &ConfigFile, running: usize) -> usize {
    given.or_else(|| file.workers()).map_or(running, NonZeroUsize::get)
}

fn finding(found: &Diagnostic) -> Finding {
    Finding { text: found.to_string(), json: found.to_json() }
}

/// As `check` says it.
pub(crate) fn refused(errors: &ConfigErrors) -> Refused {
    const HUNG: &str = "module-control-hung";
    let hung = !errors.errors.is_empty() && errors.errors.iter().all(|error| error.kind == HUNG);
    Refused {
        why: if hung { Why::Hung } else { Why::Configuration },
        errors: errors.errors.iter().map(finding).collect(),
        errors_omitted: errors.errors_omitted,
        warnings: errors.warnings.iter().map(|warning| warning.to_json()).collect(),
        warnings_omitted: errors.warnings_omitted,
    }
}
