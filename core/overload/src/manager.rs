//! The thread that looks how things stand and says what is to be done.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::orders::Order;
use crate::pressure::{Change, Governor, Readings, Resource};
use crate::{Action, Overload};

/// How often it looks, while there is no hurry and while there is.
const CALM: Duration = Duration::from_millis(250);
const BUSY: Duration = Duration::from_millis(50);
/// Pressure from which on there is.
const BUSY_FROM: u32 = 50;

/// Idle connections that are closed at once, of a hundred, and the pause until
/// the next: all are gone after about five seconds.
const CLOSE_PERCENT: u8 = 10;
const CLOSE_EVERY: Duration = Duration::from_millis(200);
/// Memory that is freed takes a while until it is seen to be.
const RESET_EVERY: Duration = Duration::from_millis(200);
const SHRINK_EVERY: Duration = Duration::from_secs(2);

/// Stops the thread when it is dropped.
#[derive(Debug)]
pub struct Manager {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Manager {
    /// Starts the thread.
    pub fn start(overload: &Overload) -> io::Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let mut watch = Watch {
            governor: Governor::new(overload.shared().in_force()),
            overload: overload.clone(),
            descriptors: 0,
            closed: None,
            reset: None,
            shrunk: None,
        };
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("overload".into()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                std::thread::park_timeout(watch.look());
            }
        })?;
        // There is one per process.
        let _ = overload.shared().looks.set(thread.thread().clone());
        Ok(Manager { stop, thread: Some(thread) })
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the overload manager ended by a panic");
            }
        }
    }
}

struct Watch {
    governor: Governor,
    overload: Overload,
    /// As last counted.
    descriptors: u64,
    /// When each was last ordered.
    closed: Option<Instant>,
    reset: Option<Instant>,
    shrunk: Option<Instant>,
}

impl Watch {
    /// Looks once; how long until the next look.
    fn look(&mut self) -> Duration {
        let shared = self.overload.shared();
        self.governor.turn_to(shared.in_force());
        for quota in [&shared.bytes, &shared.streams, &shared.pending] {
            quota.adjust();
        }
        let readings = self.read();
        for change in self.governor.update(&readings) {
            self.tell(change);
        }
        self.publish(&readings);
        self.order(&readings);
        if self.governor.highest(&readings) < BUSY_FROM { CALM } else { BUSY }
    }

    fn read(&mut self) -> Readings {
        if let Some(count) = open_descriptors() {
            self.descriptors = count;
        }
        let shared = self.overload.shared();
        Readings([
            shared.resident.bytes().unwrap_or(0),
            shared.bytes.taken(),
            shared.connections.load(Ordering::Relaxed),
            self.descriptors,
            shared.streams.taken(),
            shared.pending.taken(),
        ])
    }

    fn tell(&self, change: Change) {
        let meters = &self.overload.shared().meters;
        match change {
            Change::Begins(action, resource, percent) => {
                meters.begun(action);
                let (action, limit) = (action.name(), resource.name());
                tracing::warn!(action, limit, percent, "overload: action begins");
            }
            Change::Ends(action) => {
                meters.ended(action);
                tracing::info!(action = action.name(), "overload: action ends");
            }
        }
    }

    fn publish(&self, readings: &Readings) {
        let shared = self.overload.shared();
        let for_memory = |action: &Action| self.governor.runs_for(*action, Resource::Memory);
        shared.running.set(Action::ALL.into_iter().filter(for_memory).map(Action::bit).sum());
        let limit = self.governor.limit(Resource::Descriptors);
        let left = limit.map_or(u64::MAX, |limit| limit.saturating_sub(readings.of(Resource::Descriptors)));
        shared.descriptors_left.store(i64::try_from(left).unwrap_or(i64::MAX), Ordering::Relaxed);
        for resource in Resource::ALL {
            shared.meters.used(resource, readings.of(resource));
        }
    }

    fn order(&mut self, readings: &Readings) {
        if self.governor.runs(Action::CloseIdle) && due(&mut self.closed, CLOSE_EVERY) {
            self.give_all(Order::CloseIdle(CLOSE_PERCENT));
        }
        if self.governor.runs(Action::ShrinkBuffers) && due(&mut self.shrunk, SHRINK_EVERY) {
            self.give_all(Order::Shrink);
        }
        if self.governor.runs(Action::ResetStreams) && due(&mut self.reset, RESET_EVERY) {
            let wanted = [Resource::Memory, Resource::BufferedBytes].map(|resource| {
                match self.governor.runs_for(Action::ResetStreams, resource) {
                    true => self.governor.excess(readings, resource),
                    false => 0,
                }
            });
            self.reset_heaviest(wanted.into_iter().max().unwrap_or(0));
        }
    }

    fn give_all(&self, order: Order) {
        for orders in &self.overload.shared().orders {
            orders.give(order);
        }
    }

    /// Each worker frees its part of `wanted`, by what its heavy streams hold.
    fn reset_heaviest(&self, wanted: u64) {
        let orders = &self.overload.shared().orders;
        let heavy: Vec<u64> = orders.iter().map(|orders| orders.heavy_bytes.load(Ordering::Relaxed)).collect();
        let sum: u128 = heavy.iter().map(|bytes| u128::from(*bytes)).sum();
        for (orders, bytes) in orders.iter().zip(heavy) {
            let part = (u128::from(wanted) * u128::from(bytes)).div_ceil(sum.max(1));
            if part > 0 {
                orders.give(Order::Reset(u64::try_from(part).unwrap_or(u64::MAX)));
            }
        }
    }
}

/// Whether it is time again, and notes that it was done.
fn due(last: &mut Option<Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= every);
    if due {
        *last = Some(Instant::now());
    }
    due
}

/// Descriptors that are open now. Linux from 6.2 on says it as the size of the
/// folder; before, the entries are counted.
fn open_descriptors() -> Option<u64> {
    let folder = std::path::Path::new("/proc/self/fd");
    let size = std::fs::metadata(folder).ok()?.len();
    match size {
        // The folder that is read is one itself.
        0 => Some((std::fs::read_dir(folder).ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn open_descriptors_are_counted() {
        let before = open_descriptors().unwrap();
        let files: Vec<File> = (0..50).map(|_| File::open("/dev/null").unwrap()).collect();
        let now = open_descriptors().unwrap();
        // Other tests of this process open and close some.
        assert!(now >= before + 40, "{before} {now}");
        drop(files);
    }
}
