//! A worker's books: what its streams hold and use.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::task::Waker;

use crate::heavy::Heavy;
use crate::quota::{Reach, Share};
use crate::{HeavyMark, IdleOrder, Overload};

/// Bytes up to which a stream holds little: the last part of the limit is kept
/// for such, and nobody looks among them for the heaviest.
pub const SMALL_BYTES: u64 = 64 * 1024;

/// The least peak of held bytes after which giving memory back is worth its
/// cost.
const PEAK_BYTES: u64 = 4 << 20;

/// A worker's part in the limits of the process. Not shared: in it are plain
/// cells.
#[derive(Debug)]
pub struct Ledger {
    overload: Overload,
    worker: usize,
    bytes: Share,
    streams: Share,
    pending: Share,
    heavy: Heavy,
    heavy_bytes: Cell<u64>,
    /// Connections between requests.
    pub idle: IdleOrder,
    /// The most bytes that were held since memory was given back.
    peak: Cell<u64>,
}

/// What is short, where something was refused for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Resident memory.
    Memory,
    /// Streams in progress.
    Streams,
    /// Held bytes.
    BufferedBytes,
    /// Streams that wait for filters.
    PendingFilters,
}

impl Shortage {
    /// All of them.
    pub const ALL: [Shortage; 4] =
        [Shortage::Memory, Shortage::Streams, Shortage::BufferedBytes, Shortage::PendingFilters];

    /// The limit's name in the configuration.
    pub fn limit(self) -> &'static str {
        match self {
            Shortage::Memory => "memory",
            Shortage::Streams => "streams",
            Shortage::BufferedBytes => "buffered_bytes",
            Shortage::PendingFilters => "pending_filters",
        }
    }

    /// For access logs and the body of the reply.
    pub fn details(self) -> &'static str {
        match self {
            Shortage::Memory => "overload_memory",
            Shortage::Streams => "overload_streams",
            Shortage::BufferedBytes => "overload_buffered_bytes",
            Shortage::PendingFilters => "overload_pending_filters",
        }
    }
}

impl Ledger {
    pub(crate) fn new(overload: Overload, worker: usize) -> Self {
        let shared = overload.shared();
        let (bytes, streams, pending) =
            (Share::new(shared.bytes.clone()), Share::new(shared.streams.clone()), Share::new(shared.pending.clone()));
        Ledger {
            bytes,
            streams,
            pending,
            heavy: Heavy::default(),
            heavy_bytes: Cell::new(0),
            idle: IdleOrder::default(),
            peak: Cell::new(0),
            overload,
            worker,
        }
    }

    /// A stream begins; [`Ledger::stream_ends`] is due for it if it may.
    #[inline]
    pub fn stream_begins(&self) -> Result<(), Shortage> {
        if self.overload.refuses_streams() {
            return Err(self.refused(Shortage::Memory));
        }
        if !self.streams.take_one() {
            return Err(self.refused(Shortage::Streams));
        }
        Ok(())
    }

    /// A stream that began has ended.
    #[inline]
    pub fn stream_ends(&self) {
        self.streams.give_one();
    }

    /// A stream that holds `held` bytes wants to hold `more`. Asked before the
    /// memory is there.
    pub fn hold(&self, held: u64, more: u64) -> Result<(), Shortage> {
        let small = held.saturating_add(more) <= SMALL_BYTES;
        let reach = if small { Reach::Whole } else { Reach::AllButReserve };
        // Growth that needs no more of the quota is of what was freed before.
        let grows = !small && !self.bytes.has(more);
        if (!small && self.overload.refuses_holds())
            || (grows && !self.overload.has_memory())
            || !self.bytes.take(more, reach)
        {
            return Err(Shortage::BufferedBytes);
        }
        self.note_peak();
        Ok(())
    }

    /// Counts bytes that are there already.
    pub fn hold_anyway(&self, more: u64) {
        self.bytes.take(more, Reach::Beyond);
        self.note_peak();
    }

    /// Bytes were given up.
    pub fn release(&self, bytes: u64) {
        self.bytes.give(bytes);
    }

