//! Tests of the crate as its users see it.

mod apply;
mod choice;
mod lookup;
mod naive;
mod redirect;
mod scale;

use std::sync::Arc;

use sidegate_api::{Method, Slashes, StreamState};

use crate::*;

fn request(method: &str, authority: &str, target: &str, headers: &[(&str, &str)]) -> StreamState {
    let mut stream = StreamState::default();
    let head = &mut stream.request;
    head.method = Method::parse(method.as_bytes()).unwrap();
    head.scheme = "http";
    head.authority.push_str(authority);
    head.set_target(target);
    for (name, value) in headers {
        head.headers.add(name.as_bytes(), value.as_bytes()).unwrap();
    }
    stream
}

fn get(authority: &str, target: &str) -> StreamState {
    request("GET", authority, target, &[])
}

fn forward(cluster: &str) -> ForwardAction {
    ForwardAction::to(cluster)
}

fn route(name: &str, matcher: RouteMatch) -> RouteConfig {
    RouteConfig::new(name, matcher, RouteAction::Forward(forward("c")))
}

fn prefix(text: &str) -> RouteMatch {
    RouteMatch::new(PathMatch::prefix(text).unwrap(), Vec::new())
}

fn exact(text: &str) -> RouteMatch {
    RouteMatch::new(PathMatch::exact(text).unwrap(), Vec::new())
}

fn regex(pattern: &str) -> RouteMatch {
    RouteMatch::new(PathMatch::regex(pattern).unwrap(), Vec::new())
}

fn host(name: &str, domains: &[&str], routes: Vec<RouteConfig>) -> VirtualHostConfig {
    VirtualHostConfig {
        name: name.into(),
        domains: domains.iter().map(|d| Domain::parse(d).unwrap()).collect(),
        routes,
        headers: HeaderOps::default(),
        per_filter_config: Vec::new(),
    }
}

fn router(virtual_hosts: Vec<VirtualHostConfig>) -> RouterConfig {
    RouterConfig { name: "r".into(), virtual_hosts, headers: HeaderOps::default(), slashes: Slashes::default() }
}

fn table(virtual_hosts: Vec<VirtualHostConfig>) -> RouteTable {
    RouteTable::new(router(virtual_hosts)).unwrap()
}

/// Name of the route, or of the virtual host in brackets, or `-`.
fn found(table: &RouteTable, stream: &StreamState) -> Arc<str> {
    match table.find(stream) {
        Ok(matched) => matched.route().name().clone(),
        Err(NoRoute { virtual_host: Some(host) }) => format!("[{}]", table.virtual_host(host).unwrap().name()).into(),
        Err(NoRoute { virtual_host: None }) => "-".into(),
    }
}
