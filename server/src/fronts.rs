//! What serves beside the listeners: the admin interface, pages of metrics and
//! the process log, which change with the configuration, as limits do.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sidegate_admin::{AdminAccess, AdminServer, AdminToken, LiveEdit, MetricsPage, MetricsServer, Slot, SocketMode};
use sidegate_api::Address;
use sidegate_config::MetricsSink;
use sidegate_manager::sockets::{Socket, SocketKind};
use sidegate_manager::{Changing, Fronts, Refused, Why};
use sidegate_net::AcceptMode;
use sidegate_overload::{Machine, Overload};
use sidegate_telemetry::{LogSinks, Logging, NextLog};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin_source::Process;
use crate::source::Settings;
use crate::systemd::Notifier;

/// The only admin interface.
const ADMIN: &str = "admin";

/// The sockets that `settings` ask for.
pub(crate) fn front_sockets(settings: &Settings) -> Vec<Socket> {
    let socket = |kind, name: &str, address: &Address, mode| Socket {
        kind,
        name: name.into(),
        address: address.clone(),
        bound: None,
        accept: AcceptMode::Balanced,
        mode,
    };
    let admin = settings.admin.iter().map(|a| socket(SocketKind::Admin, ADMIN, &a.address, a.socket_mode));
    let pages = settings.metrics.sinks.iter().enumerate();
    let pages = pages.map(|(at, sink)| socket(SocketKind::Page, &page_name(at, sink), &sink.address, None));
    admin.chain(pages).collect()
}

/// Two pages may ask for any free port.
fn page_name(at: usize, sink: &MetricsSink) -> String {
    match sink.address.socket_addr().is_some_and(|address| address.port() == 0) {
        true => format!("{at}"),
        false => sink.address.to_string(),
    }
}

/// Where the process waits for them at its end.
#[derive(Debug, Clone)]
pub(crate) struct FrontTasks {
    stop: watch::Sender<bool>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl FrontTasks {
    pub(crate) fn new() -> Self {
        FrontTasks { stop: watch::Sender::new(false), tasks: Arc::default() }
    }

    /// Ends all of them and waits until their last answers are sent.
    pub(crate) async fn end(&self) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if task.await.is_err() {
                tracing::error!("the admin interface or a page of metrics ended by a panic");
            }
        }
    }

    fn add(&self, task: JoinHandle<()>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }
}

/// The fronts of the process.
pub(crate) struct ProcessFronts {
    /// The main thread's, where they run.
    runtime: Handle,
    process: Arc<Process>,
    logging: Logging,
    sinks: LogSinks,
    overload: Overload,
    tasks: FrontTasks,
    notifier: Arc<Notifier>,
    settings: Settings,
    access: Slot<AdminAccess>,
    serving: Vec<Serving>,
    bound: Vec<(Socket, Bound)>,
    next: Option<Next>,
}

/// What was opened for settings that are not taken yet.
struct Next {
    log: NextLog,
    access: AdminAccess,
    /// What limits are shares of.
    machine: Machine,
}

enum Bound {
    Admin(AdminServer),
    Page(MetricsServer, Slot<MetricsPage>),
}

struct Serving {
    socket: Socket,
    stop: watch::Sender<bool>,
    closed: watch::Receiver<()>,
    page: Option<Slot<MetricsPage>>,
}

impl ProcessFronts {
    /// Binds everything that `settings` ask for; to be served later.
    pub(crate) fn bind_all(
        runtime: Handle,
        process: Arc<Process>,
        logging: Logging,
        sinks: LogSinks,
        overload: Overload,
        notifier: Arc<Notifier>,
        settings: Settings,
    ) -> Result<Self, Refused> {
        let access = access(&settings)?.into();
        let mut fronts = ProcessFronts {
            runtime,
            process,
            logging,
            sinks,
            overload,
            tasks: FrontTasks::new(),
            notifier,
            settings: settings.clone(),
            access,
            serving: Vec::new(),
            bound: Vec::new(),
            next: None,
        };
        for socket in front_sockets(&settings) {
            fronts.bind(&socket, &settings)?;
        }
        Ok(fronts)
    }

