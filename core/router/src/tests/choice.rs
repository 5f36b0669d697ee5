//! What a matched route says of clusters, hosts and policies.

use std::time::Duration;

use sidegate_api::{LbMetadata, Spoken};

use super::*;

fn only(action: ForwardAction) -> RouteTable {
    let mut config = route("r", prefix("/"));
    config.action = RouteAction::Forward(action);
    table(vec![host("h", &["*"], vec![config])])
}

fn metadata(value: &str) -> LbMetadata {
    LbMetadata::new([("v".into(), value.into())])
}

#[test]
fn plain_routes_know_their_cluster_by_number() {
    let to = |name: &str, cluster: &str| {
        RouteConfig::new(name, prefix(&format!("/{name}")), RouteAction::Forward(ForwardAction::to(cluster)))
    };
    let answer = RouteAction::DirectResponse(DirectResponse { status: 200, body: "x".into() });
    let answer = RouteConfig::new("answer", prefix("/answer"), answer);
    let table = table(vec![host("h", &["*"], vec![to("a", "one"), to("b", "two"), to("c", "one"), answer])]);
    assert_eq!(table.clusters().iter().map(|name| &**name).collect::<Vec<_>>(), ["one", "two"]);
    for (path, destination) in [
        ("/a", Destination::Cluster(ClusterId(0))),
        ("/b", Destination::Cluster(ClusterId(1))),
        ("/c", Destination::Cluster(ClusterId(0))),
    ] {
        assert_eq!(table.find(&get("h", path)).unwrap().destination(), destination, "{path}");
    }
    let named = table.routes().iter().map(|route| route.clusters().count()).collect::<Vec<_>>();
    assert_eq!(named, [1, 1, 1, 0]);
}

#[test]
fn a_plain_route_says_nothing_of_policies() {
    let table = only(ForwardAction::to("c"));
    let matched = table.find(&get("h", "/")).unwrap();
    assert!(matched.retry().is_none() && matched.hash().is_empty() && matched.subset().is_none());
    assert!(matched.mirror().is_none() && matched.timeout().is_none() && matched.upstream_protocol().is_none());
    assert!(!matched.edits_request() && !matched.edits_response());
}

#[test]
fn policies_are_found_where_there_are_some() {
    let mut config = route("r", prefix("/"));
    let retry = RetryPolicy { on: RetryOn::Failures, ..RetryPolicy::default() };
    config.action = RouteAction::Forward(ForwardAction {
        timeout: Some(Duration::from_nanos(1_500_000_001)),
        retry: retry.clone(),
        hash: [HashPolicy::SourceIp].into(),
        subset: metadata("1"),
        upstream_protocol: Some(Spoken::Http2),
        ..forward("c")
    });
    config.mirror = Some(MirrorPolicy { cluster: "copy".into(), percent: 5 });
    let table = table(vec![host("h", &["*"], vec![config])]);
    let matched = table.find(&get("h", "/")).unwrap();
    assert_eq!(matched.timeout(), Some(Duration::from_nanos(1_500_000_001)));
    assert_eq!(matched.retry(), Some(&retry));
    assert_eq!(matched.hash(), [HashPolicy::SourceIp]);
    assert_eq!(matched.subset(), Some(&metadata("1")));
    assert_eq!(matched.upstream_protocol(), Some(Spoken::Http2));
    assert_eq!(matched.mirror().map(|mirror| mirror.percent), Some(5));
    let clusters: Vec<_> = matched.route().clusters().map(|name| &**name).collect();
    assert_eq!(clusters, ["c", "copy"]);
}

#[test]
fn clusters_are_chosen_by_weight_header_and_variable() {
    let weighted = |name: &str, weight| WeightedCluster { name: name.into(), weight, subset: metadata(name) };
    let clusters = WeightedClusters::new([weighted("a", 1), weighted("b", 3)]).unwrap();
    let header = ClusterChoice::FromHeader(HeaderName::parse_readable("x-to").unwrap());
    let variable = ClusterChoice::FromVariable(StreamVariable::parse_early("filter_to").unwrap());
    let mut stream = request("GET", "h", "/", &[("x-to", "green")]);
    let chosen = |cluster: &ClusterChoice, stream: &StreamState, random: u64| {
        let action = ForwardAction { cluster: cluster.clone(), subset: metadata("route"), ..forward("") };
        let table = only(action);
        let matched = table.find(stream).unwrap();
        assert_eq!(matched.destination(), Destination::Choice);
        let chosen = matched.route().forward().unwrap().choose(stream, || random)?;
        Some((chosen.name.as_str().to_owned(), chosen.subset.get("v").unwrap().to_string()))
    };
    let pair = |name: &str, subset: &str| Some((name.to_owned(), subset.to_owned()));
    let clusters = ClusterChoice::Weighted(clusters);
    assert_eq!(chosen(&clusters, &stream, 0), pair("a", "a"));
    assert_eq!(chosen(&clusters, &stream, u64::MAX / 4 + 2), pair("b", "b"));
    assert_eq!(chosen(&header, &stream, 0), pair("green", "route"));
    assert_eq!(chosen(&variable, &stream, 0), None);
    stream.named.set(b"to", b"blue").unwrap();
    assert_eq!(chosen(&variable, &stream, 0), pair("blue", "route"));
    stream.request.headers.set(b"x-to", b"").unwrap();
    assert_eq!(chosen(&header, &stream, 0), None);
}

#[test]
fn retries_want_their_statuses() {
    let with = |on, statuses: &[u16]| RetryPolicy { on, statuses: statuses.to_vec(), ..RetryPolicy::default() };
    let wants = |policy: RetryPolicy| [404, 499, 500, 503, 599].map(|status| policy.wants(status));
    assert_eq!(wants(with(RetryOn::Failures, &[])), [false, false, true, true, true]);
    assert_eq!(wants(with(RetryOn::Failures, &[404, 503])), [true, false, false, true, false]);
    assert_eq!(wants(with(RetryOn::Never, &[])), [false; 5]);
}

#[test]
fn requests_are_alike_by_header_cookie_and_address() {
    let stream = request("GET", "h", "/", &[("x-user", "u"), ("cookie", "a=1; s=2")]);
    let header = |name| HashPolicy::Header(HeaderName::parse_readable(name).unwrap());
    let cookie = |name| HashPolicy::Cookie(HashCookie::new(name, "/", None).unwrap());
    for (policy, value) in [
        (header("X-User"), Some(&b"u"[..])),
        (header("host"), Some(b"h")),
        (header("none"), None),
        (cookie("s"), Some(b"2")),
        (cookie("t"), None),
        // No connection here.
        (HashPolicy::SourceIp, None),
    ] {
        assert_eq!(policy.value(&stream), value, "{policy:?}");
    }
    for (name, path) in [("", "/"), ("a b", "/"), ("a", "/;x"), ("a", " /"), ("a", "/\r\n")] {
        assert!(HashCookie::new(name, path, None).is_err(), "{name:?} {path:?}");
    }
}
