//! From a document to typed configurations: strict, and with every error
//! reported at once.

mod access_log;
mod address;
mod admin;
mod chains;
mod cluster;
mod cluster_choice;
mod cluster_health;
mod cluster_hosts;
mod cluster_lb;
mod compat;
mod filters;
mod forward;
mod header_case;
mod header_ops;
mod http2;
mod known;
mod listener;
mod log_file;
mod metadata;
mod metrics;
mod module_directory;
mod module_policy;
mod modules;
mod mosn_filters;
mod names;
mod overload;
mod proxy_filter;
mod route;
mod route_match;
mod route_policy;
mod router;
mod router_shape;
mod server;
mod shadowed;
mod spoken;
mod stream_filter;
mod tls;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{BuildEnv, HeaderCase, Http2Settings, Registry, Spoken};
use sidegate_net::ListenerConfig;
use sidegate_overload::OverloadConfig;
use sidegate_proxy::{
    FilterEntry, Forwarding, Http1Limits, ProxyConfig, RouteConfigs, TargetBytes, Timeouts, UpgradeProtocol,
};
use sidegate_router::RouteTable;
use sidegate_telemetry::{LogConfig, LogError, LogSinks};
use sidegate_tls::ListenerTls;
use sidegate_upstream::{ClusterConfig, Resolver};

pub use access_log::{AccessLogConfig, AccessLogTarget, PluginLog};
pub use admin::AdminConfig;
pub(crate) use admin::admin_address;
pub use metrics::{MetricsConfig, MetricsSink};
pub use module_directory::KnownModule;
pub(crate) use module_directory::{known_modules, module_directories};
pub(crate) use module_policy::policy;
pub use module_policy::{Loosened, ModuleAllowance, ModulePolicy, SignatureRule};
pub(crate) use mosn_filters::GONE as FILTERS_GONE;
pub use router_shape::{RouteShape, RouterShape, VirtualHostShape};
pub(crate) use server::processor;
pub use tls::ContextMaker;

use crate::diagnostic::{ConfigErrors, Diagnostic, Finding, Report};
use crate::document::Node;
use crate::include::Files;
use crate::reader::{Cursor, ObjectReader};
use crate::reuse::{FilterCache, FilterIdentity, Succession};
use crate::schema;
pub(crate) use chains::Chains;
use compat::Compat;
pub(crate) use known::{Known, ReadParts};
use listener::{ListenerNames, ReadListener};
use module_directory::{ModuleDirectory, directories};
use modules::Modules;
use router::Router;
use server::Server;

/// A configuration without errors.
#[derive(Debug)]
pub struct Config {
    /// `processor`; `None`: as many as there are cores.
    pub workers: Option<NonZeroUsize>,
    /// The process log.
    pub log: LogConfig,
    /// How long streams may take to finish once the process is told to end.
    pub graceful_timeout: Duration,
    /// How long it goes on serving before that, no longer ready.
    pub drain_delay: Duration,
    /// In configured order.
    pub listeners: Vec<Listener>,
    /// In configured order.
    pub clusters: Vec<ClusterConfig>,
    /// By name.
    pub routers: Vec<Arc<RouteTable>>,
    /// What they say, by name.
    pub router_shapes: Vec<RouterShape>,
    /// The admin listener; `None`: there is none.
    pub admin: Option<AdminConfig>,
    /// What is shown of statistics, and where beside the admin interface.
    pub metrics: MetricsConfig,
    /// What the process may use.
    pub overload: OverloadConfig,
    /// What was worth a warning, in file order.
    pub warnings: Vec<Diagnostic>,
    /// How many more there were.
    pub warnings_omitted: usize,
    /// The file as it was read, without secrets.
    pub dump: serde_json::Value,
    /// Number of workers that filters are made for.
    pub built_for: usize,
    /// What the next configuration may take over.
    pub filters_cache: FilterCache,
    /// Filters that were made in the place of others.
    pub successions: Vec<Succession>,
    /// Files that a change of would make another configuration, sorted: those
    /// it was read from, those that filters read, and modules with `watch`.
    pub watched: Vec<PathBuf>,
    /// Directories whose files make it another one, by being there or not.
    pub watched_directories: Vec<PathBuf>,
    /// Modules in `modules.directories`, whether or not a filter comes from
    /// them.
    pub known_modules: Vec<KnownModule>,
    /// `modules.allow`, for who checks modules.
    pub module_policy: ModulePolicy,
    /// Where things are said that are found out later to be wrong.
    pub(crate) places: Places,
}

