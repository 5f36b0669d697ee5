//! The life of a plugin: started, watched, started again, stopped.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::PluginLimit;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::address::PluginAddress;
use crate::child::{Process, Spawner, Started};
use crate::confine::Confinement;
use crate::connection::{Connection, Health, Trust};
use crate::fault::{Failed, Fault};
use crate::link::Link;
use crate::output::{Lines, discard, first_line, log, reader};
use crate::plugin::{Shared, Wish};
use crate::spec::{Backoff, Program, Source};

/// How long a connection may take to be made: whoever printed an address
/// listens there already.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pauses between questions about health, and how long an answer may take.
const HEALTH_INTERVAL: Duration = Duration::from_secs(5);
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// Bad answers one after the other that make a plugin a dead one.
const HEALTH_FAILURES: u32 = 3;
/// Who ran for as long starts at once, and begins anew with its pauses.
const STEADY: Duration = Duration::from_secs(10);
/// Pause after a start that failed, at least: nobody waits for a program that
/// cannot be started.
const FAILED_START: Duration = Duration::from_millis(50);
/// How long calls in flight are waited for when a plugin is switched off.
const DRAIN: Duration = Duration::from_secs(5);
/// For the end of a process after SIGKILL.
const KILLED: Duration = Duration::from_secs(5);

/// A plugin that runs.
struct Running {
    process: Option<Process>,
    connection: Connection,
    /// Whether it says how it is.
    says_health: bool,
    /// A socket file that it may leave behind.
    socket: Option<std::path::PathBuf>,
    /// Readers of what it writes.
    readers: Readers,
}

/// Tasks that end with what they read.
#[derive(Default)]
struct Readers(Vec<JoinHandle<()>>);

