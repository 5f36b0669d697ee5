//! Putting the parts together: the registry of filters, and from a
//! configuration what workers serve.

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use sidegate_api::{MetricError, Metrics, Registry, TlsMeters};
use sidegate_config::{Config, ConfigErrors, ConfigFile, Listener, LoadEnv, LoadMode, OpenListener, RouterShape};
use sidegate_generic_filter::GenericFilter;
use sidegate_manager::WantedListener;
use sidegate_net::ListenerId;
use sidegate_plugin::{PluginHost, Plugins};
use sidegate_proxy::{FilterEntry, ListenerSpec, RouteSet, Update};
use sidegate_router::{RouteId, RouteTable};
use sidegate_telemetry::{DownstreamStats, LogError, LogSinks, RouteBudget, RouteStats};
use sidegate_tls::KeyLog;
use sidegate_upstream::{Cluster, ClusterConfig, ClusterError, HostRegistry};

use crate::against::AgainstError;
use crate::trust::policy;

/// A configuration cannot be turned into something that runs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComposeError {
    #[error("{0}")]
    Config(ConfigErrors),
    #[error("cannot start the module-control thread: {0}")]
    ModuleControl(io::Error),
    #[error("cannot read the configuration on a thread of its own: {0}")]
    Loader(io::Error),
    #[error("cannot tell the working directory: {0}")]
    WorkingDir(io::Error),
    #[error(transparent)]
    Against(#[from] AgainstError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Metric(#[from] MetricError),
}

/// What a configuration file came to.
pub(crate) struct Loaded {
    /// As it was read.
    pub(crate) file: ConfigFile,
    /// When reading it began.
    pub(crate) since: SystemTime,
    /// What it was made for.
    pub(crate) env: LoadEnv,
    pub(crate) config: Config,
    pub(crate) workers: usize,
    pub(crate) metrics: Metrics,
    pub(crate) modules: Arc<GenericFilter>,
}

/// Reads, checks and, with [`LoadMode::Load`], builds filters.
///
/// Plugins are run by `plugins`; without it none is.
///
/// What loads modules is put into `keep` before any is loaded: whoever has the
/// last hold of it waits for their destructors.
pub(crate) fn load(
    path: &Path,
    workers: Option<NonZeroUsize>,
    mode: LoadMode,
    key_log: Option<Arc<dyn KeyLog>>,
    keep: &OnceLock<Arc<GenericFilter>>,
    plugins: Option<PluginHost>,
) -> Result<Loaded, ComposeError> {
    let since = SystemTime::now();
    let file = ConfigFile::read(path).map_err(ComposeError::Config)?;
    let workers = workers.or_else(|| file.workers()).map_or_else(cores, NonZeroUsize::get);
    let metrics = Metrics::new(workers);
    let working_dir = std::env::current_dir().map_err(ComposeError::WorkingDir)?;
    let policy = policy(&file.module_policy(&working_dir));
    let modules = Arc::new(GenericFilter::new(policy).map_err(ComposeError::ModuleControl)?);
    // Filled once per start.
    let _ = keep.set(modules.clone());
    let mut registry = filters_with(plugins, &file);
    registry.modules(modules.clone());
    let env = LoadEnv { metrics: metrics.clone(), workers, working_dir, key_log };
    let config = file.resolve(&registry, &env, mode, None).map_err(ComposeError::Config)?;
    Ok(Loaded { file, since, env, config, workers, metrics, modules })
}

/// The filters of this build, without those of modules; none of them runs a
/// plugin.
pub(crate) fn built_in_filters() -> Registry {
    filters(&Plugins::default())
}

/// The same for `file`, with plugins that `host` runs.
pub(crate) fn filters_with(host: Option<PluginHost>, file: &ConfigFile) -> Registry {
    filters(&Plugins { host, beside: None, log_base: file.plugin_log_base() })
}

/// The same where `file` is compared with what runs with the plugins of `host`:
/// none is started, and what those have brought is taken.
pub(crate) fn filters_beside(host: PluginHost, file: &ConfigFile) -> Registry {
    filters(&Plugins { host: None, beside: Some(host), log_base: file.plugin_log_base() })
}

fn filters(plugins: &Plugins) -> Registry {
    let mut registry = Registry::new();
    sidegate_filters::register(&mut registry);
    sidegate_plugin::register(&mut registry, plugins);
    registry
}