    /// The stream of `mark` holds `bytes` in all and held `before` when it last
    /// said so. `waker`: of its task; a stream that becomes a heavy one without
    /// it cannot be reset until it says so again.
    pub fn weigh(&self, mark: &HeavyMark, before: u64, bytes: u64, waker: Option<&Waker>) {
        self.publish_heavy(before, bytes);
        match (bytes > SMALL_BYTES, waker) {
            (true, Some(waker)) => self.heavy.put(mark, bytes, waker),
            (true, None) => {}
            (false, _) => self.heavy.remove(mark),
        }
    }

    /// The stream of `mark` has ended; it held `before` when it last said so.
    pub fn forget(&self, mark: &HeavyMark, before: u64) {
        self.publish_heavy(before, 0);
        self.heavy.remove(mark);
    }

    /// Whether the stream of `mark` is to be reset, for what it holds.
    #[inline]
    pub fn is_condemned(&self, mark: &HeavyMark) -> bool {
        self.heavy.is_condemned(mark)
    }

    /// Condemns the heaviest streams until they hold `bytes` together.
    pub fn condemn(&self, bytes: u64) {
        let count = self.heavy.condemn(bytes);
        self.overload.shared().meters.streams_reset(count);
    }

    /// A stream begins to wait for a filter; [`Ledger::pending_ends`] is due for
    /// it if it may.
    pub fn pending_begins(&self) -> Result<(), Shortage> {
        match self.pending.take_one() {
            true => Ok(()),
            false => Err(self.refused(Shortage::PendingFilters)),
        }
    }

    /// A stream does not wait any more.
    pub fn pending_ends(&self) {
        self.pending.give_one();
    }

    /// Counts a stream that was refused.
    #[cold]
    pub fn refused(&self, shortage: Shortage) -> Shortage {
        self.overload.shared().meters.refused(shortage);
        shortage
    }

    /// Counts idle connections that are closed.
    pub fn closed_idle(&self, downstream: usize, upstream: usize) {
        self.overload.shared().meters.idle_closed(downstream, upstream);
    }

    /// Whether memory is so short that nothing is to be kept for speed.
    pub fn is_tight(&self) -> bool {
        self.overload.is_tight()
    }

    /// Whether the bytes held have fallen to less than half of a peak that was
    /// worth it. Asked now and then.
    pub fn fell_from_peak(&self) -> bool {
        let now = self.bytes.used();
        let fell = self.peak.get() >= PEAK_BYTES && now < self.peak.get() / 2;
        if fell {
            self.peak.set(now);
        }
        fell
    }

    /// Waits for orders of the manager.
    pub async fn orders(&self) -> Vec<crate::Order> {
        match self.overload.shared().orders.get(self.worker) {
            Some(orders) => orders.taken().await,
            None => std::future::pending().await,
        }
    }

    /// Gives back what this worker has in hand of the limits unused, after they
    /// have changed.
    pub fn settle(&self) {
        for share in [&self.bytes, &self.streams, &self.pending] {
            share.settle();
        }
    }

    fn note_peak(&self) {
        self.peak.set(self.peak.get().max(self.bytes.used()));
    }

