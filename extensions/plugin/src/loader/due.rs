//! When a plugin is asked again.

use std::time::{Duration, SystemTime};

use sidegate_tls::Validity;

/// How often certificates are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refresh {
    /// Zero: only before they expire.
    pub interval: Duration,
    /// So long before they expire; `None`: a third of the time in which they
    /// are good.
    pub before: Option<Duration>,
}

impl Refresh {
    /// When to ask after an answer at `now`; `None`: it is time already, as the
    /// plugin has nothing newer.
    pub fn due(&self, validity: Validity, now: SystemTime) -> Option<SystemTime> {
        let life = validity.not_after.duration_since(validity.not_before).unwrap_or_default();
        let before = self.before.unwrap_or(life / 3);
        let expiring = validity.not_after.checked_sub(before).unwrap_or(now);
        let by_interval = now.checked_add(self.interval).filter(|_| !self.interval.is_zero());
        (expiring > now).then(|| by_interval.map_or(expiring, |then| then.min(expiring)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_first_counts() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let hour = Duration::from_secs(3600);
        let validity = Validity { not_before: start, not_after: start + 30 * hour };
        let due = |interval, before, now| Refresh { interval, before }.due(validity, now);
        assert_eq!(due(hour, None, start), Some(start + hour));
        assert_eq!(due(100 * hour, None, start), Some(start + 20 * hour));
        assert_eq!(due(Duration::ZERO, None, start), Some(start + 20 * hour));
        assert_eq!(due(Duration::ZERO, Some(hour), start), Some(start + 29 * hour));
        assert_eq!(due(hour, None, start + 21 * hour), None);
        assert_eq!(due(hour, None, start + 40 * hour), None);
        assert_eq!(due(Duration::MAX, Some(Duration::MAX), start), None);
        assert_eq!(due(Duration::MAX, None, start), Some(start + 20 * hour));
    }
}
