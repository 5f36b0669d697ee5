//! How lines get to the plugin: a task of the thread `plugins`, one batch after
//! the other.

use std::sync::Arc;
use std::time::Duration;

use sidegate_api::PluginPhase;
use sidegate_proto::v1;
use sidegate_proto::v1::access_log_client::AccessLogClient;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::Code;

use super::batch::{Batch, Cutter};
use super::meters::{Loss, Told};
use super::queue::Queue;
use super::settings::LogSettings;
use crate::call::{Failure, shown};
use crate::connection::{CallError, Connection, origin};
use crate::link::Link;
use crate::plugin::Plugin;
use crate::spec::Backoff;

/// How long a plugin that does not run is waited for when the process ends.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// What is wanted of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Go,
    /// No lines come any more: what is there is sent, and that is the end.
    Finish,
    /// The same, and the process ends.
    Hurry,
}

/// Sends the lines of one log. Its end is seen by the end of `done`.
pub(super) struct Sender {
    settings: LogSettings,
    queue: Arc<Queue>,
    /// Held until everything is sent.
    plugin: Arc<Plugin>,
    wishes: watch::Receiver<Wish>,
    _done: watch::Sender<()>,
    cutter: Cutter,
    run: u64,
    told: Told,
    /// What the plugin did last that was no good.
    last_error: Option<String>,
    /// Until when a plugin that does not run is waited for as the process ends.
    patience: Option<Instant>,
}

/// What came of a batch, or of one try.
enum Sent {
    Taken,
    Lost(Loss),
}

/// Why a try came to nothing.
enum Trouble {
    /// Another one may fare better.
    Again(String),
    Lost(Loss, String),
}

impl Sender {
    pub(super) fn new(
        settings: LogSettings,
        queue: Arc<Queue>,
        plugin: Arc<Plugin>,
        wishes: watch::Receiver<Wish>,
        done: watch::Sender<()>,
        run: u64,
    ) -> Self {
        let cutter = Cutter::new(settings.batch);
        let (told, last_error, patience) = (Told::default(), None, None);
        Sender { settings, queue, plugin, wishes, _done: done, cutter, run, told, last_error, patience }
    }

    pub(super) async fn run(mut self) {
        loop {
            let wish = self.collect().await;
            let mut batches = self.cutter.take(&self.queue);
            let began = Instant::now();
            while let Some(batch) = batches.pop_front() {
                let amount = batch.amount();
                let sent = self.deliver(batch, began).await;
                self.queue.let_go(amount);
                match sent {
                    Sent::Taken => self.queue.meters.taken.add(amount.lines as u64),
                    Sent::Lost(loss) => self.queue.meters.lost(loss, amount.lines as u64),
                }
                self.tell();
            }
            if wish != Wish::Go && self.queue.is_empty() {
                break;
            }
        }
        if let Some(lost) = self.told.tell_all(&self.queue.meters, Instant::now()) {
            self.warn(&lost);
        }
    }

    /// Waits until there is a batch, or the time of the first line is over, or
    /// there is no reason to wait any longer.
    async fn collect(&mut self) -> Wish {
        while self.queue.is_empty() && self.wish() == Wish::Go {
            let due = self.told.due(&self.queue.meters);
            tokio::select! {
                () = self.queue.stirred() => {}
                () = wished(&mut self.wishes) => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.tell(),
            }
        }
        let end = Instant::now() + self.settings.interval;
        while !self.queue.has_batch() && self.wish() == Wish::Go {
            tokio::select! {
                () = self.queue.stirred() => {}
                () = wished(&mut self.wishes) => {}
                () = sleep_until(end) => break,
            }
        }
        self.wish()
    }

    /// Sends until the plugin has it or there is no hope.
    async fn deliver(&mut self, batch: Batch, began: Instant) -> Sent {
        let mut backoff = Backoff::new(self.settings.retry);
        let give_up = began.checked_add(self.settings.retention).unwrap_or_else(|| began + YEAR);
        let request = v1::WriteRequest {
            log: self.settings.log.to_string(),
            host: format!("sidegate/{}", sidegate_api::VERSION),
            run: self.run,
            first: batch.first,
            dropped: self.queue.meters.total(),
            lines: batch.lines,
        };
        loop {
            let connection = match self.connection(give_up).await {
                Ok(connection) => connection,
                Err(loss) => return Sent::Lost(loss),
            };
            match self.attempt(&connection, request.clone()).await {
                Ok(()) => {
                    self.last_error = None;
                    return Sent::Taken;
                }
                Err(Trouble::Lost(loss, why)) => {
                    self.last_error = Some(why);
                    return Sent::Lost(loss);
                }
                Err(Trouble::Again(why)) => self.last_error = Some(why),
            }
            self.tell();
            let again = Instant::now() + backoff.pause();
            if again >= give_up {
                return Sent::Lost(Loss::Expired);
            }
            // Another connection is worth another try at once.
            tokio::select! {
                () = sleep_until(again) => {}
                () = self.plugin.shared.unlinked() => {}
                () = wished(&mut self.wishes) => {}
            }
        }
    }