    fn publish_heavy(&self, before: u64, now: u64) {
        let counted = |bytes: u64| if bytes > SMALL_BYTES { bytes } else { 0 };
        let sum = self.heavy_bytes.get().saturating_sub(counted(before)).saturating_add(counted(now));
        self.heavy_bytes.set(sum);
        if let Some(orders) = self.overload.shared().orders.get(self.worker) {
            orders.heavy_bytes.store(sum, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::InForce;
    use crate::meters::Meters;
    use crate::{Bound, Machine, OverloadConfig, Thresholds};

    fn overload(config: OverloadConfig) -> Overload {
        Overload::with(InForce::new(&config, &Machine::default()), 1, Meters::none())
    }

    fn ledger(config: OverloadConfig) -> Ledger {
        overload(config).ledger(0)
    }

    #[test]
    fn the_last_sixteenth_is_for_streams_that_hold_little() {
        let ledger =
            ledger(OverloadConfig { buffered_bytes: Bound::Absolute(16 << 20), ..OverloadConfig::unlimited() });
        assert_eq!(ledger.hold(0, 15 << 20), Ok(()));
        assert_eq!(ledger.hold(15 << 20, 1024), Err(Shortage::BufferedBytes));
        assert_eq!(ledger.hold(0, SMALL_BYTES), Ok(()));
        assert_eq!(ledger.hold(SMALL_BYTES, 1), Err(Shortage::BufferedBytes));
        ledger.release(15 << 20);
        assert!(ledger.fell_from_peak() && !ledger.fell_from_peak());
    }

    #[test]
    fn who_takes_much_looks_at_memory_without_waiting_for_the_manager() {
        // A process of any size is beyond it, and no manager runs here.
        let short = |actions| {
            let memory = Bound::Absolute(1);
            ledger(OverloadConfig { memory, actions: Thresholds::new(actions), ..OverloadConfig::unlimited() })
        };
        let ledger = short([80, 85, 90, 95, 98]);
        assert_eq!(ledger.hold(0, SMALL_BYTES), Ok(()));
        assert_eq!(ledger.hold(SMALL_BYTES, 1), Ok(()), "from what it has taken already");
        assert_eq!(ledger.hold(0, 1 << 20), Err(Shortage::BufferedBytes));
        let off = short([80, 85, 0, 95, 98]);
        assert_eq!(off.hold(0, 1 << 20), Ok(()));
    }

    #[test]
    fn weights_are_known_and_the_heaviest_is_condemned() {
        let ledger = ledger(OverloadConfig::unlimited());
        let (light, heavy) = (HeavyMark::default(), HeavyMark::default());
        ledger.weigh(&light, 0, 10, Some(Waker::noop()));
        ledger.weigh(&heavy, 0, SMALL_BYTES * 2, Some(Waker::noop()));
        ledger.condemn(1);
        assert!(ledger.is_condemned(&heavy) && !ledger.is_condemned(&light));
        ledger.forget(&heavy, SMALL_BYTES * 2);
        assert_eq!(ledger.heavy_bytes.get(), 0);
    }

    #[test]
    fn limits_change_while_streams_run() {
        let with = |limit: Option<u64>, bytes: Bound| OverloadConfig {
            streams: limit,
            pending_filters: limit,
            buffered_bytes: bytes,
            ..OverloadConfig::unlimited()
        };
        let overload = overload(with(None, Bound::Off));
        let ledger = overload.ledger(0);
        let turn_to = |config: &OverloadConfig| {
            overload.turn_to(config, &Machine::default());
            ledger.settle();
        };
        for _ in 0..3 {
            assert_eq!((ledger.stream_begins(), ledger.pending_begins()), (Ok(()), Ok(())));
        }
        assert_eq!(ledger.hold(0, 32 << 20), Ok(()));
        turn_to(&with(Some(2), Bound::Absolute(16 << 20)));
        for _ in 0..2 {
            assert_eq!(ledger.stream_begins(), Err(Shortage::Streams));
            assert_eq!(ledger.pending_begins(), Err(Shortage::PendingFilters));
            ledger.stream_ends();
            ledger.pending_ends();
        }
        assert_eq!((ledger.stream_begins(), ledger.pending_begins()), (Ok(()), Ok(())));
        assert_eq!(ledger.hold(0, 1), Err(Shortage::BufferedBytes));
        ledger.release(32 << 20);
        assert_eq!(ledger.hold(0, 8 << 20), Ok(()));
        assert_eq!(ledger.hold(0, 8 << 20), Err(Shortage::BufferedBytes));
        turn_to(&with(Some(3), Bound::Off));
        assert_eq!(ledger.hold(0, 8 << 20), Ok(()));
        assert_eq!((ledger.stream_begins(), ledger.pending_begins()), (Ok(()), Ok(())));
        assert_eq!(ledger.stream_begins(), Err(Shortage::Streams));
        turn_to(&with(None, Bound::Off));
        assert_eq!((ledger.stream_begins(), ledger.pending_begins()), (Ok(()), Ok(())));
    }

    #[test]
    fn streams_and_pending_filters_have_limits() {
        let ledger =
            ledger(OverloadConfig { streams: Some(1), pending_filters: Some(1), ..OverloadConfig::unlimited() });
        assert_eq!(ledger.stream_begins(), Ok(()));
        assert_eq!(ledger.stream_begins(), Err(Shortage::Streams));
        ledger.stream_ends();
        assert_eq!(ledger.stream_begins(), Ok(()));
        assert_eq!(ledger.pending_begins(), Ok(()));
        assert_eq!(ledger.pending_begins(), Err(Shortage::PendingFilters));
        ledger.pending_ends();
        assert_eq!(ledger.pending_begins(), Ok(()));
    }
}
