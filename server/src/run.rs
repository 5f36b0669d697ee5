//! `sidegate run`: from a configuration file to a process that serves, and
//! back down again.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sidegate_admin::{AdminAccess, AdminServer, AdminToken, MetricsPage, MetricsServer, RunState, SocketMode};
use sidegate_api::Address;
use sidegate_config::{Config, LoadMode, MetricsSink};
use sidegate_net::{AcceptHandle, BoundListener, ListenerIds, RunPhase, Workers, bind, start_accepting};
use sidegate_overload::{Machine, Manager, Overload};
use sidegate_proxy::ProxyService;
use sidegate_telemetry::{LogSinks, Logging};
use sidegate_upstream::HostRegistry;
use sidegate_watch::{HELD_UP, end_now};
use tokio::sync::watch;

use crate::admin_source::Process;
use crate::check::report;
use crate::cli::RunArgs;
use crate::compose::{Loaded, Served, compose};
use crate::control::{Control, find_hosts, obey};
use crate::ending::{Ending, LAST_PATIENCE, in_modules, modules_settled, name_who_is_left};
use crate::errands::ModuleErrands;
use crate::signals::{Order, Signals};
use crate::start::{Start, end_before_serving};
use crate::{complain, ready};

/// How long the last log lines may take to be written.
const LOG_PATIENCE: Duration = Duration::from_secs(2);

type Failure = Box<dyn std::fmt::Display>;

/// How a process that served came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All of its threads let it.
    Whole,
    /// A worker or a module held it up until the time was over.
    HeldUp,
}

/// What signals other than those to end act on.
struct Logs<'a> {
    logging: &'a Logging,
    sinks: &'a LogSinks,
}

impl Logs<'_> {
    fn obey(&self, order: Order) {
        obey(order, self.logging, self.sinks);
    }
}

