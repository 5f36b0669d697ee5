//! From readings to actions: pure, so that every case is a table.

use crate::limits::InForce;
use crate::{Action, ResolvedLimits, Thresholds};

/// An action that has begun ends when the pressure is so many points below its
/// threshold: it would begin and end with every reading otherwise.
const HYSTERESIS: u32 = 5;
/// Pressure at which there is nothing left.
const FULL: u32 = 100;

/// What may run short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    Memory,
    BufferedBytes,
    Connections,
    Descriptors,
    Streams,
    PendingFilters,
}

impl Resource {
    pub(crate) const ALL: [Resource; 6] = [
        Resource::Memory,
        Resource::BufferedBytes,
        Resource::Connections,
        Resource::Descriptors,
        Resource::Streams,
        Resource::PendingFilters,
    ];

    /// The limit's name in the configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Resource::Memory => "memory",
            Resource::BufferedBytes => "buffered_bytes",
            Resource::Connections => "connections.total",
            Resource::Descriptors => "descriptors",
            Resource::Streams => "streams",
            Resource::PendingFilters => "pending_filters",
        }
    }

    pub(crate) fn limit(self, limits: &ResolvedLimits) -> Option<u64> {
        match self {
            Resource::Memory => limits.memory,
            Resource::BufferedBytes => limits.buffered_bytes,
            Resource::Connections => limits.connections.total,
            Resource::Descriptors => limits.descriptors,
            Resource::Streams => limits.streams,
            Resource::PendingFilters => limits.pending_filters,
        }
    }
}

/// How much of each resource is used, in the order of [`Resource::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Readings(pub(crate) [u64; 6]);

impl Readings {
    pub(crate) fn of(&self, resource: Resource) -> u64 {
        self.0[resource as usize]
    }
}

/// An action that begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// For want of this, of which so many percent are used.
    Begins(Action, Resource, u32),
    Ends(Action),
}

/// Which actions run.
#[derive(Debug)]
pub(crate) struct Governor {
    limits: ResolvedLimits,
    thresholds: Thresholds,
    /// For each action and resource whether the one runs for the other.
    running: [[bool; 6]; 5],
}

impl Governor {
    pub(crate) fn new(InForce { limits, actions }: InForce) -> Self {
        Governor { limits, thresholds: actions, running: [[false; 6]; 5] }
    }

    /// Goes by other limits from the next readings on. What runs then ends where
    /// it would end if it had begun by them.
    pub(crate) fn turn_to(&mut self, InForce { limits, actions }: InForce) {
        (self.limits, self.thresholds) = (limits, actions);
    }

    /// Takes new readings and says what changes.
    pub(crate) fn update(&mut self, readings: &Readings) -> Vec<Change> {
        let mut changes = Vec::new();
        for action in Action::ALL {
            let before = self.runs(action);
            let mut worst: Option<(u32, Resource)> = None;
            for resource in Resource::ALL {
                let running = &mut self.running[action as usize][resource as usize];
                let Some(begin) = begin(&self.thresholds, action, resource) else {
                    *running = false;
                    continue;
                };
                let now = pressure(&self.limits, readings, resource);
                let end = begin.saturating_sub(HYSTERESIS);
                *running = if *running { now >= end.max(1) } else { now >= begin };
                if *running && worst.is_none_or(|(most, _)| now > most) {
                    worst = Some((now, resource));
                }
            }
            match worst {
                Some((now, resource)) if !before => changes.push(Change::Begins(action, resource, now)),
                None if before => changes.push(Change::Ends(action)),
                _ => {}
            }
        }
        changes
    }

    pub(crate) fn limit(&self, resource: Resource) -> Option<u64> {
        resource.limit(&self.limits)
    }

    pub(crate) fn runs(&self, action: Action) -> bool {
        self.running[action as usize].iter().any(|running| *running)
    }

    pub(crate) fn runs_for(&self, action: Action, resource: Resource) -> bool {
        self.running[action as usize][resource as usize]
    }

    /// Bytes of `resource` to be freed until resets would end.
    pub(crate) fn excess(&self, readings: &Readings, resource: Resource) -> u64 {
        let (Some(whole), Some(begin)) = (reach(&self.limits, resource), self.thresholds.begin(Action::ResetStreams))
        else {
            return 0;
        };
        let end = u64::from(u32::from(begin).saturating_sub(HYSTERESIS));
        readings.of(resource).saturating_sub((u128::from(whole) * u128::from(end) / 100) as u64)
    }

    /// The highest pressure there is.
    pub(crate) fn highest(&self, readings: &Readings) -> u32 {
        Resource::ALL.into_iter().map(|resource| pressure(&self.limits, readings, resource)).max().unwrap_or(0)
    }
}

/// From where on `action` runs for want of `resource`.
fn begin(thresholds: &Thresholds, action: Action, resource: Resource) -> Option<u32> {
    let begin = thresholds.begin(action).map(u32::from)?;
    match (action, resource) {
        (_, Resource::Memory)
        | (Action::CloseIdle, Resource::Connections | Resource::Descriptors)
        | (Action::ResetStreams, Resource::BufferedBytes) => Some(begin),
        // What has a number of its own is used up to it.
        (Action::StopAccepting, Resource::Connections | Resource::Descriptors)
        | (Action::RefuseStreams, Resource::Streams | Resource::PendingFilters) => Some(FULL),
        _ => None,
    }
}

/// How much of `resource` is used when `action` begins for want of it.
pub(crate) fn threshold(in_force: &InForce, action: Action, resource: Resource) -> Option<u64> {
    let begin = begin(&in_force.actions, action, resource)?;
    let whole = reach(&in_force.limits, resource)?;
    u64::try_from(u128::from(whole) * u128::from(begin) / 100).ok()
}