    /// What was bound, with real addresses.
    pub(crate) fn sockets(&self) -> Vec<Socket> {
        let bound = self.bound.iter().map(|(socket, _)| socket.clone());
        self.serving.iter().map(|serving| serving.socket.clone()).chain(bound).collect()
    }

    pub(crate) fn serve_all(&mut self) {
        for (socket, _) in self.bound.iter().map(|(socket, _)| (socket.clone(), ())).collect::<Vec<_>>() {
            self.serve(&socket);
        }
    }

    pub(crate) fn tasks(&self) -> FrontTasks {
        self.tasks.clone()
    }

    fn spawn(&mut self, socket: Socket, bound: Bound) {
        let (stop, mut stopped) = watch::channel(false);
        let mut all_stop = self.tasks.stop.subscribe();
        let shutdown = async move {
            tokio::select! {
                // It serves on where nobody is left to close it.
                Ok(_) = stopped.wait_for(|stop| *stop) => {}
                _ = all_stop.wait_for(|stop| *stop) => {}
            }
        };
        let (process, access) = (self.process.clone(), self.access.clone());
        let (closed, page) = match &bound {
            Bound::Admin(server) => (server.closed(), None),
            Bound::Page(server, page) => (server.closed(), Some(page.clone())),
        };
        let task = self.runtime.spawn(async move {
            let (what, ended) = match bound {
                Bound::Admin(server) => ("the admin interface", server.run(process, access, shutdown).await),
                Bound::Page(server, page) => ("a page of metrics", server.run(process, page, shutdown).await),
            };
            if let Err(error) = ended {
                tracing::error!(%error, "{what} ended");
            }
        });
        self.tasks.add(task);
        self.serving.push(Serving { socket, stop, closed, page });
    }

    fn open(
        &self,
        socket: &Socket,
        address: &Address,
        page: impl FnOnce() -> Slot<MetricsPage>,
    ) -> Result<Bound, Refused> {
        let refused = |error: &dyn std::fmt::Display| Refused::because(Why::Environment, error.to_string());
        match socket.kind {
            SocketKind::Page => {
                let server = MetricsServer::bind(address).map_err(|e| refused(&e))?;
                Ok(Bound::Page(server, page()))
            }
            SocketKind::Admin | SocketKind::Listener => {
                let mode = socket.mode.map_or_else(SocketMode::default, SocketMode);
                Ok(Bound::Admin(AdminServer::bind(address, mode).map_err(|e| refused(&e))?))
            }
        }
    }
}

impl Bound {
    fn address(&self) -> &Address {
        match self {
            Bound::Admin(server) => server.local_address(),
            Bound::Page(server, _) => server.local_address(),
        }
    }
}

impl Fronts for ProcessFronts {
    type Settings = Settings;

    fn changing(&mut self, changes: Changing) {
        match changes {
            Changing::Begins => self.notifier.reloading(),
            Changing::Ends => self.notifier.ready(),
        }
    }

    fn prepare(&mut self, settings: &Settings) -> Result<(), Refused> {
        let log = self.logging.prepare(&settings.log);
        let log = log.map_err(|error| Refused::because(Why::Environment, error.to_string()))?;
        self.next = Some(Next { log, access: access(settings)?, machine: Machine::detect() });
        Ok(())
    }

    fn bind(&mut self, socket: &Socket, settings: &Settings) -> Result<Address, Refused> {
        let bound = self.open(socket, &socket.address, || page_of(socket, settings).into())?;
        let address = bound.address().clone();
        self.bound.push((Socket { bound: Some(address.clone()), ..socket.clone() }, bound));
        Ok(address)
    }

