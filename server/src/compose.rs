//! Putting the parts together: the registry of filters, and from a
//! configuration what workers serve.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sidegate_api::{MetricError, Metrics, Registry};
use sidegate_config::{Config, ConfigErrors, ConfigFile, Listener, LoadEnv, LoadMode, ModuleAllowance, OpenListener};
use sidegate_generic_filter::{GenericFilter, Policy, Rule};
use sidegate_net::{ListenerConfig, ListenerId, ListenerIds};
use sidegate_proxy::{ListenerSpec, RouteSet, Update};
use sidegate_router::{RouteId, RouteTable};
use sidegate_telemetry::{DownstreamStats, LogError, LogSinks, RouteBudget, RouteStats};
use sidegate_upstream::{Cluster, ClusterConfig, ClusterError, HostRegistry};

use crate::against::AgainstError;

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
    /// The file's name, for people.
    pub(crate) path: PathBuf,
    pub(crate) config: Config,
    pub(crate) workers: usize,
    pub(crate) metrics: Metrics,
    pub(crate) modules: Arc<GenericFilter>,
}

/// Reads, checks and, with [`LoadMode::Load`], builds filters.
///
/// What loads modules is put into `keep` before any is loaded: whoever has the
/// last hold of it waits for their destructors.
pub(crate) fn load(
    path: &Path,
    workers: Option<NonZeroUsize>,
    mode: LoadMode,
    keep: &OnceLock<Arc<GenericFilter>>,
) -> Result<Loaded, ComposeError> {
    let file = ConfigFile::read(path).map_err(ComposeError::Config)?;
    let workers = workers.or_else(|| file.workers()).map_or_else(cores, NonZeroUsize::get);
    let metrics = Metrics::new(workers);
    let modules = Arc::new(GenericFilter::new(policy(&file.module_allowances())).map_err(ComposeError::ModuleControl)?);
    // Filled once per start.
    let _ = keep.set(modules.clone());
    let mut registry = built_in_filters();
    registry.modules(modules.clone());
    let working_dir = std::env::current_dir().map_err(ComposeError::WorkingDir)?;
    let env = LoadEnv { metrics: metrics.clone(), workers, working_dir };
    let config = file.resolve(&registry, &env, mode, None).map_err(ComposeError::Config)?;
    Ok(Loaded { path: file.path().to_path_buf(), config, workers, metrics, modules })
}

/// The filters of this build, without those of modules.
pub(crate) fn built_in_filters() -> Registry {
    let mut registry = Registry::new();
    sidegate_filters::register(&mut registry);
    registry
}

/// What a configuration comes to for those who serve it.
pub(crate) struct Served {
    /// The listeners to bind.
    pub(crate) listeners: Vec<(ListenerId, Arc<ListenerConfig>)>,
    pub(crate) clusters: Vec<Arc<Cluster>>,
    /// All of it, for workers.
    pub(crate) update: Arc<Update>,
}

/// Opens access logs and makes clusters.
pub(crate) fn compose(
    listeners: Vec<Listener>,
    clusters: Vec<ClusterConfig>,
    metrics: &Metrics,
    sinks: &LogSinks,
    hosts: &HostRegistry,
    ids: &mut ListenerIds,
) -> Result<Served, ComposeError> {
    let mut bound = Vec::with_capacity(listeners.len());
    let clusters = clusters.into_iter().map(|cluster| Cluster::new(cluster, hosts).map(Arc::new));
    let clusters = clusters.collect::<Result<Vec<_>, ClusterError>>()?;
    let of_cluster = |cluster: &Arc<Cluster>| Update::Cluster(cluster.name().clone(), Some(cluster.clone()));
    let mut updates: Vec<Update> = clusters.iter().map(of_cluster).collect();
    let mut budget = RouteBudget::default();
    for listener in listeners {
        let OpenListener { net, proxy, routes, route_configs } = listener.open(sinks)?;
        let of_routes = RouteStats::new(metrics, &net.name, names(&routes), &mut budget)?;
        let routes = Arc::new(RouteSet { table: routes, route_configs, stats: of_routes });
        let stats = DownstreamStats::new(metrics, &net.name)?;
        let id = ids.next_id();
        updates.push(Update::Listener(id, Some(Arc::new(ListenerSpec { config: proxy, stats, routes }))));
        bound.push((id, Arc::new(net)));
    }
    Ok(Served { listeners: bound, clusters, update: Arc::new(Update::Batch(updates)) })
}

/// What modules are permitted.
pub(crate) fn policy(allowances: &[ModuleAllowance]) -> Policy {
    let mut policy = Policy::default();
    for allowance in allowances {
        let rule = match allowance {
            ModuleAllowance::ExecutableStack => &mut policy.executable_stack,
            ModuleAllowance::ForeignLibraries => &mut policy.foreign_libraries,
            ModuleAllowance::OverlappingSegments => &mut policy.overlapping_segments,
            ModuleAllowance::PanicAbort => &mut policy.panic_abort,
            ModuleAllowance::RunPath => &mut policy.run_path,
            ModuleAllowance::TextRelocations => &mut policy.text_relocations,
            ModuleAllowance::WritableCode => &mut policy.writable_code,
            ModuleAllowance::WritableDirectory => &mut policy.writable_directory,
        };
        *rule = Rule::Permit;
    }
    policy
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
