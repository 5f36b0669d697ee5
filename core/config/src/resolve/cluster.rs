//! `cluster_manager`.

use std::num::NonZeroU32;
use std::time::Duration;

use sidegate_api::{Address, LbMetadata};
use sidegate_upstream::{ClusterConfig, ClusterKind, HostConfig, HostWeight, LbPolicy};

use super::address::checked;
use super::names::Names;
use super::tls::refuse_tls;
use crate::diagnostic::{Finding, kind};
use crate::nearest::hint;
use crate::reader::{Cursor, ObjectReader, Unique};
use crate::schema;

/// Of a circuit breaker.
const LIMITS: [&str; 4] = ["max_connections", "max_pending_requests", "max_requests", "max_retries"];

const LB_TYPES: [&str; 9] = [
    "LB_RANDOM",
    "LB_ROUNDROBIN",
    "LB_WEIGHTED_ROUNDROBIN",
    "LB_REQUEST_ROUNDROBIN",
    "LB_LEAST_REQUEST",
    "LB_LEAST_CONNECTION",
    "LB_PEAK_EWMA",
    "LB_MAGLEV",
    "LB_ORIGINAL_DST",
];

const CLUSTER_TYPES: [&str; 6] = ["SIMPLE", "STATIC", "DYNAMIC", "EDS", "ORIGINAL_DST", "STRICT_DNS"];

/// Reads all clusters and notes their names, also of those with errors, so
/// that one error does not make every route to the cluster another.
pub(super) fn clusters(manager: &Cursor<'_>, names: &mut Names) -> Vec<ClusterConfig> {
    let Some(mut object) = manager.object(&schema::CLUSTER_MANAGER) else { return Vec::new() };
    let mut clusters = Vec::new();
    let mut unique = Unique::default();
    for element in object.get("clusters").and_then(|c| c.array()).unwrap_or_default() {
        let Some(object) = element.object(&schema::CLUSTER) else { continue };
        clusters.extend(cluster(object, names, &mut unique));
    }
    if let Some(tls) = object.get("tls_context") {
        refuse_tls(&tls);
    }
    object.finish();
    clusters
}

fn cluster(mut object: ObjectReader<'_>, names: &mut Names, unique: &mut Unique) -> Option<ClusterConfig> {
    let name = object.required("name").and_then(|cursor| {
        let name = cursor.name()?;
        names.insert(name);
        unique.check(&cursor, "cluster name", name);
        Some(name)
    });
    let hosts = hosts(object.get("hosts"));
    let mut config = ClusterConfig::new(name.unwrap_or_default(), hosts);
    if let Some(kind) = object.get("type").and_then(|c| parsed_type(&c, ClusterKind::parse, &CLUSTER_TYPES)) {
        config.kind = kind;
    }
    if let Some(lb) = object.get("lb_type").and_then(|c| parsed_type(&c, LbPolicy::parse, &LB_TYPES)) {
        config.lb = lb;
    }
    // Zero is Go's absent value: MOSN takes its defaults then.
    if let Some(timeout) = object.get("connect_timeout").and_then(|c| c.duration()).filter(|d| *d > Duration::ZERO) {
        config.connect_timeout = timeout;
    }
    if let Some(timeout) = object.get("idle_timeout").and_then(|c| c.bound()) {
        config.idle_timeout = timeout;
    }
    let max_requests = object.get("max_request_per_conn").and_then(|c| c.integer());
    if let Some(max) = max_requests.and_then(|n| u32::try_from(n).ok()).and_then(NonZeroU32::new) {
        config.max_requests_per_connection = Some(max);
    }
    if let Some(limit) = object.get("conn_buffer_limit_bytes").and_then(|c| c.size()).filter(|n| *n > 0) {
        config.conn_buffer_limit_bytes = limit;
    }
    if let Some(tls) = object.get("tls_context") {
        refuse_tls(&tls);
    }
    if let Some(check) = object.get("health_check") {
        refuse_health_check(&check);
    }
    if let Some(breakers) = object.get("circuit_breakers") {
        refuse_circuit_breakers(&breakers);
    }
    object.finish();
    name.map(|_| config)
}

fn hosts(cursor: Option<Cursor<'_>>) -> Vec<HostConfig> {
    let mut hosts = Vec::new();
    let mut unique = Unique::default();
    for element in cursor.and_then(|c| c.array()).unwrap_or_default() {
        let Some(mut object) = element.object(&schema::HOST) else { continue };
        let address = object.required("address").and_then(|cursor| {
            let address = checked(&cursor, cursor.parsed(Address::parse)?)?;
            unique.check(&cursor, "host", address.to_string()).then_some(address)
        });
        let hostname = object.get("hostname").and_then(|c| c.string()).filter(|text| !text.is_empty());
        let weight = object.get("weight").and_then(|cursor| {
            let weight = cursor.integer()?;
            HostWeight::new(weight).map_err(|problem| cursor.refuse(&problem)).ok()
        });
        object.finish();
        if let Some(address) = address {
            let weight = weight.unwrap_or_default();
            hosts.push(HostConfig {
                address,
                hostname: hostname.map(Into::into),
                weight,
                metadata: LbMetadata::default(),
            });
        }
    }
    hosts
}

/// A word that `parse` knows, with the nearest of `words` if it does not.
fn parsed_type<T, E: std::fmt::Display>(
    cursor: &Cursor<'_>,
    parse: impl FnOnce(&str) -> Result<T, E>,
    words: &[&'static str],
) -> Option<T> {
    let text = cursor.string()?;
    if text.is_empty() {
        return None;
    }
    let problem = match parse(text) {
        Ok(value) => return Some(value),
        Err(problem) => problem.to_string(),
    };
    if words.contains(&text) {
        cursor.unsupported(format!("{problem}, found {}", cursor.shown()));
    } else {
        let mut finding =
            Finding::mismatch(kind::BAD_VALUE, problem.strip_prefix("expected ").unwrap_or(&problem), cursor.shown());
        finding.message.push_str(&hint(text, words.iter().copied()));
        cursor.error(finding);
    }
    None
}

/// Without a service name MOSN checks nothing either.
fn refuse_health_check(cursor: &Cursor<'_>) {
    let Some(mut object) = cursor.object(&schema::HEALTH_CHECK) else { return };
    let service = object.get("service_name").and_then(|c| c.string()).unwrap_or_default();
    object.finish();
    if service.is_empty() {
        cursor.inert("health checks are off here: `service_name` is empty");
    } else {
        cursor.unsupported(
            "not available yet: hosts are not checked, requests would reach sick ones; \
             expected no `service_name`, found one",
        );
    }
}

/// MOSN reads the first element alone, and zero means no limit.
fn refuse_circuit_breakers(cursor: &Cursor<'_>) {
    let Some(first) = cursor.array().and_then(|elements| elements.into_iter().next()) else { return };
    let Some(mut object) = first.object(&schema::CIRCUIT_BREAKER) else { return };
    let limits = LIMITS.iter().filter_map(|name| object.get(name)).filter_map(|limit| limit.integer());
    let limits = limits.filter(|limit| *limit > 0).count() > 0;
    object.finish();
    if limits {
        cursor.unsupported("not available yet: its limits would not be kept; expected no limits, found some");
    } else {
        cursor.inert("circuit breakers without a limit do nothing");
    }
}
