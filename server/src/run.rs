//! `sidegate run`: from a configuration file to a process that serves, and
//! back down again.

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sidegate_admin::{AdminAccess, AdminServer, AdminToken, MetricsPage, MetricsServer, RunState, SocketMode};
use sidegate_api::Address;
use sidegate_config::{Config, LoadMode, MetricsSink};
use sidegate_net::{AcceptHandle, BoundListener, RunPhase, Workers, bind, start_accepting};
use sidegate_proxy::ProxyService;
use sidegate_telemetry::{LogSinks, Logging};
use sidegate_upstream::HostRegistry;
use tokio::sync::watch;

use crate::admin_source::Process;
use crate::check::report;
use crate::cli::RunArgs;
use crate::compose::{Loaded, load, snapshot};
use crate::control::{Control, find_hosts, obey};
use crate::signals::{Order, Signals};
use crate::{complain, ready};

/// How long the last log lines may take to be written.
const LOG_PATIENCE: Duration = Duration::from_secs(2);

type Failure = Box<dyn std::fmt::Display>;

pub(crate) fn run(args: &RunArgs) -> ExitCode {
    let loaded = match load(&args.config, args.workers, LoadMode::Load) {
        Ok(loaded) => loaded,
        Err(error) => {
            report(&error);
            return ExitCode::FAILURE;
        }
    };
    raise_descriptor_limit();
    let logging = match Logging::start(loaded.config.log.clone(), &loaded.metrics) {
        Ok(logging) => logging,
        Err(error) => {
            complain(&error);
            return ExitCode::FAILURE;
        }
    };
    let sinks = LogSinks::new(loaded.metrics.clone());
    let result = serve(args, loaded, &logging, &sinks);
    sinks.flush(LOG_PATIENCE);
    if let Err(failure) = &result {
        complain(failure);
    }
    logging.shutdown();
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Binds everything, serves until told to end, and drains.
fn serve(args: &RunArgs, loaded: Loaded, logging: &Logging, sinks: &LogSinks) -> Result<(), Failure> {
    let Loaded { config, workers: count, metrics, modules } = loaded;
    let Config { graceful_timeout, listeners, mut clusters, admin, metrics: shown, warnings, dump, .. } = config;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let control = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed("start"))?;
    let _entered = control.enter();
    let mut signals = Signals::listen().map_err(failed("listen to signals"))?;
    control.block_on(find_hosts(&mut clusters));
    let hosts = HostRegistry::new(metrics.clone());
    let (configs, snapshot) =
        snapshot(listeners, clusters, &metrics, sinks, &hosts).map_err(|e| Box::new(e) as Failure)?;
    let mut bound = Vec::with_capacity(configs.len());
    for listener in configs {
        bound.push(bind(listener, count).map_err(|e| Box::new(e) as Failure)?);
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
    let workers = Workers::<ProxyService>::start(count, &metrics, &snapshot, sidegate_memory::give_back)
        .map_err(|e| Box::new(e) as Failure)?;
    let mut serving = Control::new(snapshot.clone(), hosts, metrics.clone(), sinks.clone());
    let process = Arc::new(Process::new(dump, metrics, shown.matcher, modules, logging.clone(), sinks.clone()));
    process.set_clusters(snapshot.clusters.clone());
    drop(snapshot);
    let addresses = addresses(&bound);
    let admin_address = admin.as_ref().map(|admin| admin.local_address().clone());
    let accepting = start_accepting(bound, &workers).map_err(failed("start accepting"))?;
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
    control.block_on(async {
        serving.until_end(&workers, &process, &mut signals, logging, sinks).await;
        process.set_state(RunState::Draining);
        drain(workers, accepting, graceful_timeout, &mut signals, logging, sinks).await;
        process.set_state(RunState::Stopping);
        // Workers are gone: what modules made is destroyed before the process
        // ends.
        drop(serving);
        process.modules.settle();
        stop_admin.send_replace(true);
        if admin.await.is_err() {
            tracing::error!("the admin interface ended by a panic");
        }
        for page in pages {
            if page.await.is_err() {
                tracing::error!("a page of metrics ended by a panic");
            }
        }
    });
    tracing::info!("ended");
    Ok(())
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

/// Lets streams finish, at most for `patience`; a second order to end, or the
/// end of the patience, stops at once.
async fn drain(
    mut workers: Workers<ProxyService>,
    accepting: AcceptHandle,
    patience: Duration,
    signals: &mut Signals,
    logging: &Logging,
    sinks: &LogSinks,
) {
    tracing::info!(?patience, "draining");
    // Joins the accept thread, which only has to empty the queues.
    accepting.stop();
    workers.set_phase(RunPhase::Draining);
    let finished = or_impatient(workers.ended(), patience, signals, logging, sinks).await;
    if !finished {
        tracing::warn!(connections = ?workers.connections(), "streams are cut");
        workers.set_phase(RunPhase::Stopping);
        workers.ended().await;
    }
}

async fn or_impatient(
    ended: impl Future<Output = ()>,
    patience: Duration,
    signals: &mut Signals,
    logging: &Logging,
    sinks: &LogSinks,
) -> bool {
    let mut ended = std::pin::pin!(ended);
    let mut over = std::pin::pin!(tokio::time::sleep(patience));
    loop {
        tokio::select! {
            () = &mut ended => return true,
            () = &mut over => return false,
            order = signals.next() => match order {
                Order::End => return false,
                other => obey(other, logging, sinks),
            },
        }
    }
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
