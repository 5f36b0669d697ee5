//! Signals, as things to do.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGTERM or SIGINT: drain; the second time: end at once.
    End,
    /// SIGUSR1.
    ReopenLogs,
    /// SIGHUP: MOSN upgrades then; there is nothing to do yet, but the
    /// default would end the process.
    HangUp,
}

/// The signals this process listens to.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reopen: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Takes the signals over. On a tokio runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reopen: signal(SignalKind::user_defined1())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next order.
    pub(crate) async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::End,
            _ = self.interrupt.recv() => Order::End,
            _ = self.reopen.recv() => Order::ReopenLogs,
            _ = self.hang_up.recv() => Order::HangUp,
        }
    }
}
