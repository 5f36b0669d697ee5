//! What only HTTP/2 has to count, of one listener's connections.

use sidegate_api::{Counter, MetricError, Together};

/// Handles of the `downstream_http2_*{listener="…"}` series.
#[derive(Debug, Clone)]
pub struct DownstreamHttp2Stats {
    streams: Counter,
    resets_received: Counter,
    resets_sent: Counter,
    goaways_received: Counter,
    goaways_sent: Counter,
    heads_refused: Counter,
    pings_timed_out: Counter,
    /// In the order of [`REFUSED`], then all others.
    refused: [Counter; REFUSED.len() + 1],
}

/// Why connections were ended with `GOAWAY`: too many frames of a kind, or a
/// head that did not come to its end.
const REFUSED: [&str; 9] = [
    "reset",
    "provoked_reset",
    "ping",
    "settings",
    "other",
    "window_update",
    "empty_data",
    "continuation",
    "slow_head",
];

impl DownstreamHttp2Stats {
    pub(crate) fn define(series: &Together<'_>) -> Result<Self, MetricError> {
        let counter = |key: &str| series.counter(&format!("downstream_http2_{key}_total"));
        let mut refused = Vec::with_capacity(REFUSED.len());
        for kind in REFUSED {
            refused.push(counter(&format!("refused_{kind}"))?);
        }
        let protocol = counter("refused_protocol")?;
        Ok(DownstreamHttp2Stats {
            streams: counter("streams")?,
            resets_received: counter("resets_received")?,
            resets_sent: counter("resets_sent")?,
            goaways_received: counter("goaways_received")?,
            goaways_sent: counter("goaways_sent")?,
            heads_refused: counter("heads_refused")?,
            pings_timed_out: counter("pings_timed_out")?,
            refused: std::array::from_fn(|index| refused.get(index).unwrap_or(&protocol).clone()),
        })
    }

    /// Clients opened streams.
    pub fn opened(&self, count: u64) {
        self.streams.add(count);
    }

    /// Streams were reset, by clients and by us.
    pub fn resets(&self, received: u64, sent: u64) {
        self.resets_received.add(received);
        self.resets_sent.add(sent);
    }

    /// `GOAWAY` came and went.
    pub fn goaways(&self, received: u64, sent: u64) {
        self.goaways_received.add(received);
        self.goaways_sent.add(sent);
    }

    /// Streams whose heads were no requests, or were reset before anybody
    /// looked: no access log has them.
    pub fn heads_refused(&self, count: u64) {
        self.heads_refused.add(count);
    }

    /// A connection was cut because the client did not answer a ping.
    pub fn ping_timed_out(&self) {
        self.pings_timed_out.inc();
    }

    /// A connection was ended because of what the client sent; `kind` says what
    /// there was too much of, or how the protocol was broken.
    pub fn refused(&self, kind: &str) {
        let index = REFUSED.iter().position(|&known| known == kind).unwrap_or(REFUSED.len());
        self.refused[index].inc();
    }
}
