//! `sidegate run`: from a configuration file to a process that serves, and
//! back down again.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use sidegate_admin::RunState;
use sidegate_api::Address;
use sidegate_config::{Config, LoadMode};
use sidegate_manager::sockets::{Socket, SocketKind};
use sidegate_manager::{
    Board, CertificateFiles, Ended, FileWatch, ManagerHandle, Origin, RunningListener, Update, WantedListener,
    socket_of,
};
use sidegate_net::{AcceptHandle, BoundListener, ListenerId, ListenerIds, RunPhase, Workers, bind, start_accepting};
use sidegate_overload::{Machine, Manager, Overload};
use sidegate_plugin::PluginHost;
use sidegate_proxy::ProxyService;
use sidegate_telemetry::{LogSinks, Logging};
use sidegate_upkeep::resolve_once;
use sidegate_upstream::HostRegistry;
use sidegate_watch::{HELD_UP, end_now};

use crate::admin_source::{Extensions, Process};
use crate::certificates::Contexts;
use crate::check::report;
use crate::cli::RunArgs;
use crate::compose::{self, Loaded, compose, first_update};
use crate::control::Obedience;
use crate::ending::{Ending, LAST_PATIENCE, in_modules, modules_settled, name_who_is_left};
use crate::errands::ModuleErrands;
use crate::fronts::ProcessFronts;
use crate::output::complain;
use crate::plans::Plans;
use crate::signals::{Order, Signals};
use crate::source::{Document, FileSource, FollowedCertificates, Made, Settings};
use crate::start::{Start, end_before_serving};
use crate::systemd::Notifier;
use crate::{key_log, ready};

/// How long a start waits for the names of hosts. Who cannot be resolved by
/// then is resolved while the process serves.
const NAMES_PATIENCE: Duration = Duration::from_secs(5);
/// How long a start waits for plugins. Who is not up by then is waited for by
/// calls.
const PLUGINS_PATIENCE: Duration = Duration::from_secs(5);
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

