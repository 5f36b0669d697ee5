//! What a run came to.

use serde::Serialize;

/// One run, as a line of JSON.
#[derive(Debug, Serialize, PartialEq)]
pub(crate) struct Report {
    /// Replies that came within the time that counts.
    pub(crate) requests: u64,
    pub(crate) rps: f64,
    /// Replies other than 2xx and broken connections.
    pub(crate) errors: u64,
    /// From when a request was due (open loop) or sent, to its reply's last
    /// byte.
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    /// Requests that were due and found no free connection.
    pub(crate) queued: u64,
    /// Open loop: part of the time in which there was something to do here; 0
    /// in the closed loop.
    pub(crate) busy: f64,
    /// Handshakes of TLS of those who make a connection for each request.
    pub(crate) full: u64,
    pub(crate) resumed: u64,
    /// Handshakes that were begun and not gone on with.
    pub(crate) stalled: usize,
}

/// Latencies in steps of 100 ns.
#[derive(Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    pub(crate) fn add(&mut self, time: std::time::Duration) {
        self.0.push(u32::try_from(time.as_nanos() / 100).unwrap_or(u32::MAX));
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Microseconds below which `part` of them are.
    pub(crate) fn quantile(&mut self, part: f64) -> f64 {
        let place = (self.0.len() as f64 * part) as usize;
        let place = place.min(self.0.len().saturating_sub(1));
        if self.0.is_empty() {
            return 0.0;
        }
        f64::from(*self.0.select_nth_unstable(place).1) / 10.0
    }
}

#[cfg(test)]
mod tests {
    use super::Latencies;
    use std::time::Duration;

    #[test]
    fn quantiles_are_microseconds() {
        let mut latencies = Latencies::default();
        for micros in (1..=1000).rev() {
            latencies.add(Duration::from_micros(micros));
        }
        assert_eq!(latencies.quantile(0.5), 501.0);
        assert_eq!(latencies.quantile(0.99), 991.0);
        assert_eq!(latencies.quantile(1.0), 1000.0);
        assert_eq!(Latencies::default().quantile(0.5), 0.0);
    }
}
