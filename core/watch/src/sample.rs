//! Telling from looks at a thread whether it stands still.

use std::time::{Duration, Instant};

use crate::thread::{At, Role};

/// Looks in a row without a beat after which a thread stands still. Looks are
/// counted and not time, so that a process that was stopped as a whole, or a
/// machine that slept, is none.
pub(crate) const PATIENCE: u32 = 5;

/// One look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) beats: u64,
    pub(crate) at: Option<At>,
    pub(crate) now: Instant,
}

/// What is known of a thread from earlier looks.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    last: Option<u64>,
    still: u32,
    /// Where it was seen while it stood still: a loop of many short calls is
    /// outside of all of them now and then.
    at: Option<At>,
    /// When the looks without a beat began.
    since: Option<Instant>,
}

/// What a look tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing new.
    None,
    /// It stands still, from now on.
    Stuck { at: Option<At> },
    /// It stood still, for this long.
    Free { after: Duration },
}

impl Sampler {
    pub(crate) fn look(&mut self, role: Role, look: Look) -> Change {
        let waits = role == Role::Jobs && look.at.is_none();
        if self.last != Some(look.beats) || waits {
            let was_stuck = self.still >= PATIENCE;
            let since = self.since.replace(look.now);
            *self = Sampler { last: Some(look.beats), since: Some(look.now), ..Sampler::default() };
            return match since {
                Some(since) if was_stuck => Change::Free { after: look.now.saturating_duration_since(since) },
                _ => Change::None,
            };
        }
        self.still = self.still.saturating_add(1);
        self.at = look.at.or(self.at);
        if self.still == PATIENCE { Change::Stuck { at: self.at } } else { Change::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hook, Place};

    const TICK: Duration = Duration::from_millis(250);

    /// Looks at a thread that shows these beats and places.
    fn watch(role: Role, looks: &[(u64, Option<At>)]) -> Vec<(usize, Change)> {
        let (mut sampler, start) = (Sampler::default(), Instant::now());
        let look = |(index, &(beats, at)): (usize, &(u64, Option<At>))| {
            let now = start + TICK * index as u32;
            (index, sampler.look(role, Look { beats, at, now }))
        };
        looks.iter().enumerate().map(look).filter(|(_, change)| *change != Change::None).collect()
    }

    fn somewhere() -> Option<At> {
        Some(At { place: Place::built_in("slow"), hook: Hook::RequestBody })
    }

    #[test]
    fn a_worker_that_beats_is_fine_wherever_it_is() {
        let looks: Vec<_> = (0..50).map(|beat| (beat, somewhere())).collect();
        assert_eq!(watch(Role::Worker(0), &looks), []);
    }

    #[test]
    fn one_incident_is_said_once_and_ends_once() {
        let mut looks = vec![(1, None); 1];
        looks.extend([(1, somewhere()); 20]);
        looks.extend([(2, None), (3, None)]);
        looks.extend([(3, None); 10]);
        let wanted = [
            (5, Change::Stuck { at: somewhere() }),
            (21, Change::Free { after: TICK * 21 }),
            (27, Change::Stuck { at: None }),
        ];
        assert_eq!(watch(Role::Worker(0), &looks), wanted);
    }

    #[test]
    fn a_pause_below_the_patience_is_nothing() {
        let looks: Vec<_> = (0..40).map(|look| (look / u64::from(PATIENCE), None)).collect();
        assert_eq!(watch(Role::Worker(0), &looks), []);
    }

    #[test]
    fn a_loop_of_short_calls_is_named_although_a_look_may_miss_it() {
        let mut looks = vec![(7, None); 3];
        looks.push((7, somewhere()));
        looks.extend([(7, None); 4]);
        assert_eq!(watch(Role::Worker(0), &looks), [(5, Change::Stuck { at: somewhere() })]);
    }

    #[test]
    fn who_waits_for_jobs_does_not_stand_still() {
        assert_eq!(watch(Role::Jobs, &[(3, None); 50]), []);
        let mut looks = vec![(3, None); 20];
        looks.extend([(4, somewhere()); 10]);
        looks.push((4, None));
        let wanted = [(25, Change::Stuck { at: somewhere() }), (30, Change::Free { after: TICK * 10 })];
        assert_eq!(watch(Role::Jobs, &looks), wanted);
    }
}
