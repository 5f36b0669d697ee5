//! The configurations of the demo's proxies.

use serde_json::{Value, json};
use sidegate_harness::Spoken;

/// A proxy in front of one host.
pub struct Sidegate {
    /// Where it listens: `IP:port`.
    pub address: String,
    /// What it listens to, and what it speaks with its host.
    pub clients: Spoken,
    pub host: Spoken,
    /// The host's `IP:port`.
    pub origin: String,
    /// Stream filters.
    pub filters: Value,
    /// Fields that requests get on their way.
    pub adds: Value,
    /// TLS towards clients and towards the host, if it is spoken.
    pub tls_with_clients: Option<Value>,
    pub tls_with_host: Option<Value>,
}

impl Sidegate {
    /// As a file has it.
    pub fn configuration(&self) -> Value {
        let clients = match self.clients {
            Spoken::Http1 => "Http1",
            Spoken::Http2 => "Auto",
        };
        let mut chain = json!({
            "filters": [{
                "type": "proxy",
                "config": {"downstream_protocol": clients, "router_config_name": "routes"}
            }]
        });
        let mut cluster = json!({
            "name": "origin",
            "type": "SIMPLE",
            "lb_type": "LB_ROUNDROBIN",
            "upstream_protocol": self.host.word(),
            "hosts": [{"address": self.origin}]
        });
        let contexts = [(&mut chain, &self.tls_with_clients), (&mut cluster, &self.tls_with_host)];
        for (place, context) in contexts {
            if let Some(context) = context {
                place["tls_context"] = context.clone();
            }
        }
        json!({
            "servers": [{
                "default_log_path": "stdout",
                "routers": [{
                    "router_config_name": "routes",
                    "request_headers_to_add": self.adds,
                    "virtual_hosts": [{
                        "name": "all",
                        "domains": ["*"],
                        "routers": [{"match": {"prefix": "/"}, "route": {"cluster_name": "origin"}}]
                    }]
                }],
                "listeners": [{
                    "name": "main",
                    "address": self.address,
                    "filter_chains": [chain],
                    "stream_filters": self.filters
                }]
            }],
            "cluster_manager": {"clusters": [cluster]},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
        })
    }
}
