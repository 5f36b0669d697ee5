//! Who may stay when there are more clients than places.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Connections at a time.
pub(super) const MAX_CONNECTIONS: usize = 64;
/// A connection that owes a request is safe for so long, so that one that only
/// just came is heard before it has to go.
const SILENCE: Duration = Duration::from_millis(100);
/// And one whose request is being answered.
const PATIENCE: Duration = Duration::from_secs(1);

/// The connections there are. When all places are taken, who has owed a request
/// the longest makes room for the next: clients that say nothing cannot keep
/// out those that ask whether the process is ready.
#[derive(Debug)]
pub(super) struct Places {
    tasks: JoinSet<()>,
    taken: Vec<Place>,
    epoch: Instant,
}

#[derive(Debug)]
struct Place {
    task: AbortHandle,
    activity: Activity,
}

/// What a connection is doing, and since when.
#[derive(Debug, Clone)]
pub(super) struct Activity {
    epoch: Instant,
    /// Milliseconds since the epoch, and in the lowest bit whether a request is
    /// being answered.
    state: Arc<AtomicU64>,
}

/// Who goes first: those that are no longer safe, before them the silent ones,
/// and among equals the one that came first.
type Rank = (Duration, bool, Duration);

impl Places {
    pub(super) fn new() -> Self {
        Places { tasks: JoinSet::new(), taken: Vec::new(), epoch: Instant::now() }
    }

    /// Waits until there is a place. Can be dropped while it waits.
    pub(super) async fn room(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.taken.retain(|place| !place.task.is_finished());
            if self.taken.len() < MAX_CONNECTIONS || self.free_one().await {
                return;
            }
        }
    }

    /// Waits until there is a connection less: that of who has owed a request
    /// the longest. Can be dropped while it waits.
    pub(super) async fn fewer(&mut self) {
        while !self.free_one().await {}
    }

    /// Closes the connection of who goes first, or waits for a change; whether
    /// it closed one.
    async fn free_one(&mut self) -> bool {
        while self.tasks.try_join_next().is_some() {}
        self.taken.retain(|place| !place.task.is_finished());
        let now = self.epoch.elapsed();
        let ranks = self.taken.iter().map(|place| place.activity.rank(now)).enumerate();
        let Some((index, (left, ..))) = ranks.min_by_key(|(_, rank)| *rank) else {
            return std::future::pending().await;
        };
        if left.is_zero() {
            tracing::debug!("admin: closing a connection to make room for another");
            self.taken.remove(index).task.abort();
            return true;
        }
        tokio::select! {
            _ = self.tasks.join_next() => {}
            () = sleep(left) => {}
        }
        false
    }

    /// Gives a place to the connection that `serve` serves.
    pub(super) fn take<F>(&mut self, serve: impl FnOnce(Activity) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let activity = Activity { epoch: self.epoch, state: Arc::default() };
        activity.waits();
        let task = self.tasks.spawn(serve(activity.clone()));
        self.taken.push(Place { task, activity });
    }

    /// Waits at most `patience` for all to end, and ends the rest.
    pub(super) async fn end(mut self, patience: Duration) {
        let _ = timeout(patience, async { while self.tasks.join_next().await.is_some() {} }).await;
    }
}

impl Activity {
    /// A request is owed from now on.
    pub(super) fn waits(&self) {
        self.set(false);
    }

    /// A request is there.
    pub(super) fn answers(&self) {
        self.set(true);
    }

    fn set(&self, answering: bool) {
        let since = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX >> 1);
        self.state.store(since << 1 | u64::from(answering), Ordering::Relaxed);
    }

    /// `now` is since the epoch.
    fn rank(&self, now: Duration) -> Rank {
        let state = self.state.load(Ordering::Relaxed);
        let (since, answering) = (Duration::from_millis(state >> 1), state & 1 == 1);
        let safe = if answering { PATIENCE } else { SILENCE };
        (safe.saturating_sub(now.saturating_sub(since)), answering, since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silent_go_before_the_busy_and_the_old_before_the_new() {
        let now = Duration::from_secs(100);
        let since = [(90_000, false), (80_000, false), (70_000, true), (60_000, true), (99_990, false), (99_990, true)];
        let rank = |&(millis, answering): &(u64, bool)| {
            let state = Arc::new(AtomicU64::new(millis << 1 | u64::from(answering)));
            Activity { epoch: Instant::now(), state }.rank(now)
        };
        let ranks: Vec<Rank> = since.iter().map(rank).collect();
        let mut order: Vec<usize> = (0..ranks.len()).collect();
        order.sort_by_key(|&index| ranks[index]);
        assert_eq!(order, [1, 0, 3, 2, 4, 5]);
        assert!(!ranks[4].0.is_zero(), "whoever just came is safe");
    }
}