/// Diagnostics that say nothing yet.
#[derive(Debug)]
pub(crate) struct Places {
    pub workers: Diagnostic,
}

impl Config {
    /// MOSN's default for `graceful_timeout`.
    pub const GRACEFUL_TIMEOUT: Duration = Duration::from_secs(30);

    /// Files that contexts of TLS were made of.
    pub fn tls_files(&self) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        for tls in self.listeners.iter().filter_map(|listener| listener.tls.as_ref()) {
            let contexts = tls.contexts.get();
            let of_listener = contexts.contexts().iter().flat_map(|context| context.settings().files());
            files.extend(of_listener.map(PathBuf::from));
        }
        for context in self.clusters.iter().filter_map(|cluster| cluster.tls.as_ref()) {
            files.extend(context.settings().files().map(PathBuf::from));
        }
        files
    }
}

/// One listener and what its streams use.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub net: ListenerConfig,
    /// The router that `router_config_name` names.
    pub routes: Arc<RouteTable>,
    /// The filter chain; empty with [`LoadMode::NoLoad`].
    pub filters: Vec<FilterEntry>,
    /// What the filters made of the router's `per_filter_config`, by their
    /// place in the chain.
    pub route_configs: Vec<RouteConfigs>,
    /// What its entries say, with [`LoadMode::NoLoad`] too.
    pub chain: Vec<Arc<FilterIdentity>>,
    /// Not opened yet, if they are files.
    pub access_logs: Vec<AccessLogConfig>,
    /// What clients speak.
    pub downstream: Spoken,
    /// Settings of HTTP/2 connections.
    pub http2: Http2Settings,
    /// Bounds on what a client may send.
    pub limits: Http1Limits,
    /// How long each part may take.
    pub timeouts: Timeouts,
    /// Headers that tell the upstream of the client.
    pub forwarding: Forwarding,
    /// Protocols that a client may switch its connection to.
    pub upgrades: Vec<UpgradeProtocol>,
    /// How names of fields are written for clients.
    pub header_case: HeaderCase,
    /// Which bytes a target may have.
    pub target_bytes: TargetBytes,
    /// TLS towards clients; `None`: clear text.
    pub tls: Option<ListenerTls>,
}

/// A listener whose streams could be served.
#[derive(Debug)]
pub struct OpenListener {
    /// The socket.
    pub net: ListenerConfig,
    /// What its streams use, but for routes.
    pub proxy: Arc<ProxyConfig>,
    /// Where its requests go.
    pub routes: Arc<RouteTable>,
    /// What the filters made for routes, by their place in the chain.
    pub route_configs: Vec<RouteConfigs>,
}

impl Listener {
    /// Opens the access logs: the one thing a check must not do.
    pub fn open(&self, sinks: &LogSinks) -> Result<OpenListener, LogError> {
        let opened = self.access_logs.iter().filter_map(|log| log.open(sinks).transpose());
        let proxy = ProxyConfig {
            listener: self.net.name.clone(),
            idle_timeout: self.net.idle_timeout,
            filters: self.filters.clone(),
            access_logs: opened.collect::<Result<_, LogError>>()?,
            downstream: self.downstream,
            http2: self.http2,
            limits: self.limits,
            timeouts: self.timeouts,
            forwarding: self.forwarding,
            upgrades: self.upgrades.clone(),
            header_case: self.header_case,
            target_bytes: self.target_bytes,
            tls: self.tls.clone(),
        };
        Ok(OpenListener {
            net: self.net.clone(),
            proxy: Arc::new(proxy),
            routes: self.routes.clone(),
            route_configs: self.route_configs.clone(),
        })
    }
}

/// Whether filters are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadMode {
    /// Modules are loaded and factories built.
    Load,
    /// Filters are checked as far as that goes without running foreign code.
    NoLoad,
}

