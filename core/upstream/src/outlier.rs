//! Passive ejection: a host whose answers are bad is left out for a while, in
//! Envoy's terms.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sidegate_api::UpDown;

/// When a host is ejected, and for how long.
///
/// Unlike in Envoy there are no shares of enforcement (what is configured is
/// enforced), failures on our side of the connection count as 5xx and as
/// gateway failures too (Envoy's behaviour without
/// `split_external_local_origin_errors`), and the last host that is well is
/// never ejected: without a panic threshold nobody would be left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierConfig {
    /// Responses with 500 or above in a row; 0: they are not counted.
    pub consecutive_5xx: u32,
    /// Responses with 502, 503 or 504 in a row; 0: they are not counted.
    pub consecutive_gateway_failure: u32,
    /// Failed connects, timeouts and resets in a row; 0: they are not counted.
    pub consecutive_local_origin_failure: u32,
    /// How often ejected hosts are looked over.
    pub interval: Duration,
    /// How long the first ejection lasts; the n-th lasts n times as long.
    pub base_ejection_time: Duration,
    /// The longest ejection.
    pub max_ejection_time: Duration,
    /// No further host is ejected while this share of the hosts is out. One
    /// host may always be, unless this is 0.
    pub max_ejection_percent: u8,
}

impl Default for OutlierConfig {
    /// Envoy's defaults.
    fn default() -> Self {
        OutlierConfig {
            consecutive_5xx: 5,
            consecutive_gateway_failure: 0,
            consecutive_local_origin_failure: 5,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejection_percent: 10,
        }
    }
}

impl OutlierConfig {
    /// How long the `times`-th ejection lasts.
    pub(crate) fn duration(&self, times: u32) -> Duration {
        self.base_ejection_time.saturating_mul(times).min(self.max_ejection_time.max(self.base_ejection_time))
    }

    /// Whether one more host may be ejected.
    pub(crate) fn allows(&self, ejected: usize, hosts: usize) -> bool {
        ejected * 100 < hosts * usize::from(self.max_ejection_percent)
    }
}

/// What came of one attempt at a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostReport {
    /// A response with this status.
    Status(u16),
    /// No connection.
    ConnectFailure,
    /// No response in time.
    Timeout,
    /// The connection broke, or what came was no response.
    Reset,
}

impl HostReport {
    /// Whether it is a failure of any sort.
    pub fn is_failure(self) -> bool {
        !matches!(self, HostReport::Status(..500))
    }
}

/// Failures in a row, of each sort.
#[derive(Debug, Default)]
pub(crate) struct Streaks {
    server: AtomicU32,
    gateway: AtomicU32,
    local: AtomicU32,
}

impl Streaks {
    /// Counts `outcome`; whether a streak became as long as `config` bears.
    pub(crate) fn count(&self, outcome: HostReport, config: &OutlierConfig) -> bool {
        let (server, gateway, local) = match outcome {
            HostReport::Status(502..=504) => (true, true, false),
            HostReport::Status(500..) => (true, false, false),
            HostReport::Status(_) => (false, false, false),
            HostReport::ConnectFailure | HostReport::Timeout | HostReport::Reset => (true, true, true),
        };
        let server = step(&self.server, server, config.consecutive_5xx);
        let gateway = step(&self.gateway, gateway, config.consecutive_gateway_failure);
        let local = step(&self.local, local, config.consecutive_local_origin_failure);
        server || gateway || local
    }

    pub(crate) fn clear(&self) {
        for streak in [&self.server, &self.gateway, &self.local] {
            streak.store(0, Ordering::Relaxed);
        }
    }
}

/// Whether the streak is at its limit now. While all goes well it is a load,
/// so that workers do not fight for the cache line.
fn step(streak: &AtomicU32, failed: bool, limit: u32) -> bool {
    if limit == 0 {
        return false;
    }
    if failed {
        return streak.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= limit;
    }
    if streak.load(Ordering::Relaxed) != 0 {
        streak.store(0, Ordering::Relaxed);
    }
    false
}

/// A host's past in this respect.
#[derive(Debug, Default)]
pub(crate) struct Ejection {
    /// There while it is out.
    pub(crate) now: Option<Ejected>,
    /// Times it was ejected, less the intervals it was well since.
    pub(crate) times: u32,
}

/// A host is out.
#[derive(Debug)]
pub(crate) struct Ejected {
    /// When it may come back.
    pub(crate) until: Instant,
    /// Ends with the ejection, or with the host.
    pub(crate) _counted: Counted,
}

/// One ejection in `upstream_ejections_active`.
#[derive(Debug)]
pub(crate) struct Counted(UpDown);

impl Counted {
    pub(crate) fn new(level: &UpDown) -> Self {
        level.inc();
        Counted(level.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
