//! What differs in a cluster.

use std::collections::HashMap;

use sidegate_api::Address;
use sidegate_upstream::{ClusterConfig, HostConfig};

/// A part of a cluster that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterPart {
    /// `type`, and how hosts are found by name.
    Discovery,
    /// Hosts that are given by address.
    Hosts(HostChanges),
    /// How a host is chosen: `lb_type`, subsets, slow start, the panic
    /// threshold.
    LoadBalancing,
    /// Connections to hosts: `connect_timeout`, `idle_timeout`,
    /// `max_request_per_conn`, buffers, `http2_protocol_options`.
    Connections,
    /// TLS towards hosts, files included.
    Tls,
    /// What hosts are spoken to in, and how messages are written and read.
    Http,
    /// `circuit_breakers`
    Breakers,
    /// `health_check`
    HealthCheck,
    /// `outlier_detection`
    OutlierDetection,
}

/// Addresses of hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostChanges {
    /// They are new.
    pub added: Vec<Address>,
    /// They are gone.
    pub removed: Vec<Address>,
    /// Their weight, name or metadata is another; or their order.
    pub changed: Vec<Address>,
}

pub(super) fn parts(running: &ClusterConfig, wanted: &ClusterConfig) -> Vec<ClusterPart> {
    if running == wanted {
        return Vec::new();
    }
    let (a, b) = (running, wanted);
    let balancing = a.lb != b.lb
        || a.lb_options != b.lb_options
        || a.subsets != b.subsets
        || a.slow_start != b.slow_start
        || a.panic_threshold != b.panic_threshold;
    let connections = a.connect_timeout != b.connect_timeout
        || a.idle_timeout != b.idle_timeout
        || a.max_requests_per_connection != b.max_requests_per_connection
        || a.conn_buffer_limit_bytes != b.conn_buffer_limit_bytes
        || a.http2 != b.http2;
    let http = a.upstream_protocol != b.upstream_protocol
        || a.header_case != b.header_case
        || a.bare_line_feeds != b.bare_line_feeds;
    let differing = [
        (a.kind != b.kind || a.dns != b.dns, ClusterPart::Discovery),
        (a.hosts != b.hosts, ClusterPart::Hosts(hosts(&a.hosts, &b.hosts))),
        (balancing, ClusterPart::LoadBalancing),
        (connections, ClusterPart::Connections),
        (a.tls != b.tls, ClusterPart::Tls),
        (http, ClusterPart::Http),
        (a.breakers != b.breakers, ClusterPart::Breakers),
        (a.health_check != b.health_check, ClusterPart::HealthCheck),
        (a.outlier != b.outlier, ClusterPart::OutlierDetection),
    ];
    differing.into_iter().filter_map(|(differs, part)| differs.then_some(part)).collect()
}

fn hosts(running: &[HostConfig], wanted: &[HostConfig]) -> HostChanges {
    let mut gone: HashMap<&Address, &HostConfig> = running.iter().map(|host| (&host.address, host)).collect();
    let mut changes = HostChanges { added: Vec::new(), removed: Vec::new(), changed: Vec::new() };
    for host in wanted {
        match gone.remove(&host.address) {
            None => changes.added.push(host.address.clone()),
            Some(before) if before != host => changes.changed.push(host.address.clone()),
            Some(_) => {}
        }
    }
    changes.removed = running.iter().map(|host| &host.address).filter(|a| gone.contains_key(a)).cloned().collect();
    changes
}