pub(crate) fn resolve(root: &Node, files: Files, chains: Chains<'_>) -> Result<Config, ConfigErrors> {
    let (registry, env) = (chains.registry, chains.env);
    let path = files.first().cloned().unwrap_or_default();
    let report = Report::of(files).with_regexes(env.regexes.clone());
    for duplicate in root.duplicates() {
        let first = report.name_place(duplicate.first);
        let finding = crate::diagnostic::Finding::said(
            crate::diagnostic::kind::DUPLICATE_KEY,
            format!("key stands twice; the first is at {first}"),
        );
        report.error(Some(duplicate.position), &duplicate.path, finding);
    }
    let resolved = read_all(Cursor::root(root, &report, &schema::DOCUMENT), chains);
    let warnings = report.finish()?;
    let mut dump = root.to_json();
    crate::dump::redact_all(&mut dump, registry);
    match resolved {
        Some(config) => Ok(Config {
            warnings: warnings.shown,
            warnings_omitted: warnings.omitted,
            dump,
            watched: env.reads.watched(),
            ..config
        }),
        // Whatever gives nothing has reported an error; this says so if not.
        None => Err(ConfigErrors::unexplained(Path::new(&*path))),
    }
}

/// `None` only after errors were reported.
pub(crate) fn read_all(root: Cursor<'_>, mut chains: Chains<'_>) -> Option<Config> {
    let (registry, env) = (chains.registry, chains.env);
    let report = root.report();
    let mut top = root.object(&schema::TOP)?;
    let known = Known::new(chains.before.map(FilterCache::read_parts));
    let mut names = names::Names::default();
    let mut taken = ListenerNames::default();
    let mut modules = Modules::new(env);
    let errors_before = report.error_count();
    let (module_policy, directories) = module_section(&mut top, env);
    let trust = if report.error_count() == errors_before { filters::Trust::Known } else { filters::Trust::Mistaken };
    // What was meant by a mistake may have been not to run some module's code.
    let trusts = !report.has_errors();
    plugin_section(&mut top);
    for directory in &directories {
        modules.add_directory(directory);
        check_directory(directory, registry);
    }
    let compat = top.get("compat").and_then(|cursor| compat::compat(&cursor)).unwrap_or_default();
    let materials = tls::Materials::new(env, chains.cache.contexts().clone(), registry);
    let mut clusters = match top.get("cluster_manager") {
        Some(manager) => cluster::clusters(&manager, &mut names, &known, &materials),
        None => Vec::new(),
    };
    clusters.iter_mut().for_each(|cluster| resolve_paths(cluster, env));
    let server = server::server(&mut top, &names, &known, &mut taken, &mut modules, compat, &materials);
    let admin = top.get("admin").map(|cursor| admin::admin(&cursor));
    if let Some(Some((admin, at))) = &admin {
        taken.check_address(at, &admin.address);
    }
    let metrics = top.get("metrics").map(|cursor| metrics::metrics(&cursor, &mut taken));
    let overload = top.get("overload").map(|cursor| overload::overload(&cursor));
    top.finish();
    let server = server?;
    let good = check_references(&server, registry, env, trust);
    if report.has_errors() {
        if chains.mode == LoadMode::Load && trusts {
            let unnamed = Arc::from("");
            for (read, good) in server.listeners.iter().zip(good) {
                let name = read.net.as_ref().map_or(&unnamed, |net| &net.name);
                chains.try_chain(&read.filters, &good, name);
            }
        }
        return None;
    }
    let Server { workers, workers_at, log, graceful_timeout, drain_delay, routers, listeners } = server;
    let listeners = listeners.into_iter().map(|read| {
        let (_, name) = read.proxy.as_ref()?.router.as_ref()?;
        let router = routers.by_name.get(name)?;
        finish_listener(read, router, compat, &mut chains)
    });
    // All of them, even after one failed: each reports its own errors.
    let listeners: Vec<Option<Listener>> = listeners.collect();
    chains.cache.keep_parts(known.into_parts());
    Some(Config {
        workers,
        log,
        graceful_timeout,
        drain_delay,
        listeners: listeners.into_iter().collect::<Option<_>>()?,
        clusters,
        routers: routers.by_name.values().map(|router| router.table.clone()).collect(),
        router_shapes: routers.by_name.into_values().map(|router| router.shape).collect(),
        admin: match admin {
            Some(admin) => Some(admin?.0),
            None => None,
        },
        metrics: match metrics {
            Some(metrics) => metrics?,
            None => MetricsConfig::default(),
        },
        overload: overload.flatten().unwrap_or_default(),
        warnings: Vec::new(),
        warnings_omitted: 0,
        dump: serde_json::Value::Null,
        built_for: env.workers,
        filters_cache: chains.cache,
        successions: chains.successions,
        watched: Vec::new(),
        watched_directories: directories.into_iter().map(|directory| directory.path).collect(),
        known_modules: modules.into_known(),
        module_policy,
        places: Places { workers: workers_at },
    })
}