/// Opens the access logs of listeners and defines their series. What is as it
/// was `before` stays the same object, so that workers keep what they have for
/// it.
pub(crate) fn compose(
    config: &Config,
    before: Option<&Composed<'_>>,
    metrics: &Metrics,
    sinks: &LogSinks,
) -> Result<Vec<WantedListener>, ComposeError> {
    let mut budget = RouteBudget::default();
    let former = |listener: &Listener| {
        let before = before?;
        let at = before.config.listeners.iter().position(|known| known.net.name == listener.net.name)?;
        Some((before.config, before.config.listeners.get(at)?, before.listeners.get(at)?))
    };
    let same_routes = |listener: &Listener, config_before: &Config, known: &Listener| {
        same_filters(listener, known) && router_shape(config, listener) == router_shape(config_before, known)
    };
    // First those that stay: they have their series already.
    for listener in &config.listeners {
        if let Some((config_before, known, wanted)) = former(listener)
            && same_routes(listener, config_before, known)
        {
            budget.charge(&wanted.spec.routes.stats);
        }
    }
    let wanted = config.listeners.iter().map(|listener| {
        let former = former(listener);
        let kept_routes = former
            .filter(|(config_before, known, _)| same_routes(listener, config_before, known))
            .map(|(_, _, wanted)| wanted.spec.routes.clone());
        let kept = former.filter(|(_, known, _)| same_settings(listener, known)).map(|(_, _, wanted)| wanted);
        if let (Some(kept), Some(routes)) = (kept, &kept_routes)
            && Arc::ptr_eq(&kept.spec.routes, routes)
        {
            return Ok(WantedListener { net: Arc::new(listener.net.clone()), spec: kept.spec.clone() });
        }
        let OpenListener { net, proxy, routes, route_configs } = listener.open(sinks)?;
        let routes = match kept_routes {
            Some(routes) => routes,
            None => {
                let stats = RouteStats::new(metrics, &net.name, names(&routes), &mut budget)?;
                Arc::new(RouteSet { table: routes, route_configs, stats })
            }
        };
        let mut stats = DownstreamStats::new(metrics, &net.name)?;
        let tls_before = former.and_then(|(_, _, wanted)| wanted.spec.stats.tls.clone());
        stats.tls = match (&listener.tls, tls_before) {
            (None, _) => None,
            (Some(_), Some(before)) => Some(before),
            (Some(_), None) => Some(TlsMeters::of_listener(metrics, &net.name)?),
        };
        let spec = ListenerSpec { config: kept.map_or(proxy, |kept| kept.spec.config.clone()), stats, routes };
        Ok(WantedListener { net: Arc::new(net), spec: Arc::new(spec) })
    });
    wanted.collect()
}

/// A configuration, and what it came to, listener by listener.
pub(crate) struct Composed<'a> {
    pub(crate) config: &'a Config,
    pub(crate) listeners: &'a [WantedListener],
}

/// Whether streams find the same settings and filters.
fn same_settings(one: &Listener, other: &Listener) -> bool {
    same_filters(one, other) && same_words(one, other)
}

/// Whether they say the same, routes and addresses aside.
pub(crate) fn same_words(one: &Listener, other: &Listener) -> bool {
    one.chain == other.chain
        && one.net.idle_timeout == other.net.idle_timeout
        && one.access_logs == other.access_logs
        && one.downstream == other.downstream
        && one.http2 == other.http2
        && one.limits == other.limits
        && one.timeouts == other.timeouts
        && one.forwarding == other.forwarding
        && one.upgrades == other.upgrades
        && one.header_case == other.header_case
        && one.tls == other.tls
        && one.target_bytes == other.target_bytes
}

/// Whether the chains are made of the same factories, and faults do the same.
fn same_filters(one: &Listener, other: &Listener) -> bool {
    let same = |(one, other): (&FilterEntry, &FilterEntry)| {
        Arc::ptr_eq(&one.factory, &other.factory) && one.name == other.name && one.on_fault == other.on_fault
    };
    one.filters.len() == other.filters.len() && one.filters.iter().zip(&other.filters).all(same)
}

fn router_shape<'a>(config: &'a Config, listener: &Listener) -> Option<&'a RouterShape> {
    let at = config.routers.iter().position(|router| Arc::ptr_eq(router, &listener.routes))?;
    config.router_shapes.get(at)
}

/// The change that begins everything.
pub(crate) fn first_update(clusters: &[Arc<Cluster>], listeners: &[(ListenerId, WantedListener)]) -> Update {
    let of_cluster = |cluster: &Arc<Cluster>| Update::Cluster(cluster.name().clone(), Some(cluster.clone()));
    let of_listener = |(id, wanted): &(ListenerId, WantedListener)| Update::Listener(*id, Some(wanted.spec.clone()));
    Update::Batch(clusters.iter().map(of_cluster).chain(listeners.iter().map(of_listener)).collect())
}

/// Clusters with what is known of their hosts.
pub(crate) fn clusters(configs: Vec<ClusterConfig>, hosts: &HostRegistry) -> Result<Vec<Arc<Cluster>>, ClusterError> {
    configs.into_iter().map(|config| Cluster::new(config, hosts).map(Arc::new)).collect()
}

/// Virtual host and route by the route's number, as access logs name them.
fn names(table: &RouteTable) -> impl Iterator<Item = (&str, &str)> {
    (0..).map_while(|number| {
        let matched = table.matched(RouteId(number))?;
        Some((&**matched.virtual_host().name(), &**matched.route().name()))
    })
}

/// Cores this process may use: the smaller of affinity mask and cgroup quota.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
