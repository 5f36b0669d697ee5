//! What is counted of the TLS of one listener or cluster.

use std::sync::Arc;

use crate::{CounterFamily, MetricError, Metrics, TlsAgreed, UpDown};

/// Series of the sessions of a listener (`downstream_tls_*{listener="…"}`) or a
/// cluster (`upstream_tls_*{cluster="…"}`). A request costs nothing of it.
#[derive(Debug)]
pub struct TlsMeters {
    handshakes: CounterFamily<4>,
    failures: CounterFamily<1>,
    /// Of sessions whose handshake was over.
    broken: CounterFamily<1>,
    active: UpDown,
    /// Of listeners alone, as what follows.
    waiting: Option<UpDown>,
    connections: Option<CounterFamily<1>>,
}

/// Whether a client has shown a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// It sent none.
    None,
    /// It sent one that nobody verified: it says nothing of who the client is.
    Unverified,
    /// It sent one that was found good.
    Verified,
}

/// A handshake that goes on; counted as one until it is dropped.
#[derive(Debug)]
pub struct Handshake {
    meters: Arc<TlsMeters>,
    /// What it came to is counted.
    is_over: bool,
}

impl TlsMeters {
    /// Those of a listener; the same ones each time as long as one is there.
    pub fn of_listener(metrics: &Metrics, listener: &str) -> Result<Arc<Self>, MetricError> {
        let owner = ("listener", listener);
        Ok(Arc::new(TlsMeters {
            handshakes: handshakes(metrics, "downstream_tls_handshakes_total", owner),
            failures: failures(metrics, "downstream_tls_handshake_failures_total", owner),
            broken: failures(metrics, "downstream_tls_session_failures_total", owner),
            active: metrics.up_down("downstream_tls_handshakes_active", &[owner])?,
            waiting: Some(metrics.up_down("downstream_tls_handshakes_waiting", &[owner])?),
            connections: Some(CounterFamily::new(
                metrics,
                "downstream_tls_connections_total",
                owner,
                ["client_certificate"],
            )),
        }))
    }

    /// Those of a cluster.
    pub fn of_cluster(metrics: &Metrics, cluster: &str) -> Result<Arc<Self>, MetricError> {
        let owner = ("cluster", cluster);
        Ok(Arc::new(TlsMeters {
            handshakes: handshakes(metrics, "upstream_tls_handshakes_total", owner),
            failures: failures(metrics, "upstream_tls_handshake_failures_total", owner),
            broken: failures(metrics, "upstream_tls_session_failures_total", owner),
            active: metrics.up_down("upstream_tls_handshakes_active", &[owner])?,
            waiting: None,
            connections: None,
        }))
    }

    /// A handshake begins; it ends on the worker that began it.
    pub fn begin(self: &Arc<Self>) -> Handshake {
        self.active.inc();
        Handshake { meters: self.clone(), is_over: false }
    }

    /// A session whose handshake was over has ended by an error. There are few
    /// reasons.
    pub fn session_failed(&self, reason: &'static str) {
        self.broken.inc([reason]);
    }
}

fn handshakes(metrics: &Metrics, name: &'static str, owner: (&'static str, &str)) -> CounterFamily<4> {
    CounterFamily::new(metrics, name, owner, ["version", "cipher", "group", "resumed"])
}

fn failures(metrics: &Metrics, name: &'static str, owner: (&'static str, &str)) -> CounterFamily<1> {
    CounterFamily::new(metrics, name, owner, ["reason"])
}

impl Handshake {
    /// Where what becomes of the session is counted.
    pub fn meters(&self) -> &Arc<TlsMeters> {
        &self.meters
    }

    /// Both sides have agreed.
    pub fn finished(mut self, agreed: &TlsAgreed) {
        self.is_over = true;
        let resumed = if agreed.resumed { "true" } else { "false" };
        self.meters.handshakes.inc([agreed.version, agreed.cipher, agreed.group, resumed]);
    }

    /// The same of a client.
    pub fn finished_with(self, agreed: &TlsAgreed, certificate: ClientCertificate) {
        if let Some(connections) = &self.meters.connections {
            connections.inc([certificate.label()]);
        }
        self.finished(agreed);
    }

    /// Nothing came of it. There are few reasons.
    pub fn failed(mut self, reason: &'static str) {
        self.is_over = true;
        self.meters.failures.inc([reason]);
    }
}

/// A handshake that waits for a place; counted as one until it is dropped.
#[derive(Debug)]
pub struct Waiting<'a>(&'a UpDown);

impl Handshake {
    /// It has no place yet.
    pub fn waits(&self) -> Option<Waiting<'_>> {
        let waiting = self.meters.waiting.as_ref()?;
        waiting.inc();
        Some(Waiting(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.meters.active.dec();
        if !self.is_over {
            // Nobody waited for it any longer.
            self.meters.failures.inc(["given_up"]);
        }
    }
}

impl ClientCertificate {
    /// For a label.
    pub fn label(self) -> &'static str {
        match self {
            ClientCertificate::None => "none",
            ClientCertificate::Unverified => "unverified",
            ClientCertificate::Verified => "verified",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_comes_to_one_thing() {
        let metrics = Metrics::new(1);
        let meters = TlsMeters::of_listener(&metrics, "in").unwrap();
        let agreed = TlsAgreed {
            version: "TLSv1.3",
            cipher: "TLS_AES_128_GCM_SHA256",
            group: "X25519",
            alpn: "h2",
            resumed: false,
        };
        let under_way = meters.begin();
        meters.begin().finished_with(&agreed, ClientCertificate::Verified);
        meters.begin().failed("flood");
        let read = |name: &str, more: &[(&str, &str)]| {
            let labels: Vec<_> = [("listener", "in")].into_iter().chain(more.iter().copied()).collect();
            metrics.known_counter(name, &labels).map(|counter| counter.get())
        };
        let failures = |reason| read("downstream_tls_handshake_failures_total", &[("reason", reason)]);
        let labels =
            [("version", "TLSv1.3"), ("cipher", "TLS_AES_128_GCM_SHA256"), ("group", "X25519"), ("resumed", "false")];
        assert_eq!(read("downstream_tls_handshakes_total", &labels), Some(1));
        assert_eq!(read("downstream_tls_connections_total", &[("client_certificate", "verified")]), Some(1));
        assert_eq!((failures("flood"), failures("given_up"), meters.active.get()), (Some(1), None, 1));
        drop(under_way);
        assert_eq!((failures("given_up"), meters.active.get()), (Some(1), 0));
    }
}
