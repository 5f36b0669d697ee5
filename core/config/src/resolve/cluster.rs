//! `cluster_manager`.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::Spoken;
use sidegate_tls::ClientContext;
use sidegate_upstream::{BreakerConfig, ClusterConfig, ClusterKind, LbPolicy, PanicThreshold, RetryBudget, RetryLimit};

use super::cluster_health::{health_check, outlier_detection, slow_start};
use super::cluster_hosts::hosts;
use super::cluster_lb::{dns, lb_options, subsets};
use super::header_case::header_case;
use super::http2;
use super::known::{Known, Quiet};
use super::names::Names;
use super::spoken::upstream_protocol;
use super::tls::{Materials, cluster_context};
use crate::diagnostic::{Finding, kind};
use crate::nearest::hint;
use crate::reader::{Cursor, ObjectReader, Unique};
use crate::schema;

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
pub(super) fn clusters(
    manager: &Cursor<'_>,
    names: &mut Names,
    known: &Known<'_>,
    materials: &Materials<'_>,
) -> Vec<ClusterConfig> {
    let Some(mut object) = manager.object(&schema::CLUSTER_MANAGER) else { return Vec::new() };
    let mut clusters = Vec::new();
    let mut unique = Unique::default();
    let manager_tls = object.get("tls_context").and_then(|tls| cluster_context(&tls, materials));
    // Its files are among the clusters by now.
    object.get("clusters_configs").and_then(|c| c.string());
    for element in object.get("clusters").and_then(|c| c.array()).unwrap_or_default() {
        let Some(mut object) = element.object(&schema::CLUSTER) else { continue };
        let digest = element.node().digest();
        if let Some(config) = known.cluster(&digest) {
            names.insert(&config.name);
            if let Some(name) = object.get("name") {
                unique.check(&name, "cluster name", &*config.name);
            }
            clusters.push(config);
            continue;
        }
        let quiet = Quiet::before(&element);
        let tls = Tls { manager: manager_tls.as_ref(), materials };
        let config = cluster(object, names, &mut unique, &tls);
        // What a context is made of stands elsewhere too.
        let whole = |config: &&ClusterConfig| config.tls.is_none() && quiet.until_now(&element);
        if let Some(config) = config.as_ref().filter(whole) {
            known.keep_cluster(digest, config);
        }
        clusters.extend(config);
    }
    object.finish();
    clusters
}

/// Where a cluster's TLS comes from.
struct Tls<'a> {
    manager: Option<&'a Arc<ClientContext>>,
    materials: &'a Materials<'a>,
}