    async fn unbind(&mut self, socket: &Socket) {
        let is_it = |known: &Socket| is_same(known, socket);
        match self.bound.iter().position(|(known, _)| is_it(known)) {
            Some(at) => drop(self.bound.remove(at)),
            None => self.close(socket).await,
        }
    }

    fn serve(&mut self, socket: &Socket) {
        let Some(at) = self.bound.iter().position(|(known, _)| is_same(known, socket)) else { return };
        let (socket, bound) = self.bound.remove(at);
        match socket.kind {
            SocketKind::Page => tracing::info!(address = %bound.address(), "metrics"),
            SocketKind::Admin | SocketKind::Listener => tracing::info!(address = %bound.address(), "admin"),
        }
        self.spawn(socket, bound);
    }

    async fn close(&mut self, socket: &Socket) {
        let Some(serving) = self.serving.iter_mut().find(|serving| is_same(&serving.socket, socket)) else { return };
        serving.stop.send_replace(true);
        // An error says that the other end is gone, and its socket with it.
        while serving.closed.changed().await.is_ok() {}
    }

    fn reopen(&mut self, socket: &Socket) -> Result<(), Refused> {
        let Some(at) = self.serving.iter().position(|serving| is_same(&serving.socket, socket)) else { return Ok(()) };
        let former = self.serving.remove(at);
        let address = former.socket.bound.clone().unwrap_or_else(|| former.socket.address.clone());
        let page = former.page.clone();
        let bound = self.open(&former.socket, &address, || {
            page.unwrap_or_else(|| MetricsPage { endpoint: String::new(), options: Default::default() }.into())
        })?;
        self.spawn(former.socket, bound);
        Ok(())
    }

    fn take(&mut self, settings: Settings) {
        if let Some(Next { log, access, machine }) = self.next.take() {
            self.logging.turn_to(log);
            self.access.set(access);
            self.overload.turn_to(&settings.overload, &machine);
        }
        if settings.log.level != self.settings.log.level {
            // Otherwise what the admin interface has set stays.
            self.logging.set_level(settings.log.level);
        }
        for (target, rotation) in &settings.rotations {
            self.sinks.rotate_as(target, *rotation);
        }
        let wanted = front_sockets(&settings);
        self.serving.retain(|serving| !*serving.stop.borrow() && wanted.iter().any(|w| is_same(w, &serving.socket)));
        for serving in &self.serving {
            if let Some(page) = &serving.page {
                page.set(page_of(&serving.socket, &settings));
            }
        }
        self.process.take(&settings);
        self.settings = settings;
    }

    fn give_up(&mut self) {
        self.next = None;
        self.bound.clear();
    }
}

fn is_same(one: &Socket, other: &Socket) -> bool {
    one.kind == other.kind && one.name == other.name && one.address == other.address && one.mode == other.mode
}

fn access(settings: &Settings) -> Result<AdminAccess, Refused> {
    let Some(admin) = &settings.admin else { return Ok(AdminAccess::default()) };
    let token = admin.token.as_deref().map(AdminToken::new).transpose();
    let token = token.map_err(|error| Refused::because(Why::Configuration, error.to_string()))?;
    let live_edit = if admin.live_edit { LiveEdit::for_own_user() } else { LiveEdit::Off };
    Ok(AdminAccess { token, hosts: admin.hosts.clone(), live_edit })
}

/// What the page on `socket` is; one that is not asked for any more is empty.
fn page_of(socket: &Socket, settings: &Settings) -> MetricsPage {
    let mut sinks = settings.metrics.sinks.iter().enumerate();
    let sink = sinks.find(|(at, sink)| page_name(*at, sink) == *socket.name && sink.address == socket.address);
    sink.map_or_else(
        || MetricsPage { endpoint: String::new(), options: Default::default() },
        |(_, sink)| MetricsPage { endpoint: sink.endpoint.clone(), options: sink.options.clone() },
    )
}

/// How long the process may take to drain, as the configuration that runs says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    pub(crate) graceful_timeout: Duration,
    pub(crate) drain_delay: Duration,
}