pub(crate) fn run(args: &RunArgs, start: &mut Start) -> ExitCode {
    let loaded = match start.load(&args.config, args.workers, LoadMode::Load) {
        Ok(loaded) => loaded,
        Err(error) => {
            report(&error);
            start.settle(Config::GRACEFUL_TIMEOUT);
            return ExitCode::FAILURE;
        }
    };
    raise_descriptor_limit();
    let patience = loaded.config.graceful_timeout;
    let logging = match Logging::start(loaded.config.log.clone(), &loaded.metrics) {
        Ok(logging) => logging,
        Err(error) => {
            complain(&error);
            return ExitCode::FAILURE;
        }
    };
    let sinks = LogSinks::new(loaded.metrics.clone());
    let result = serve(args, loaded, start, &Logs { logging: &logging, sinks: &sinks });
    if let Err(failure) = &result {
        complain(failure);
        start.settle(patience);
    }
    sinks.flush(LOG_PATIENCE);
    logging.shutdown();
    match result {
        Ok(End::HeldUp) => end_now(HELD_UP),
        Ok(End::Whole) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Binds everything, serves until told to end, and drains.
fn serve(args: &RunArgs, loaded: Loaded, start: &mut Start, logs: &Logs<'_>) -> Result<End, Failure> {
    let Loaded { config, workers: count, metrics, modules, .. } = loaded;
    let Start { runtime: control, signals, watchdog, hangs, .. } = start;
    let Config {
        graceful_timeout,
        drain_delay,
        listeners,
        mut clusters,
        admin,
        metrics: shown,
        overload: limits,
        warnings,
        warnings_omitted,
        dump,
        filters_cache,
        ..
    } = config;
    // It holds factories, which are to go with the last stream that uses them.
    drop(filters_cache);
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    if warnings_omitted > 0 {
        tracing::warn!("and {warnings_omitted} more warnings of the configuration");
    }
    hangs.count_in(&metrics, count).map_err(|e| Box::new(e) as Failure)?;
    let _entered = control.enter();
    control.block_on(async {
        tokio::select! {
            () = find_hosts(&mut clusters) => {}
            () = signals.end() => end_before_serving(),
        }
    });
    let hosts = HostRegistry::new(metrics.clone());
    let Served { listeners, clusters, update } =
        compose(listeners, clusters, &metrics, logs.sinks, &hosts, &mut ListenerIds::default())
            .map_err(|e| Box::new(e) as Failure)?;
    let mut bound = Vec::with_capacity(listeners.len());
    for (id, listener) in listeners {
        bound.push(bind(id, listener, count).map_err(|e| Box::new(e) as Failure)?);
    }
    let token = match admin.as_ref().and_then(|a| a.token.as_deref()).map(AdminToken::new) {
        Some(token) => Some(token.map_err(|e| Box::new(e) as Failure)?),
        None => None,
    };
    let access = AdminAccess { token, hosts: admin.as_ref().map_or_else(Vec::new, |admin| admin.hosts.clone()) };
    let admin = match &admin {
        Some(admin) => {
            let mode = admin.socket_mode.map_or_else(SocketMode::default, SocketMode);
            Some(AdminServer::bind(&admin.address, mode).map_err(|e| Box::new(e) as Failure)?)
        }
        None => None,
    };
    let pages = bind_pages(shown.sinks)?;
    let overload = Overload::new(&limits, &Machine::detect(), count, &metrics).map_err(|e| Box::new(e) as Failure)?;
    let workers = Workers::<ProxyService>::start(count, &metrics, &update, &overload, sidegate_memory::give_back)
        .map_err(|e| Box::new(e) as Failure)?;
    modules.serve_with(Arc::new(ModuleErrands(workers.errands())));
    let _manager = Manager::start(&overload, limits.actions).map_err(failed("start the overload manager"))?;
    let mut relief = workers.relief();
    let _relieving = watchdog.relieve_by(move || relief.relieve());
    let mut serving = Control::new(clusters.clone(), hosts, metrics.clone(), logs.sinks.clone());
    let (logging, sinks) = (logs.logging.clone(), logs.sinks.clone());
    let process = Arc::new(Process::new(dump, metrics, shown.matcher, modules.clone(), logging, sinks));
    process.set_clusters(clusters);
    drop(update);
    let addresses = addresses(&bound);
    let admin_address = admin.as_ref().map(|admin| admin.local_address().clone());
    let accepting = start_accepting(bound, &workers).map_err(failed("start accepting"))?;
    process.set_listeners(addresses.iter().map(|(name, at)| (name.clone(), Some(at.to_string()))).collect());
    process.set_state(RunState::Running);
    for (name, address) in &addresses {
        tracing::info!(listener = &**name, %address, "listening");
    }
    if let Some(address) = &admin_address {
        tracing::info!(%address, "admin");
    }
    tracing::info!(version = sidegate_api::VERSION, workers = count, pid = std::process::id(), "running");
    let page_addresses: Vec<Address> = pages.iter().map(|(server, _)| server.local_address().clone()).collect();
    for address in &page_addresses {
        tracing::info!(%address, "metrics");
    }
    let (stop_admin, stopped) = watch::channel(false);
    let pages: Vec<_> =
        pages.into_iter().map(|page| control.spawn(run_page(page, process.clone(), stopped.clone()))).collect();
    let admin = control.spawn(run_admin(admin, process.clone(), access, stopped));
    if let Some(path) = &args.ready_file {
        ready::write(path, &addresses, admin_address.as_ref(), &page_addresses)
            .map_err(|e| Box::new(format!("cannot write {}: {e}", path.display())) as Failure)?;
    }
    let end = control.block_on(async {
        serving.until_end(&workers, &process, signals, logs.logging, logs.sinks).await;
        let mut ending = Ending::begin(drain_delay.saturating_add(LAST_PATIENCE));
        // Held until they are written: the last that uses them may go before.
        let written = logs.sinks.sinks();
        process.set_state(RunState::Draining);
        if !drain_delay.is_zero() {
            // Load balancers notice that it is not ready any more.
            tracing::info!(?drain_delay, "still serving");
            let delay = serving.upkeep_for(drain_delay, &workers, &process);
            ending.within(signals, |order| logs.obey(order), delay).await;
        }
        ending.extend_to(graceful_timeout);
        tracing::info!(patience = ?graceful_timeout, "draining");
        process.listeners_closed();
        let drained = drain(workers, accepting, &mut ending, signals, logs).await;
        process.set_state(RunState::Stopping);
        // Workers are gone: what modules made is destroyed before the process
        // ends.
        drop(serving);
        let settled = ending.within(signals, |order| logs.obey(order), modules_settled(modules)).await;
        if settled.is_none() {
            name_who_is_left(&in_modules());
        }
        stop_admin.send_replace(true);
        let closed = ending.within(signals, |order| logs.obey(order), async {
            if admin.await.is_err() {
                tracing::error!("the admin interface ended by a panic");
            }
            for page in pages {
                if page.await.is_err() {
                    tracing::error!("a page of metrics ended by a panic");
                }
            }
        });
        // Slow clients of the admin interface do not make an end a bad one.
        let _ = closed.await;
        logs.sinks.flush(LOG_PATIENCE);
        drop(written);
        if settled.is_some() { drained } else { End::HeldUp }
    });
    match end {
        End::Whole => tracing::info!("ended"),
        End::HeldUp => tracing::error!(code = HELD_UP, "ended although not everything let go"),
    }
    Ok(end)
}

async fn run_admin(
    admin: Option<AdminServer>,
    process: Arc<Process>,
    access: AdminAccess,
    mut stopped: watch::Receiver<bool>,
) {
    let Some(admin) = admin else { return };
    let shutdown = async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    if let Err(error) = admin.run(process, access, shutdown).await {
        tracing::error!(%error, "the admin interface ended");
    }
}

type BoundPage = (MetricsServer, MetricsPage);

fn bind_pages(sinks: Vec<MetricsSink>) -> Result<Vec<BoundPage>, Failure> {
    let bind = |sink: MetricsSink| {
        let server = MetricsServer::bind(&sink.address).map_err(|e| Box::new(e) as Failure)?;
        Ok((server, MetricsPage { endpoint: sink.endpoint, options: sink.options }))
    };
    sinks.into_iter().map(bind).collect()
}

async fn run_page((server, page): BoundPage, process: Arc<Process>, mut stopped: watch::Receiver<bool>) {
    let shutdown = async move {
        let _ = stopped.wait_for(|stop| *stop).await;
    };
    if let Err(error) = server.run(process, page, shutdown).await {
        tracing::error!(%error, "a page of metrics ended");
    }
}

/// Lets streams finish for as long as there is time; then they are cut.
async fn drain(
    mut workers: Workers<ProxyService>,
    accepting: AcceptHandle,
    ending: &mut Ending,
    signals: &mut Signals,
    logs: &Logs<'_>,
) -> End {
    // Joins the accept thread, which only has to empty the queues.
    accepting.stop();
    workers.set_phase(RunPhase::Draining);
    if !ending.is_hurried() && ending.within(signals, |order| logs.obey(order), workers.ended()).await.is_some() {
        return End::Whole;
    }
    tracing::warn!(connections = ?workers.connections(), "streams are cut");
    workers.set_phase(RunPhase::Stopping);
    let left = ending.within(signals, |order| logs.obey(order), workers.ended_or_stuck()).await;
    let left = left.unwrap_or_else(|| workers.left());
    name_who_is_left(&left);
    if left.is_empty() { End::Whole } else { End::HeldUp }
}

fn addresses(bound: &[BoundListener]) -> Vec<(String, Address)> {
    bound.iter().map(|b| (b.config.name.to_string(), b.address.clone())).collect()
}

fn failed(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Box::new(format!("cannot {what}: {error}"))
}

/// Each stream takes two descriptors; the soft limit is often 1024.
fn raise_descriptor_limit() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    // Without it the process still serves, only fewer connections.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
}
