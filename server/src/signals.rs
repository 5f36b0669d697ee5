//! Signals, as things to do.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGTERM, SIGINT or SIGQUIT: drain; the second time: end at once.
    End,
    /// SIGUSR1.
    ReopenLogs,
    /// SIGHUP: the configuration is read again; logs are opened again too.
    Reload,
    /// A signal that asks other proxies for something that is not there; the
    /// default would end the process.
    Nothing(NoSuchThing),
}

/// What is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSuchThing {
    /// SIGUSR2: nginx replaces its binary then.
    UserDefined2,
}

/// The signals this process listens to.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    reopen: Signal,
    hang_up: Signal,
    user_defined2: Signal,
    /// Without somebody who listens it would end the process. So a write to a
    /// file that is as large as it may be fails, and costs log lines at most.
    _file_too_large: Signal,
    /// A reload was asked for before there was anything to reload: the file may
    /// have been read before.
    owes_reload: bool,
}

impl Signals {
    /// Takes the signals over. On a tokio runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            reopen: signal(SignalKind::user_defined1())?,
            hang_up: signal(SignalKind::hangup())?,
            user_defined2: signal(SignalKind::user_defined2())?,
            _file_too_large: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
            owes_reload: false,
        })
    }

    /// The next order.
    pub(crate) async fn next(&mut self) -> Order {
        match std::mem::take(&mut self.owes_reload) {
            true => Order::Reload,
            false => self.received().await,
        }
    }

    /// The next order to end, before there is anything else to do.
    pub(crate) async fn end(&mut self) {
        loop {
            match self.received().await {
                Order::End => return,
                Order::Reload => self.owes_reload = true,
                Order::ReopenLogs | Order::Nothing(_) => {}
            }
        }
    }

    async fn received(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::End,
            _ = self.interrupt.recv() => Order::End,
            _ = self.quit.recv() => Order::End,
            _ = self.reopen.recv() => Order::ReopenLogs,
            _ = self.hang_up.recv() => Order::Reload,
            _ = self.user_defined2.recv() => Order::Nothing(NoSuchThing::UserDefined2),
        }
    }
}