impl Drop for Readers {
    fn drop(&mut self) {
        // A grandchild may hold the other end for ever.
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Why a plugin is not up any more.
enum End {
    /// Something else is wanted.
    Wished,
    Failed(Failed),
}

/// Keeps a plugin as it is wanted, from now on until it is not wanted any more.
pub(crate) async fn supervise(shared: Arc<Shared>, spawner: Spawner, mut gate: watch::Receiver<bool>) {
    let mut wishes = shared.wishes();
    tokio::select! {
        _ = gate.wait_for(|open| *open) => {}
        _ = wishes.wait_for(|wish| *wish == Wish::End) => {}
    }
    let mut backoff = Backoff::new(shared.spec.backoff);
    let mut is_first = true;
    loop {
        let wish = *wishes.borrow_and_update();
        match wish {
            Wish::Run => {}
            Wish::Rest => {
                shared.set_link(Link::Disabled);
                // The sender is in `shared`.
                let _ = wishes.changed().await;
                continue;
            }
            Wish::End => break,
        }
        shared.set_link(Link::Starting);
        if !std::mem::replace(&mut is_first, false) {
            shared.count_restart();
        }
        let begun = Instant::now();
        let started = tokio::select! {
            started = start(&shared, &spawner) => started,
            () = unwished(&mut wishes) => continue,
        };
        let (why, pause) = match started {
            Err(why) => (why, backoff.pause().max(FAILED_START)),
            Ok(mut running) => match up(&shared, &mut running, &mut wishes).await {
                End::Wished => {
                    let wish = *wishes.borrow();
                    shared.set_link(if wish == Wish::Rest { Link::Disabled } else { Link::Stopped });
                    stop(&shared, running).await;
                    continue;
                }
                End::Failed(why) => {
                    running.connection.close();
                    running.kill().await;
                    let steady = begun.elapsed() >= STEADY;
                    if steady {
                        backoff.reset();
                    }
                    (why, if steady { Duration::ZERO } else { backoff.pause() })
                }
            },
        };
        let plugin = shared.name();
        let Failed { fault, why } = why;
        tracing::error!(plugin, fault = fault.name(), next_start = ?pause, "plugin failed: {why}");
        shared.metrics.broke(fault);
        shared.set_link(Link::Down { until: Instant::now() + pause, why: why.into() });
        shared.set_no_process();
        tokio::select! {
            () = sleep(pause) => {}
            _ = wishes.changed() => {}
        }
    }
    shared.set_link(Link::Stopped);
    shared.set_no_process();
}

/// Ends when it is not wanted that the plugin runs.
async fn unwished(wishes: &mut watch::Receiver<Wish>) {
    let _ = wishes.wait_for(|wish| *wish != Wish::Run).await;
}

/// Serves calls until something happens.
async fn up(shared: &Arc<Shared>, running: &mut Running, wishes: &mut watch::Receiver<Wish>) -> End {
    let plugin = shared.name();
    tracing::info!(plugin, pid = running.process.as_ref().map(Process::pid), "plugin is up");
    shared.set_link(Link::Up(running.connection.clone()));
    let connection = running.connection.clone();
    let health = watch_health(shared, &connection, running.says_health);
    match &mut running.process {
        Some(process) => {
            let watch = Confinement::watch(process.confinement().watched(), process.pid());
            tokio::select! {
            biased;
            () = unwished(wishes) => End::Wished,
            ended = process.ended() => End::Failed(ended.failed()),
            why = connection.closed() => {
                // The reason for that is often on its way.
                match timeout(Duration::from_millis(100), process.ended()).await {
                    Ok(ended) => End::Failed(ended.failed()),
                    Err(_) => End::Failed(Fault::Connection.because(why)),
                }
            }
            failed = watch => End::Failed(failed),
            failed = silent(shared) => End::Failed(failed),
            why = health => End::Failed(Fault::Health.because(why)),
            }
        }
        None => tokio::select! {
            biased;
            () = unwished(wishes) => End::Wished,
            why = connection.closed() => End::Failed(Fault::Connection.because(why)),
            failed = silent(shared) => End::Failed(failed),
            why = health => End::Failed(Fault::Health.because(why)),
        },
    }
}

/// Ends once it is taken for one that hangs.
async fn silent(shared: &Shared) -> Failed {
    Fault::Hang.because(shared.hung().await)
}

/// Asks for its health again and again; ends with what is wrong.
async fn watch_health(shared: &Shared, connection: &Connection, says_health: bool) -> String {
    if !says_health {
        return std::future::pending().await;
    }
    let mut failures = 0;
    let mut why = String::new();
    while failures < HEALTH_FAILURES {
        sleep(HEALTH_INTERVAL).await;
        let healthy = match timeout(HEALTH_TIMEOUT, connection.health()).await {
            Ok(Ok(Health::Serving | Health::Unserved)) => true,
            Ok(Ok(Health::NotServing)) => {
                "it says that it does not serve".clone_into(&mut why);
                false
            }
            Ok(Err(status)) => {
                why = format!("its health check failed: {}", status.message());
                false
            }
            Err(_) => {
                why = format!("it did not say how it is in {HEALTH_TIMEOUT:?}");
                false
            }
        };
        failures = if healthy { 0 } else { failures + 1 };
        shared.set_healthy(Some(healthy));
    }
    format!("{why} ({HEALTH_FAILURES} times)")
}

/// Brings it up to the first moment at which it can be called.
async fn start(shared: &Arc<Shared>, spawner: &Spawner) -> Result<Running, Failed> {
    let mut running = match &shared.spec.source {
        Source::Program(program) => start_program(shared, program, spawner).await?,
        Source::Address(address) => {
            let connection = connect(shared, address, Trust::Anybody).await?;
            shared.set_address(address.to_string());
            Running { process: None, connection, says_health: false, socket: None, readers: Readers::default() }
        }
    };
    let health = timeout(HEALTH_TIMEOUT, running.connection.health()).await;
    running.says_health = matches!(health, Ok(Ok(Health::Serving | Health::NotServing)));
    if running.says_health {
        shared.set_healthy(Some(matches!(health, Ok(Ok(Health::Serving)))));
    }
    Ok(running)
}

async fn start_program(shared: &Arc<Shared>, program: &Program, spawner: &Spawner) -> Result<Running, Failed> {
    let path = program.path.display();
    let started = spawner
        .spawn(program)
        .await
        .map_err(|error| Fault::Start.because(format_args!("cannot start {path}: {error}")))?;
    let Started { mut process, stdout, stderr } = started;
    let limits = process.confinement().status();
    if limits != sidegate_api::PluginLimits::default() {
        let by = |limit: Option<PluginLimit>| limit.map_or("none", |limit| limit.by.name());
        let (plugin, cgroup) = (shared.name(), limits.cgroup.as_deref().unwrap_or("none"));
        let (memory, cpus, tasks) = (by(limits.memory), by(limits.cpus), by(limits.tasks));
        tracing::info!(plugin, cgroup, memory, cpus, tasks, "who keeps the plugin's limits");
    }
    shared.set_process(process.pid(), limits);
    let name = shared.name().to_owned();
    let pipes = |error| Fault::Start.because(format_args!("cannot read from it: {error}"));
    let (mut stdout, stderr) = (reader(stdout).map_err(pipes)?, reader(stderr).map_err(pipes)?);
    let mut readers = Readers::default();
    readers.0.push(tokio::spawn(log(stderr, name.clone())));
    let line = tokio::select! {
        line = timeout(program.start_timeout, first_line(&mut stdout)) => match line {
            Ok(Ok(line)) => line,
            // Its end says more than that of its output.
            Ok(Err(error)) => return Err(match timeout(Duration::from_millis(200), process.ended()).await {
                Ok(ended) => Fault::Handshake.because(format_args!("it {ended} before its handshake")),
                Err(_) => Fault::Handshake.because(error),
            }),
            Err(_) => {
                let within = program.start_timeout;
                return Err(Fault::Handshake.because(format_args!("it printed no handshake in {within:?}")));
            }
        },
        ended = process.ended() => {
            // What it said of that is in its pipe still.
            drain(&mut readers).await;
            return Err(Fault::Handshake.because(format_args!("it {ended} before its handshake")));
        }
    };
    let address = crate::handshake::parse(&line).map_err(|error| Fault::Handshake.because(error))?;
    readers.0.push(tokio::spawn(discard(stdout, name.clone())));
    let connection = connect(shared, &address, Trust::OwnUser).await?;
    shared.set_address(address.to_string());
    let of_stdio = connection.clone();
    readers.0.push(tokio::spawn(async move { read_stdio(&of_stdio, &name).await }));
    let socket = match address {
        PluginAddress::Unix(path) => Some(path),
        PluginAddress::Tcp(_) => None,
    };
    Ok(Running { process: Some(process), connection, says_health: false, socket, readers })
}

async fn connect(shared: &Shared, address: &PluginAddress, trust: Trust) -> Result<Connection, Failed> {
    if !shared.spec.purpose.allows(address) {
        return Err(Fault::Start.because(format_args!(
            "it listens at {address}, and keys come over a Unix socket; `allow_tcp` lets them come over TCP"
        )));
    }
    match timeout(CONNECT_TIMEOUT, Connection::open(address, trust)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(Fault::Start.because(format_args!("cannot connect to {address}: {error}"))),
        Err(_) => Err(Fault::Start.because(format_args!("cannot connect to {address} in {CONNECT_TIMEOUT:?}"))),
    }
}

/// Takes what a program of go-plugin writes once it serves into the log.
async fn read_stdio(connection: &Connection, plugin: &str) {
    // Most programs do not serve that.
    let Ok(mut stdio) = connection.stdio().await else { return };
    let mut lines = Lines::new(plugin);
    while let Ok(Some(piece)) = stdio.message().await {
        lines.take(&piece.data);
        tokio::task::yield_now().await;
    }
    lines.end();
}

/// Lets readers come to the end of what is there.
async fn drain(readers: &mut Readers) {
    let all = async {
        for reader in &mut readers.0 {
            let _ = reader.await;
        }
    };
    let _ = timeout(Duration::from_millis(200), all).await;
}

/// Stops it: first by its own means, then by a signal, then by force.
async fn stop(shared: &Shared, mut running: Running) {
    let plugin = shared.name();
    let drained = async {
        while shared.metrics.in_flight.get() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = timeout(DRAIN, drained).await;
    let (Some(process), Source::Program(program)) = (&mut running.process, &shared.spec.source) else {
        // Somebody else's: it is only left alone.
        tracing::info!(plugin, "plugin is let go");
        return;
    };
    let patience = program.stop_timeout;
    let mut killed = pin!(sleep(patience));
    // One that does not read leaves time for the signal.
    let _ = timeout(patience / 2, running.connection.shut_down()).await;
    // Programs of go-plugin end by the call, and all others by the signal.
    if timeout(Duration::from_millis(50), process.ended()).await.is_err() {
        process.terminate();
    }
    tokio::select! {
        ended = process.ended() => tracing::info!(plugin, "plugin was stopped: it {ended}"),
        () = &mut killed => tracing::warn!(plugin, ?patience, "plugin does not end and is killed"),
    }
    running.kill().await;
}

impl Running {
    /// Ends it and everybody in its group, and what it leaves behind.
    async fn kill(mut self) {
        if let Some(process) = &mut self.process {
            process.kill();
            let _ = timeout(KILLED, process.ended()).await;
            drain(&mut self.readers).await;
        }
        if let Some(path) = self.socket.take()
            && PluginAddress::own_socket(&path).is_ok()
        {
            // Nobody listens there any more.
            let _ = std::fs::remove_file(&path);
        }
    }
}
