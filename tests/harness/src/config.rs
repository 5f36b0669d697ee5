//! Builds configurations of one listener in MOSN's schema.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::{ACCESS_LOG_FORMAT, Pair};

/// A configuration: one listener `main`, one router `routes`, clusters, admin
/// on a free port. What a test does not set has the proxy's default.
#[derive(Debug, Clone)]
pub struct ConfigBuilder {
    virtual_hosts: Vec<Value>,
    clusters: Vec<Value>,
    stream_filters: Vec<Value>,
    server: Map<String, Value>,
    listener: Map<String, Value>,
    chain: Map<String, Value>,
    proxy: Map<String, Value>,
    router: Map<String, Value>,
    top: Map<String, Value>,
}

impl ConfigBuilder {
    /// No route and no cluster.
    pub fn empty() -> Self {
        ConfigBuilder {
            virtual_hosts: Vec::new(),
            clusters: Vec::new(),
            stream_filters: Vec::new(),
            server: object(json!({"default_log_path": "stdout", "default_log_level": "INFO"})),
            listener: object(json!({"name": "main", "address": "127.0.0.1:0", "bind_port": true})),
            chain: Map::new(),
            proxy: object(json!({"downstream_protocol": "Http1", "router_config_name": "routes"})),
            router: object(json!({"router_config_name": "routes"})),
            top: object(json!({
                "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
            })),
        }
    }

    /// Everything goes to `origin`, cluster `origin`.
    pub fn to(origin: SocketAddr) -> Self {
        Self::to_routes(origin, json!([route("/", "origin")]))
    }

    /// Routes of the virtual host for `*`, with cluster `origin`.
    pub fn to_routes(origin: SocketAddr, routes: Value) -> Self {
        Self::empty().cluster("origin", &[origin]).virtual_host("all", &["*"], routes)
    }

    /// Adds a virtual host.
    pub fn virtual_host(self, name: &str, domains: &[&str], routes: Value) -> Self {
        self.virtual_host_object(json!({"name": name, "domains": domains, "routers": routes}))
    }

    /// Adds a virtual host as the file has it.
    pub fn virtual_host_object(mut self, host: Value) -> Self {
        self.virtual_hosts.push(host);
        self
    }

    /// Adds a round-robin cluster.
    pub fn cluster(self, name: &str, hosts: &[SocketAddr]) -> Self {
        let hosts: Vec<Value> = hosts.iter().map(|host| json!({"address": host.to_string()})).collect();
        self.cluster_object(json!({"name": name, "type": "SIMPLE", "lb_type": "LB_ROUNDROBIN", "hosts": hosts}))
    }

    /// Adds a cluster as the file has it.
    pub fn cluster_object(mut self, cluster: Value) -> Self {
        self.clusters.push(cluster);
        self
    }

    /// Sets `key` of the cluster that was added last.
    pub fn in_cluster(mut self, key: &str, value: Value) -> Self {
        self.clusters.last_mut().expect("add a cluster first")[key] = value;
        self
    }

    /// Appends a stream filter.
    pub fn filter(mut self, filter: Value) -> Self {
        self.stream_filters.push(filter);
        self
    }

    /// Sets `key` of the server.
    pub fn in_server(mut self, key: &str, value: Value) -> Self {
        self.server.insert(key.to_owned(), value);
        self
    }

    /// Sets `key` of the listener.
    pub fn in_listener(mut self, key: &str, value: Value) -> Self {
        self.listener.insert(key.to_owned(), value);
        self
    }

    /// Sets a key of the listener's filter chain.
    pub fn in_chain(mut self, key: &str, value: Value) -> Self {
        self.chain.insert(key.into(), value);
        self
    }

    /// Sets `key` of the `proxy` filter.
    pub fn in_proxy(mut self, key: &str, value: Value) -> Self {
        self.proxy.insert(key.to_owned(), value);
        self
    }

    /// Sets `key` of the router configuration.
    pub fn in_router(mut self, key: &str, value: Value) -> Self {
        self.router.insert(key.to_owned(), value);
        self
    }

    /// Sets a top-level key.
    pub fn top(mut self, key: &str, value: Value) -> Self {
        self.top.insert(key.to_owned(), value);
        self
    }

    /// Sets one of the proxy filter's timeouts, a Go duration.
    pub fn timeout(self, name: &str, duration: &str) -> Self {
        self.nested("timeouts", name, json!(duration))
    }

    /// Sets one of the proxy filter's limits.
    pub fn limit(self, name: &str, value: u64) -> Self {
        self.nested("limits", name, json!(value))
    }

    /// Sets one of the proxy filter's forwarding policies.
    pub fn forwarding(self, name: &str, policy: &str) -> Self {
        self.nested("forwarding", name, json!(policy))
    }

    /// The proxy adds no header of its own, so that forwarded heads are known
    /// to the byte.
    pub fn adding_nothing(self) -> Self {
        self.forwarding("x_forwarded_for", "remove").forwarding("x_request_id", "pass")
    }

    /// The configuration; logs that the harness reads go into `dir`.
    pub fn build(&self, dir: &Path) -> Value {
        let mut listener = self.listener.clone();
        let mut chain = self.chain.clone();
        chain.insert("filters".into(), json!([{"type": "proxy", "config": self.proxy}]));
        listener.insert("filter_chains".into(), json!([chain]));
        if !self.stream_filters.is_empty() {
            listener.insert("stream_filters".into(), json!(self.stream_filters));
        }
        listener
            .entry("access_logs")
            .or_insert_with(|| json!([{"log_path": dir.join("access.log"), "log_format": ACCESS_LOG_FORMAT}]));
        let mut router = self.router.clone();
        router.insert("virtual_hosts".into(), json!(self.virtual_hosts));
        let mut server = self.server.clone();
        server.insert("routers".into(), json!([router]));
        server.insert("listeners".into(), json!([listener]));
        let mut config = self.top.clone();
        config.insert("servers".into(), json!([server]));
        config.entry("cluster_manager").or_insert_with(|| json!({"clusters": self.clusters}));
        let mut config = Value::Object(config);
        Pair::current().apply(&mut config);
        config
    }

    fn nested(mut self, object: &str, key: &str, value: Value) -> Self {
        let entry = self.proxy.entry(object).or_insert_with(|| json!({}));
        entry[key] = value;
        self
    }
}

/// A route by prefix to a cluster.
fn route(prefix: &str, cluster: &str) -> Value {
    json!({"match": {"prefix": prefix}, "route": {"cluster_name": cluster}})
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("no object: {other}"),
    }
}