fn cluster(
    mut object: ObjectReader<'_>,
    names: &mut Names,
    unique: &mut Unique,
    tls: &Tls<'_>,
) -> Option<ClusterConfig> {
    let name = object.required("name").and_then(|cursor| {
        let name = cursor.name()?;
        names.insert(name);
        unique.check(&cursor, "cluster name", name);
        Some(name)
    });
    let type_ = object.get("type");
    let kind = type_.as_ref().and_then(|c| parsed_type(c, ClusterKind::parse, &CLUSTER_TYPES)).unwrap_or_default();
    let list = object.get("hosts");
    let hosts = hosts(list, kind);
    if let (Some(cursor), ClusterKind::Dynamic | ClusterKind::Eds) = (&type_, kind) {
        match hosts.addresses.is_empty() {
            true => cursor.unsupported(format!(
                "nothing discovers hosts here, so the cluster would never have one; \
                 expected `hosts`, or type SIMPLE or STRICT_DNS, found {}",
                cursor.shown()
            )),
            false => cursor.inert("nothing discovers other hosts: those of `hosts` are all there are, as in MOSN"),
        }
    }
    let mut config = ClusterConfig::new(name.unwrap_or_default(), hosts.addresses.clone());
    config.kind = kind;
    if let Some(lb) = object.get("lb_type").and_then(|c| parsed_type(&c, LbPolicy::parse, &LB_TYPES)) {
        config.lb = lb;
    }
    if let Some(options) = object.get("lbconfig").and_then(|c| lb_options(&c)) {
        config.lb_options = options;
    }
    // Zero is Go's absent value: MOSN takes its defaults then.
    if let Some(timeout) = object.get("connect_timeout").and_then(|c| c.duration()).filter(|d| *d > Duration::ZERO) {
        config.connect_timeout = timeout;
    }
    if let Some(timeout) = object.get("idle_timeout").and_then(|c| c.bound()) {
        config.idle_timeout = timeout;
    }
    if let Some(max) = object.get("max_request_per_conn").and_then(|c| count(&c)) {
        config.max_requests_per_connection = Some(max);
    }
    if let Some(limit) = object.get("conn_buffer_limit_bytes").and_then(|c| c.size()).filter(|n| *n > 0) {
        config.conn_buffer_limit_bytes = Some(limit);
    }
    if let Some(protocol) = object.get("upstream_protocol").and_then(|c| upstream_protocol(&c)).flatten() {
        config.upstream_protocol = protocol;
    }
    if let Some(options) = object.get("http2_protocol_options") {
        if config.upstream_protocol == Spoken::Http1 {
            options.inert("`upstream_protocol` is Http1, so hosts are not spoken to in HTTP/2, unless a route says so");
        }
        config.http2 = http2::of_hosts(&options, config.http2);
    }
    if let Some(case) = object.get("header_case").and_then(|c| header_case(&c)) {
        config.header_case = case;
    }
    config.bare_line_feeds = object.get("bare_line_feeds").and_then(|c| c.bool()).unwrap_or_default();
    let own = object.get("tls_context").and_then(|context| cluster_context(&context, tls.materials));
    let takes = object.get("cluster_manager_tls").and_then(|cursor| cursor.bool()).unwrap_or_default();
    config.tls = own.or_else(|| tls.manager.filter(|_| takes).cloned());
    config.health_check = object.get("health_check").and_then(|c| health_check(&c, config.upstream_protocol));
    config.outlier = object.get("outlier_detection").and_then(|c| outlier_detection(&c));
    config.slow_start = object.get("slow_start").and_then(|c| slow_start(&c));
    config.subsets = object.get("lb_subset_config").and_then(|c| subsets(&c));
    if let Some(percent) = object.get("healthy_panic_threshold").and_then(|c| c.integer()) {
        config.panic_threshold = PanicThreshold::new(u8::try_from(percent).unwrap_or(100));
    }
    if let Some(breakers) = object.get("circuit_breakers") {
        config.breakers = circuit_breakers(&breakers);
    }
    config.dns = dns(&mut object, kind, hosts);
    object.finish();
    name.map(|_| config)
}

/// A count where zero says nothing.
pub(super) fn count(cursor: &Cursor<'_>) -> Option<NonZeroU32> {
    cursor.integer().and_then(|n| u32::try_from(n).ok()).and_then(NonZeroU32::new)
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

/// The budget goes before a fixed number, as in Envoy.
fn retry_limit(object: &mut ObjectReader<'_>) -> RetryLimit {
    let fixed = object.get("max_retries");
    let number = fixed.as_ref().and_then(count);
    let Some(mut budget) = object.get("retry_budget").and_then(|c| c.object(&schema::RETRY_BUDGET)) else {
        return number.map_or_else(RetryLimit::default, RetryLimit::Fixed);
    };
    if let (Some(fixed), Some(_)) = (&fixed, number) {
        fixed.inert("`retry_budget` goes before it, as in Envoy");
    }
    let default = RetryBudget::default();
    let mut number = |name| budget.get(name).and_then(|c| c.integer()).and_then(|n| u32::try_from(n).ok());
    let percent = number("budget_percent").and_then(|n| u8::try_from(n).ok()).unwrap_or(default.percent);
    let min_concurrency = number("min_retry_concurrency").unwrap_or(default.min_concurrency);
    budget.finish();
    RetryLimit::Budget(RetryBudget { percent, min_concurrency })
}

/// MOSN reads the first element alone, and zero means no limit.
fn circuit_breakers(cursor: &Cursor<'_>) -> BreakerConfig {
    let mut breakers = BreakerConfig::default();
    let mut says_retries = false;
    let mut elements = cursor.array().unwrap_or_default().into_iter();
    if let Some(mut object) = elements.next().and_then(|first| first.object(&schema::CIRCUIT_BREAKER)) {
        breakers = BreakerConfig {
            max_connections: object.get("max_connections").and_then(|c| count(&c)),
            max_pending_requests: object.get("max_pending_requests").and_then(|c| count(&c)),
            max_requests: object.get("max_requests").and_then(|c| count(&c)),
            retries: retry_limit(&mut object),
        };
        says_retries = object.get("retry_budget").is_some();
        object.finish();
    }
    if !says_retries && breakers == BreakerConfig::default() {
        cursor.inert("circuit breakers without a limit do nothing");
    }
    for further in elements {
        further.inert("only the first element counts, as in MOSN");
    }
    breakers
}
