//! Statistics of connections and requests to a host.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use sidegate_net::Traffic;
use sidegate_stream::h2::{Noticed, Watcher};
use sidegate_stream::{ClosedBy, OnClose};
use sidegate_upstream::{Cluster, Host, HostReport, Permit};

use crate::outcome::{Counted, Ended, Outcome};
use crate::view::ClusterView;

/// Counts one upstream connection for as long as it lives.
#[derive(Debug)]
pub(crate) struct ConnectionCount {
    cluster: Arc<Cluster>,
    host: Arc<Host>,
    _permit: Permit,
}

impl ConnectionCount {
    /// One to the member at `position` of `cluster`.
    pub(crate) fn new(cluster: &Arc<Cluster>, position: usize, permit: Permit) -> Self {
        let host = cluster.members()[position].host.clone();
        host.count(|m| {
            m.connection_total.inc();
            m.connection_active.inc();
        });
        ConnectionCount { cluster: cluster.clone(), host, _permit: permit }
    }
}

impl OnClose for ConnectionCount {
    fn closed(&self, by: ClosedBy) {
        self.host.count(|m| {
            m.connection_active.dec();
            m.connection_close.inc();
            match by {
                ClosedBy::Us => m.connection_local_close.inc(),
                ClosedBy::Peer => m.connection_remote_close.inc(),
            }
        });
    }
}

impl Watcher for ConnectionCount {
    #[cold]
    fn noticed(&self, what: Noticed) {
        self.cluster.count_http2(|m| match what {
            Noticed::GoAway => m.goaways.inc(),
            Noticed::NotProcessed => m.refused.inc(),
            Noticed::PingTimedOut => m.pings_timed_out.inc(),
            Noticed::Flood(_) => m.floods.inc(),
        });
        let (cluster, host) = (&**self.cluster.name(), self.host.text().as_str());
        match what {
            Noticed::GoAway | Noticed::NotProcessed => {}
            Noticed::PingTimedOut => tracing::warn!(cluster, host, "a host does not answer pings: connection cut"),
            Noticed::Flood(kind) => {
                tracing::warn!(cluster, host, frames = kind.name(), "a host sends too many frames: connection cut");
            }
        }
    }
}

/// Counts one request to a host; as failed unless it is told of a response.
pub(crate) struct RequestCount {
    pub(crate) cluster: Rc<ClusterView>,
    position: usize,
    started: Instant,
    /// Read once for all that is measured at the end.
    ended: Option<Instant>,
    /// What went over the connection.
    traffic: Traffic,
    status: u16,
    end: Counted,
}

impl RequestCount {
    pub(crate) fn new(cluster: Rc<ClusterView>, position: usize) -> Self {
        let count = RequestCount {
            cluster,
            position,
            started: Instant::now(),
            ended: None,
            traffic: Traffic::default(),
            status: 0,
            end: Counted::GivenUp,
        };
        count.host().count(|m| {
            m.request_total.inc();
            m.request_active.inc();
        });
        count
    }

    /// Of the host in its cluster.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn host(&self) -> &Host {
        &self.cluster.cluster.members()[self.position].host
    }

    /// When the request was handed over.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// It ends now.
    pub(crate) fn end_now(&mut self) -> Instant {
        *self.ended.insert(Instant::now())
    }

    /// Notes what went over the connection since it stood at `before`.
    pub(crate) fn traffic(&mut self, before: Traffic, now: Traffic) {
        self.traffic = Traffic { read: now.read - before.read, written: now.written - before.written };
    }

    /// The head of a response came.
    #[inline]
    pub(crate) fn answered(&mut self, status: u16) {
        self.status = status;
        self.report(HostReport::Status(status));
    }

    /// The attempt ended so.
    #[inline]
    pub(crate) fn conclude(&mut self, ended: &Ended) {
        match ended {
            Ok(_) => self.end = Counted::Whole,
            Err(outcome) => self.conclude_failed(outcome),
        }
    }

    #[cold]
    fn conclude_failed(&mut self, outcome: &Outcome) {
        self.end = outcome.counted();
        if let Some(report) = outcome.told(self.status != 0) {
            self.report(report);
        }
    }

    /// Tells the cluster what came of the attempt: once, before it ends. An
    /// attempt that ends for the client's sake says nothing about the host.
    fn report(&self, outcome: HostReport) {
        self.cluster.cluster.report(self.position, outcome, self.started);
    }
}

impl Drop for RequestCount {
    fn drop(&mut self) {
        let elapsed = self.ended.unwrap_or_else(Instant::now).saturating_duration_since(self.started);
        let answered = self.status != 0;
        let failed = !answered || self.status >= 500;
        // Not `as_nanos`, which counts in 128 bits: this runs for each request.
        let nanos = elapsed.as_secs().saturating_mul(1_000_000_000).saturating_add(elapsed.subsec_nanos().into());
        let millis = nanos as f64 / 1e6;
        self.host().count(|m| {
            m.connection_bytes_read_total.add(self.traffic.read);
            m.connection_bytes_write.add(self.traffic.written);
            m.request_active.dec();
            if answered {
                m.request_duration_time.observe(millis);
                m.request_duration_time_total.add(nanos);
            }
            if failed {
                m.response_failed.inc()
            } else {
                m.response_success.inc()
            }
            match self.end {
                Counted::Whole => {}
                Counted::GivenUp => m.request_local_reset.inc(),
                Counted::ByHost => m.request_remote_reset.inc(),
                Counted::TimedOut => m.request_timeout.inc(),
            }
        });
    }
}