    /// Waits for a connection, for as long as there is hope of one.
    async fn connection(&mut self, give_up: Instant) -> Result<Connection, Loss> {
        let mut links = self.plugin.shared.links();
        loop {
            let link = links.borrow_and_update().clone();
            match &link {
                Link::Up(connection) if !connection.is_closed() => return Ok(connection.clone()),
                Link::Stopped => return Err(Loss::Stopped),
                Link::Down { why, .. } => self.last_error = Some(why.to_string()),
                Link::Disabled => self.last_error = Some("it is disabled".to_owned()),
                Link::Up(_) | Link::Starting => {}
            }
            if self.wish() == Wish::Hurry && link.phase() != PluginPhase::Starting {
                self.patience.get_or_insert_with(|| Instant::now() + LAST_PATIENCE);
            }
            let patience = self.patience;
            let due = self.told.due(&self.queue.meters);
            tokio::select! {
                changed = links.changed() => if changed.is_err() {
                    return Err(Loss::Stopped);
                },
                () = wished(&mut self.wishes) => {}
                () = sleep_until(give_up) => return Err(Loss::Expired),
                () = sleep_until(patience.unwrap_or(give_up)), if patience.is_some() => return Err(Loss::Stopped),
                () = sleep_until(due.unwrap_or(give_up)), if due.is_some() => self.tell(),
            }
        }
    }

    async fn attempt(&self, connection: &Connection, request: v1::WriteRequest) -> Result<(), Trouble> {
        let (plugin, within, begun) = (&self.plugin.shared, self.settings.timeout, Instant::now());
        let mut request = tonic::Request::new(request);
        request.set_timeout(within);
        let mut client = AccessLogClient::with_origin(connection.carrier(), origin());
        plugin.metrics.in_flight.add(1);
        let deadline = begun.checked_add(within).unwrap_or_else(|| begun + YEAR);
        let called = timeout_at(deadline, client.write(request)).await;
        plugin.metrics.in_flight.add(-1);
        let failure = match called {
            Ok(Ok(_)) => {
                plugin.answered();
                plugin.metrics.succeeded(begun.elapsed());
                return Ok(());
            }
            Ok(Err(status)) => match CallError::of(status) {
                CallError::NotSent => return Err(Trouble::Again("its connection ended".to_owned())),
                CallError::Lost => Failure::Lost,
                CallError::Answered(status) if status.code() == Code::DeadlineExceeded => Failure::Timeout(within),
                CallError::Answered(status) => {
                    plugin.answered();
                    let failure = Failure::Error(format!("{:?}: {}", status.code(), shown(status.message())));
                    plugin.metrics.failed(&failure);
                    let why = failure.to_string();
                    return Err(match status.code() {
                        Code::Unavailable | Code::ResourceExhausted | Code::Aborted | Code::Cancelled => {
                            Trouble::Again(why)
                        }
                        Code::Unimplemented => Trouble::Lost(Loss::Unserved, why),
                        _ => Trouble::Lost(Loss::Refused, why),
                    });
                }
            },
            Err(_) => Failure::Timeout(within),
        };
        if matches!(failure, Failure::Timeout(_)) {
            plugin.unanswered(within);
        }
        plugin.metrics.failed(&failure);
        Err(Trouble::Again(failure.to_string()))
    }

    fn wish(&self) -> Wish {
        *self.wishes.borrow()
    }

    fn tell(&mut self) {
        if let Some(lost) = self.told.tell(&self.queue.meters, Instant::now()) {
            self.warn(&lost);
        }
    }

    fn warn(&self, lost: &str) {
        let (plugin, log) = (self.plugin.shared.name(), &*self.settings.log);
        let why = self.last_error.as_deref().unwrap_or("it takes them too slowly");
        tracing::warn!(plugin, log, lost, "lines of an access log are lost: {why}");
    }
}

/// A time that nobody waits for.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Waits for another wish.
async fn wished(wishes: &mut watch::Receiver<Wish>) {
    // Without anybody who could wish, what was wished last stays.
    if wishes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
