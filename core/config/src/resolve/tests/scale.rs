//! Configurations as large as they get. What they cost is seen with
//! `--nocapture`; that it grows no faster than they do is measured elsewhere.

use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::support::{env, registry};
use crate::{ConfigFile, LoadMode, diff};

const COUNT: usize = 10_000;

/// So many clusters with a host each and as many routes to them, of which every
/// tenth has settings for a filter.
fn large() -> String {
    let (mut routes, mut clusters) = (String::new(), String::new());
    for n in 0..COUNT {
        let per_filter =
            if n % 10 == 0 { format!(r#", "per_filter_config": {{"demo": {{"n": "{n}"}}}}"#) } else { String::new() };
        let comma = if n == 0 { "" } else { "," };
        write!(routes, r#"{comma}{{"match": {{"prefix": "/service/{n}/"}}, "route": {{"cluster_name": "c{n}", "timeout": "3s"}}{per_filter}}}"#).unwrap();
        write!(
            clusters,
            r#"{comma}{{"name": "c{n}", "lb_type": "LB_RANDOM", "hosts": [{{"address": "10.1.{}.{}:80"}}]}}"#,
            n / 250,
            n % 250
        )
        .unwrap();
    }
    format!(
        r#"{{"servers": [{{"routers": [{{"router_config_name": "r", "virtual_hosts": [{{"domains": ["*"], "routers": [{routes}]}}]}}],
            "listeners": [{{"name": "l", "address": "127.0.0.1:0", "stream_filters": [{{"type": "demo", "config": {{"a": "b"}}}}],
            "filter_chains": [{{"filters": [{{"type": "proxy", "config": {{"router_config_name": "r"}}}}]}}]}}]}}],
            "cluster_manager": {{"clusters": [{clusters}]}}}}"#
    )
}

#[test]
#[allow(clippy::print_stdout, reason = "figures for whoever asks for them")]
fn ten_thousand_clusters_and_routes_are_resolved_again_and_again() {
    let (registry, builder) = registry();
    let env = env();
    let text = large();
    let took = |what: &str, since: Instant| println!("{what}: {:?}", since.elapsed());
    let since = Instant::now();
    let file = ConfigFile::parse(Path::new("c.json"), &text).unwrap();
    took("read", since);
    let since = Instant::now();
    let first = file.resolve(&registry, &env, LoadMode::Load, None).unwrap();
    took("first resolve", since);
    let since = Instant::now();
    let again = file.resolve(&registry, &env, LoadMode::Load, Some(&first.filters_cache)).unwrap();
    took("second resolve", since);
    let since = Instant::now();
    assert!(diff(&first, &again).is_same());
    took("diff", since);
    assert_eq!((first.clusters.len(), again.routers[0].routes().len()), (COUNT, COUNT));
    assert_eq!(builder.builds.load(Ordering::Relaxed), 1);
    let text = text.replacen("10.1.7.7:80", "10.2.7.7:80", 1);
    let changed = ConfigFile::parse(Path::new("c.json"), &text).unwrap();
    let changed = changed.resolve(&registry, &env, LoadMode::Load, Some(&again.filters_cache)).unwrap();
    assert_eq!(diff(&again, &changed).to_string(), "~ cluster c1757: hosts: added 10.2.7.7:80, removed 10.1.7.7:80");
}