pub(crate) fn run(args: &RunArgs, start: &mut Start) -> ExitCode {
    let key_log = match key_log::open(args.tls_key_log) {
        Ok(key_log) => key_log,
        Err(error) => {
            complain(&error);
            return ExitCode::FAILURE;
        }
    };
    let plugins = PluginHost::new();
    let loaded = match start.load(&args.config, args.workers, LoadMode::Load, key_log, Some(plugins.clone())) {
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
    let result = serve(args, loaded, start, &logging, &sinks, &plugins);
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
fn serve(
    args: &RunArgs,
    loaded: Loaded,
    start: &mut Start,
    logging: &Logging,
    sinks: &LogSinks,
    plugins: &PluginHost,
) -> Result<End, Failure> {
    let Loaded { file, since, env, mut config, workers: count, metrics, modules } = loaded;
    let Start { runtime: control, signals, watchdog, hangs, .. } = start;
    key_log::tell(env.key_log.as_ref());
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if config.warnings_omitted > 0 {
        tracing::warn!("and {} more warnings of the configuration", config.warnings_omitted);
    }
    hangs.count_in(&metrics, count).map_err(failure)?;
    let _entered = control.enter();
    plugins.begin();
    let mut clusters = config.clusters.clone();
    control.block_on(async {
        tokio::select! {
            () = resolve_once(&mut clusters, NAMES_PATIENCE) => {}
            () = signals.end() => end_before_serving(),
        }
        tokio::select! {
            () = plugins.settled(PLUGINS_PATIENCE) => {}
            () = signals.end() => end_before_serving(),
        }
    });
    let hosts = HostRegistry::new(metrics.clone());
    let clusters = compose::clusters(clusters, &hosts).map_err(failure)?;
    let composed = compose(&config, None, &metrics, sinks).map_err(failure)?;
    let mut ids = ListenerIds::default();
    let numbered: Vec<_> = composed.iter().map(|wanted| (ids.next_id(), wanted.clone())).collect();
    let mut bound = Vec::with_capacity(numbered.len());
    for (id, wanted) in &numbered {
        bound.push(bind(*id, wanted.net.clone(), count).map_err(failure)?);
    }
    let listeners: Vec<RunningListener> = numbered.iter().zip(&bound).map(running_listener).collect();
    let settings = Settings::of(&config);
    let (board, watch) = (Arc::<Board>::default(), Arc::<OnceLock<FileWatch>>::default());
    let plans = Plans::new(args.config.clone(), args.workers, env.clone(), plugins.clone());
    let process = Process::new(
        &settings,
        metrics.clone(),
        Extensions { modules: modules.clone(), plugins: plugins.clone() },
        logging.clone(),
        sinks.clone(),
        board.clone(),
        plans.clone(),
    );
    let process = Arc::new(process);
    let notifier = Arc::new(Notifier::from_env());
    let overload = Overload::new(&config.overload, &Machine::detect(), count, &metrics).map_err(failure)?;
    let mut fronts = ProcessFronts::bind_all(
        control.handle().clone(),
        process.clone(),
        logging.clone(),
        sinks.clone(),
        overload.clone(),
        notifier.clone(),
        settings,
    )
    .map_err(failure)?;
    let front_sockets = fronts.sockets();
    let first = Arc::new(first_update(&clusters, &numbered));
    drop(numbered);
    let workers = Workers::<ProxyService>::start(count, &metrics, &first, &overload, sidegate_memory::give_back)
        .map_err(failure)?;
    drop(first);
    modules.serve_with(Arc::new(ModuleErrands(workers.errands())));
    let _overload_manager = Manager::start(&overload).map_err(failed("start the overload manager"))?;
    let mut relief = workers.relief();
    let _relieving = watchdog.relieve_by(move || relief.relieve());
    let addresses = addresses(&bound);
    let accepting = start_accepting(bound, &workers).map_err(failed("start accepting"))?;
    for (name, address) in &addresses {
        tracing::info!(listener = &**name, %address, "listening");
    }
    fronts.serve_all();
    let front_tasks = fronts.tasks();
    config.successions.clear();
    let successions = Vec::new();
    let made = Made { file: Arc::new(file), config: Arc::new(config), successions, listeners: composed, since };
    plans.set_running(Some(made.config.clone()));
    let (followed, certificates) = match args.keep_certificates {
        true => (FollowedCertificates::WithTheRest, None),
        false => {
            let maker = Contexts(made.config.filters_cache.contexts().clone());
            (FollowedCertificates::Apart, Some(CertificateFiles { maker: Arc::new(maker) }))
        }
    };
    let (document, watched) = (Document::new(made.file.clone(), since), made.watched(followed));
    let source = FileSource {
        path: args.config.clone(),
        workers: args.workers,
        env,
        modules: modules.clone(),
        plugins: plugins.clone(),
        sinks: sinks.clone(),
        plans: plans.clone(),
        watch: watch.clone(),
        certificates: followed,
        running: made,
        next: None,
    };
    let start = sidegate_manager::Start {
        workers,
        worker_count: count,
        accepting,
        ids,
        hosts,
        metrics,
        sinks: sinks.clone(),
        source,
        fronts,
        listeners,
        front_sockets: front_sockets.clone(),
        clusters,
        certificates,
        document,
        board: board.clone(),
    };
    let manager = start.manage().map_err(failure)?;
    process.set_manager(manager.clone());
    process.set_state(RunState::Running);
    if args.watch {
        follow(&manager, watched, since, &watch)?;
    }
    tracing::info!(version = sidegate_api::VERSION, workers = count, pid = std::process::id(), "running");
    if let Some(path) = &args.ready_file {
        let of = |kind| front_sockets.iter().filter(move |s| s.kind == kind).filter_map(|s| s.bound.clone());
        let pages: Vec<Address> = of(SocketKind::Page).collect();
        ready::write(path, &addresses, of(SocketKind::Admin).next().as_ref(), &pages)
            .map_err(|e| failure(format!("cannot write {}: {e}", path.display())))?;
    }
    notifier.ready();
    let obedience = Obedience { logging, sinks, manager: Some(manager.clone()) };
    let end = control.block_on(async {
        loop {
            match signals.next().await {
                Order::End => break,
                other => obedience.obey(other),
            }
        }
        notifier.stopping();
        manager.drain();
        let patience = process.patience();
        let mut ending = Ending::begin(patience.drain_delay.saturating_add(LAST_PATIENCE));
        // Held until they are written: the last that uses them may go before.
        let written = sinks.sinks();
        process.set_state(RunState::Draining);
        if !patience.drain_delay.is_zero() {
            // Load balancers notice that it is not ready any more.
            tracing::info!(drain_delay = ?patience.drain_delay, "still serving");
            let delay = tokio::time::sleep(patience.drain_delay);
            ending.within(signals, |order| obedience.obey(order), delay).await;
        }
        ending.extend_to(patience.graceful_timeout);
        tracing::info!(patience = ?patience.graceful_timeout, "draining");
        board.listeners_closed();
        // What it holds of modules goes with it.
        let ended = ending.within(signals, |order| obedience.obey(order), manager.end()).await.flatten();
        plans.set_running(None);
        let drained = match ended {
            Some(Ended { workers: Some(workers), accepting }) => {
                drain(workers, accepting, &mut ending, signals, &obedience).await
            }
            // Workers end by themselves, as nobody holds them any more.
            Some(Ended { workers: None, .. }) | None => End::HeldUp,
        };
        process.set_state(RunState::Stopping);
        // Workers are gone: what modules made is destroyed before the process
        // ends.
        let settled = ending.within(signals, |order| obedience.obey(order), modules_settled(modules)).await;
        if settled.is_none() {
            name_who_is_left(&in_modules());
        }
        // The last lines of access logs get to their plugins before those end.
        let _ = ending.within(signals, |order| obedience.obey(order), plugins.flush_access_logs()).await;
        // Those that do not end are killed with the process.
        let _ = ending.within(signals, |order| obedience.obey(order), plugins.end()).await;
        // Slow clients of the admin interface do not make an end a bad one.
        let _ = ending.within(signals, |order| obedience.obey(order), front_tasks.end()).await;
        sinks.flush(LOG_PATIENCE);
        drop(written);
        if settled.is_some() { drained } else { End::HeldUp }
    });
    match end {
        End::Whole => tracing::info!("ended"),
        End::HeldUp => tracing::error!(code = HELD_UP, "ended although not everything let go"),
    }
    Ok(end)
}

/// Has the configuration read again whenever its files have changed.
fn follow(
    manager: &ManagerHandle,
    paths: Vec<PathBuf>,
    since: SystemTime,
    watch: &OnceLock<FileWatch>,
) -> Result<(), Failure> {
    let manager = manager.clone();
    // Log and metrics tell what comes of it.
    let at_rest = move || drop(manager.apply(Update::Reload, Origin::Watch));
    let started = FileWatch::start(paths, since, at_rest).map_err(failed("follow files"))?;
    // There is one per process.
    let _ = watch.set(started);
    Ok(())
}

fn running_listener(((id, wanted), bound): (&(ListenerId, WantedListener), &BoundListener)) -> RunningListener {
    let socket = Socket { bound: Some(bound.address.clone()), ..socket_of(&wanted.net) };
    RunningListener { socket, id: *id, net: wanted.net.clone(), spec: wanted.spec.clone() }
}

/// Lets streams finish for as long as there is time; then they are cut.
async fn drain(
    mut workers: Workers<ProxyService>,
    accepting: AcceptHandle,
    ending: &mut Ending,
    signals: &mut Signals,
    obedience: &Obedience<'_>,
) -> End {
    // Joins the accept thread, which only has to empty the queues.
    accepting.stop();
    workers.set_phase(RunPhase::Draining);
    if !ending.is_hurried() && ending.within(signals, |order| obedience.obey(order), workers.ended()).await.is_some() {
        return End::Whole;
    }
    tracing::warn!(connections = ?workers.connections(), "streams are cut");
    workers.set_phase(RunPhase::Stopping);
    let left = ending.within(signals, |order| obedience.obey(order), workers.ended_or_stuck()).await;
    let left = left.unwrap_or_else(|| workers.left());
    name_who_is_left(&left);
    if left.is_empty() { End::Whole } else { End::HeldUp }
}

fn addresses(bound: &[BoundListener]) -> Vec<(String, Address)> {
    bound.iter().map(|b| (b.config.name.to_string(), b.address.clone())).collect()
}

fn failure(error: impl std::fmt::Display + 'static) -> Failure {
    Box::new(error)
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