/// The section `plugin`, whose value was needed earlier, by who starts plugins.
fn plugin_section(top: &mut ObjectReader<'_>) {
    if let Some(mut object) = top.get("plugin").and_then(|cursor| cursor.object(&schema::PLUGIN)) {
        object.get("log_base").and_then(|cursor| cursor.string());
        object.finish();
    }
}

/// The section `modules`.
fn module_section<'a>(top: &mut ObjectReader<'a>, env: &BuildEnv) -> (ModulePolicy, Vec<ModuleDirectory<'a>>) {
    let Some(mut object) = top.get("modules").and_then(|cursor| cursor.object(&schema::MODULES)) else {
        return (ModulePolicy::default(), Vec::new());
    };
    // The policy was needed earlier, by who checks modules.
    let directories = directories(&mut object, &env.search_dirs);
    let paths: Vec<_> = directories.iter().map(|directory| directory.path.clone()).collect();
    let policy = policy(&mut object, &env.search_dirs, &paths);
    object.finish();
    (policy, directories)
}

/// Reports what is wrong with a directory that modules are to come from.
fn check_directory(directory: &ModuleDirectory<'_>, registry: &Registry) {
    if let Some(Err(problem)) = registry.module_builder().map(|builder| builder.check_directory(&directory.path)) {
        directory.at.error(Finding::said(problem.kind, problem.message));
    }
}

/// Paths of a cluster lead where those of modules and logs would.
fn resolve_paths(cluster: &mut ClusterConfig, env: &BuildEnv) {
    if let Some(log) = cluster.health_check.as_mut().and_then(|check| check.event_log.as_mut()) {
        *log = env.resolve(Path::new(&**log)).display().to_string().into();
    }
    if let Some(Resolver::File { path, .. }) = cluster.dns.as_mut().map(|dns| &mut dns.resolver) {
        *path = env.resolve(path);
    }
}

/// What can be checked only once everything is read. Says of each listener's
/// filters whether nothing is wrong with them so far.
fn check_references(server: &Server<'_>, registry: &Registry, env: &BuildEnv, trust: filters::Trust) -> Vec<Vec<bool>> {
    let mut good = Vec::new();
    // What a check compiles is dropped, and compiled again for good.
    let trial = BuildEnv { regexes: env.regexes.trial(), ..env.clone() };
    for read in &server.listeners {
        if let Some((cursor, name)) = read.proxy.as_ref().and_then(|p| p.router.as_ref()) {
            server.routers.names.check(cursor, "router", name);
        }
        filters::warn_of_namesakes(&read.filters);
        good.push(read.filters.iter().map(|filter| filters::check(filter, registry, &trial, trust)).collect());
    }
    for (name, router) in &server.routers.by_name {
        let users = server.listeners.iter().filter(|read| {
            let used = read.proxy.as_ref().and_then(|p| p.router.as_ref());
            used.is_some_and(|(_, used)| used == name)
        });
        let users: Vec<_> = users.collect();
        if !users.is_empty() {
            let filters = users.iter().flat_map(|read| &read.filters);
            let names: Vec<&str> = filters.map(|filter| filter.spec.name.as_str()).collect();
            filters::check_per_filter(router, &names);
        }
    }
    good
}

fn finish_listener(
    read: ReadListener<'_>,
    router: &Router<'_>,
    compat: Compat,
    chains: &mut Chains<'_>,
) -> Option<Listener> {
    let ReadListener { net, proxy, filters, access_logs, tls } = read;
    let (net, proxy) = (net?, proxy?);
    let chain = chains.chain(filters, &net.name, router);
    let access_logs = match chains.mode {
        LoadMode::Load => access_log::begin(access_logs, &net.name, chains.registry, chains.env),
        LoadMode::NoLoad => Some(access_logs.into_iter().map(|(log, _)| log).collect()),
    };
    let (chain, access_logs) = (chain?, access_logs?);
    Some(Listener {
        net,
        routes: router.table.clone(),
        filters: chain.entries,
        route_configs: chain.route_configs,
        chain: chain.identities,
        access_logs,
        downstream: proxy.downstream,
        http2: proxy.http2,
        limits: proxy.limits,
        timeouts: proxy.timeouts,
        forwarding: proxy.forwarding,
        upgrades: proxy.upgrades,
        tls,
        header_case: proxy.header_case,
        target_bytes: proxy.target_bytes.unwrap_or(compat.target_bytes()),
    })
}
