//! What signals that do not end the process are obeyed with.

use sidegate_manager::{ManagerHandle, Origin, Update};
use sidegate_telemetry::{LogSinks, Logging};

use crate::signals::{NoSuchThing, Order};

/// What signals act on.
pub(crate) struct Obedience<'a> {
    pub(crate) logging: &'a Logging,
    pub(crate) sinks: &'a LogSinks,
    /// `None` while nothing is served.
    pub(crate) manager: Option<ManagerHandle>,
}

impl Obedience<'_> {
    /// Obeys anything but the order to end.
    pub(crate) fn obey(&self, order: Order) {
        match order {
            Order::ReopenLogs => self.reopen(),
            Order::Reload => {
                // Whoever rotates logs and knows one signal sends this one.
                self.reopen();
                if let Some(manager) = &self.manager {
                    // Log and metrics tell what comes of it.
                    drop(manager.apply(Update::Reload, Origin::Signal));
                }
            }
            Order::Nothing(NoSuchThing::UserDefined2) => tracing::warn!(
                "SIGUSR2 does nothing: a new binary takes over as a second process beside this one, with `reuseport`"
            ),
            Order::End => {}
        }
    }

    fn reopen(&self) {
        self.logging.reopen();
        self.sinks.reopen_all();
        tracing::info!("logs reopened");
    }
}