/// What of `resource` is there for all: the last of the buffered bytes are for
/// streams that hold little.
fn reach(limits: &ResolvedLimits, resource: Resource) -> Option<u64> {
    let limit = resource.limit(limits)?;
    Some(if resource == Resource::BufferedBytes { crate::quota::without_reserve(limit) } else { limit })
}

/// In percent.
fn pressure(limits: &ResolvedLimits, readings: &Readings, resource: Resource) -> u32 {
    match reach(limits, resource) {
        None => 0,
        Some(whole) => {
            let percent = u128::from(readings.of(resource)) * 100 / u128::from(whole.max(1));
            u32::try_from(percent).unwrap_or(u32::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Machine, OverloadConfig};

    fn governor() -> Governor {
        let machine = Machine { memory: Some(1250), descriptors: Some(1000) };
        let config = OverloadConfig {
            memory: crate::Bound::Absolute(1000),
            buffered_bytes: crate::Bound::Absolute(1600),
            streams: Some(10),
            ..OverloadConfig::default()
        };
        Governor::new(InForce::new(&config, &machine))
    }

    fn with(resource: Resource, value: u64) -> Readings {
        let mut readings = Readings::default();
        readings.0[resource as usize] = value;
        readings
    }

    fn names(governor: &Governor) -> Vec<&'static str> {
        Action::ALL.into_iter().filter(|action| governor.runs(*action)).map(Action::name).collect()
    }

    #[test]
    fn actions_begin_in_order_and_end_below_where_they_began() {
        let mut governor = governor();
        for (memory, running) in [
            (799, &[][..]),
            (800, &["close_idle"][..]),
            (850, &["close_idle", "shrink_buffers"][..]),
            (900, &["close_idle", "shrink_buffers", "reset_streams"][..]),
            (960, &["close_idle", "shrink_buffers", "reset_streams", "stop_accepting"][..]),
            (2000, &["close_idle", "shrink_buffers", "reset_streams", "stop_accepting", "refuse_streams"][..]),
            (930, &["close_idle", "shrink_buffers", "reset_streams", "stop_accepting", "refuse_streams"][..]),
            (920, &["close_idle", "shrink_buffers", "reset_streams", "stop_accepting"][..]),
            (899, &["close_idle", "shrink_buffers", "reset_streams"][..]),
            (750, &["close_idle"][..]),
            (749, &[][..]),
        ] {
            governor.update(&with(Resource::Memory, memory));
            assert_eq!(names(&governor), running, "{memory}");
        }
    }

    #[test]
    fn each_change_is_said_once_with_its_cause() {
        let mut governor = governor();
        let full = with(Resource::Connections, 100_000);
        assert_eq!(
            governor.update(&full),
            [
                Change::Begins(Action::CloseIdle, Resource::Connections, 100),
                Change::Begins(Action::StopAccepting, Resource::Connections, 100)
            ]
        );
        assert_eq!(governor.update(&full), []);
        assert_eq!(governor.update(&with(Resource::Connections, 94_000)), [Change::Ends(Action::StopAccepting)]);
        assert_eq!(governor.update(&Readings::default()), [Change::Ends(Action::CloseIdle)]);
    }

    #[test]
    fn held_bytes_reset_streams_and_nothing_else() {
        let mut governor = governor();
        // 1500 of 1600 are for streams that hold much; 90 % of them are 1350.
        let readings = with(Resource::BufferedBytes, 1400);
        governor.update(&readings);
        assert_eq!(names(&governor), ["reset_streams"]);
        assert_eq!(governor.excess(&readings, Resource::BufferedBytes), 1400 - 1275);
        assert!(!governor.runs_for(Action::ResetStreams, Resource::Memory));
        assert_eq!(governor.highest(&readings), 93);
    }

    #[test]
    fn what_runs_ends_by_other_limits() {
        let of = |memory, actions| {
            let memory = crate::Bound::Absolute(memory);
            let config = OverloadConfig { memory, actions: Thresholds::new(actions), ..OverloadConfig::default() };
            InForce::new(&config, &Machine::default())
        };
        let readings = with(Resource::Memory, 900);
        let default = [80, 85, 90, 95, 98];
        let mut governor = Governor::new(of(1000, default));
        governor.update(&readings);
        assert_eq!(names(&governor), ["close_idle", "shrink_buffers", "reset_streams"]);
        governor.turn_to(of(1100, default));
        assert_eq!(governor.update(&readings), [Change::Ends(Action::ResetStreams)]);
        // One that is off ends, whatever the pressure is.
        governor.turn_to(of(1000, [0, 85, 0, 95, 98]));
        assert_eq!(governor.update(&readings), [Change::Ends(Action::CloseIdle)]);
        governor.turn_to(of(500, [0, 85, 0, 95, 98]));
        governor.update(&readings);
        assert_eq!(names(&governor), ["shrink_buffers", "stop_accepting", "refuse_streams"]);
        governor.turn_to(InForce::new(&OverloadConfig::unlimited(), &Machine::default()));
        assert_eq!(governor.update(&readings).len(), 3);
        assert_eq!(names(&governor), [""; 0]);
    }

    #[test]
    fn what_has_a_number_is_used_up_to_it() {
        let mut governor = governor();
        governor.update(&with(Resource::Streams, 9));
        assert_eq!(names(&governor), [""; 0]);
        governor.update(&with(Resource::Streams, 10));
        assert_eq!(names(&governor), ["refuse_streams"]);
        governor.update(&with(Resource::Descriptors, 810));
        assert_eq!(names(&governor), ["close_idle"]);
    }
}
