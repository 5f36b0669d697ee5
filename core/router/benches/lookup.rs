//! What finding a route costs among 10,000, in the two shapes of
//! `bench/sidebench/routes.py` and in random order, so that caches cannot help:
//! `cargo bench -p sidegate-router`. Prints the median of several runs, and of
//! the same requests with one route.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a benchmark prints, and its tables have no mistakes")]

use std::hint::black_box;
use std::time::Instant;

use sidegate_api::{Slashes, StreamState};
use sidegate_router::{
    Domain, ForwardAction, HeaderOps, PathMatch, RouteAction, RouteConfig, RouteMatch, RouteTable, RouterConfig,
    VirtualHostConfig,
};

const ROUTES: usize = 10_000;
const RUNS: usize = 11;
const LOOKUPS: usize = 200_000;

fn main() {
    for (name, hosts) in [("1,000 virtual hosts x 10 routes", 1000), ("1 virtual host x 10,000 routes", 1)] {
        let (many, one) = (table(hosts, ROUTES / hosts), table(1, 1));
        let order = shuffled(hosts, ROUTES / hosts);
        let (cost, base) = (median(&many, &order), median(&one, &order));
        println!("{name}: {cost:.1} ns, with one route {base:.1} ns, difference {:.1} ns", cost - base);
    }
}

/// Finds each request's route and reads what the data path reads of it.
fn median(table: &RouteTable, order: &[(String, String)]) -> f64 {
    let mut stream = StreamState::default();
    let mut costs: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            for at in 0..LOOKUPS {
                let (authority, target) = &order[at % order.len()];
                stream.request.authority.clear();
                stream.request.authority.push_str(authority);
                stream.request.set_target(target);
                let matched = table.find(&stream).expect("there is a route for it");
                black_box((matched.id(), matched.virtual_host_id(), matched.destination(), matched.timeout()));
                black_box(matched.edits_request() || matched.edits_response());
                black_box((matched.retry(), matched.hash(), matched.subset(), matched.mirror()));
            }
            start.elapsed().as_nanos() as f64 / LOOKUPS as f64
        })
        .collect();
    costs.sort_by(f64::total_cmp);
    costs[RUNS / 2]
}

fn table(hosts: usize, of_each: usize) -> RouteTable {
    let virtual_hosts = (0..hosts).map(|host| VirtualHostConfig {
        name: format!("host-{host:04}.example").into(),
        domains: vec![match hosts {
            1 => Domain::Any,
            _ => Domain::parse(&format!("host-{host:04}.example")).expect("a domain"),
        }],
        routes: (0..of_each).map(|route| prefix_route(of_each, route)).collect(),
        headers: HeaderOps::default(),
        per_filter_config: Vec::new(),
    });
    let config = RouterConfig {
        name: "r".into(),
        virtual_hosts: virtual_hosts.collect(),
        headers: HeaderOps::default(),
        slashes: Slashes::default(),
    };
    RouteTable::new(config).expect("a table")
}

fn prefix_route(of_each: usize, number: usize) -> RouteConfig {
    let prefix = if of_each == 1 { "/".to_owned() } else { format!("/service-{number:05}/") };
    let matcher = RouteMatch::new(PathMatch::prefix(&prefix).expect("a prefix"), Vec::new());
    RouteConfig::new(matcher.to_string(), matcher, RouteAction::Forward(ForwardAction::to("origin")))
}

/// Authority and target of a request for every route, in random order.
fn shuffled(hosts: usize, of_each: usize) -> Vec<(String, String)> {
    let mut order: Vec<_> = (0..hosts)
        .flat_map(|host| {
            (0..of_each).map(move |route| (format!("host-{host:04}.example"), format!("/service-{route:05}/item")))
        })
        .collect();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for at in (1..order.len()).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        order.swap(at, (random % (at as u64 + 1)) as usize);
    }
    order
}
