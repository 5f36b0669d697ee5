//! What a configuration says of limits.

use crate::Thresholds;

/// A share, from 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// `None` unless it is from 1 to 100.
    pub const fn new(percent: u8) -> Option<Self> {
        match percent {
            1..=100 => Some(Percent(percent)),
            _ => None,
        }
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }

    /// This share of `whole`.
    pub fn of(self, whole: u64) -> u64 {
        (u128::from(whole) * u128::from(self.0) / 100) as u64
    }
}

/// A limit as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// There is none.
    Off,
    /// So many, or so many bytes.
    Absolute(u64),
    /// A share of what there is.
    Share(Percent),
}

/// How many connections clients may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// All of them together.
    pub total: Option<u64>,
    /// Of each listener.
    pub per_listener: Option<u64>,
    /// From one address of a client.
    pub per_client: Option<u64>,
}

/// The section `overload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverloadConfig {
    /// Resident bytes; a share is one of what the control group or the machine
    /// has.
    pub memory: Bound,
    /// Bytes of bodies and output that the proxy holds; a share is one of the
    /// limit of memory.
    pub buffered_bytes: Bound,
    /// Connections of clients.
    pub connections: ConnectionLimits,
    /// Open descriptors; a share is one of what the process may open.
    pub descriptors: Bound,
    /// Streams in progress.
    pub streams: Option<u64>,
    /// Streams that wait for a filter.
    pub pending_filters: Option<u64>,
    /// When actions begin.
    pub actions: Thresholds,
}

impl OverloadConfig {
    /// A share in a constant.
    const fn share(percent: u8) -> Bound {
        match Percent::new(percent) {
            Some(percent) => Bound::Share(percent),
            None => Bound::Off,
        }
    }

    /// No limit at all, for tests and tools.
    pub fn unlimited() -> Self {
        OverloadConfig {
            memory: Bound::Off,
            buffered_bytes: Bound::Off,
            connections: ConnectionLimits { total: None, per_listener: None, per_client: None },
            descriptors: Bound::Off,
            streams: None,
            pending_filters: None,
            actions: Thresholds::default(),
        }
    }
}

impl Default for OverloadConfig {
    fn default() -> Self {
        OverloadConfig {
            memory: Self::share(80),
            buffered_bytes: Self::share(40),
            connections: ConnectionLimits { total: Some(100_000), per_listener: None, per_client: None },
            descriptors: Self::share(90),
            streams: Some(100_000),
            pending_filters: Some(10_000),
            actions: Thresholds::default(),
        }
    }
}
