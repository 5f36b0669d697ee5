//! `servers[0].listeners[]`.

use std::path::PathBuf;
use std::sync::Arc;

use sidegate_api::{Address, Spoken};
use sidegate_net::{AcceptMode, ListenerConfig, PortSharing};
use sidegate_proxy::{ClientCertMode, ForwardClientCert};
use sidegate_tls::{ClearText, Limits, ListenerTls};

use super::access_log::{ReadLog, Rotations, access_log};
use super::address::{checked, socket_mode};
use super::cluster_hosts::name_and_port;
use super::modules::Modules;
use super::mosn_filters;
use super::proxy_filter::{ProxyFilter, proxy_filter};
use super::stream_filter::{FilterAt, stream_filter};
use super::tls::{Materials, Tls, listener_tls};
use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, ObjectReader, Unique};
use crate::schema;

/// A listener as far as its own entry says; `None` where there were errors.
pub(super) struct ReadListener<'a> {
    pub net: Option<ListenerConfig>,
    pub proxy: Option<ProxyFilter<'a>>,
    pub filters: Vec<FilterAt<'a>>,
    pub access_logs: Vec<ReadLog<'a>>,
    pub tls: Option<ListenerTls>,
}

/// What must not be given twice among listeners.
#[derive(Default)]
pub(super) struct ListenerNames {
    names: Unique,
    addresses: Unique,
}

impl ListenerNames {
    /// Reports an address that is taken. Port 0 is any free one.
    pub fn check_address(&mut self, cursor: &Cursor<'_>, address: &Address) -> bool {
        let any_port = address.socket_addr().is_some_and(|a| a.port() == 0);
        any_port || self.addresses.check(cursor, "listener address", address.to_string())
    }
}

/// Reads a listener. Routers that its `connection_manager` defines are handed
/// to `on_router`.
pub(super) fn listener<'a>(
    cursor: &Cursor<'a>,
    taken: &mut ListenerNames,
    modules: &mut Modules<'_>,
    rotations: &mut Rotations<'_>,
    materials: &Materials<'_>,
    on_router: &mut dyn FnMut(Cursor<'a>),
) -> Option<ReadListener<'a>> {
    let mut object = cursor.object(&schema::LISTENER)?;
    let net = net_config(&mut object, taken);
    let (mut proxy, contexts) = filter_chain(&mut object, on_router);
    let tls = tls(&mut object, &contexts, proxy.as_ref(), materials);
    if let (Some(proxy), Some(_)) = (&mut proxy, &tls) {
        // Here clients show who they are, if they do, by certificates alone.
        let sanitized = ForwardClientCert::new(ClientCertMode::Sanitize);
        proxy.forwarding.client_cert.get_or_insert(sanitized);
    }
    let entries = object.get("stream_filters").and_then(|c| c.array()).unwrap_or_default();
    let filters = entries.iter().filter_map(|entry| stream_filter(entry, modules)).collect();
    let logs = object.get("access_logs").and_then(|c| c.array()).unwrap_or_default();
    let name = net.as_ref().map_or("", |net| &net.name);
    let registry = materials.registry();
    let access_logs = logs.iter().filter_map(|entry| access_log(entry, name, rotations, registry)).collect();
    object.finish();
    Some(ReadListener { net, proxy, filters, access_logs, tls })
}

fn net_config(object: &mut ObjectReader<'_>, taken: &mut ListenerNames) -> Option<ListenerConfig> {
    let network = object.get("network").and_then(|cursor| {
        let text = cursor.string()?.to_ascii_lowercase();
        match text.as_str() {
            "" => return None,
            "tcp" | "unix" => {}
            "udp" => {
                cursor.unsupported("UDP listeners are not available yet; expected \"tcp\" or \"unix\", found \"udp\"")
            }
            _ => cursor.mismatch(kind::BAD_VALUE, "\"tcp\" or \"unix\""),
        }
        Some(text)
    });
    let address_at = object.required("address");
    let address = address_at.as_ref().and_then(|cursor| listen_address(cursor, network.as_deref(), taken));
    let name = object.text("name").map(|(cursor, name)| {
        taken.names.check(&cursor, "listener name", name);
        name.to_owned()
    });
    let name = name.or_else(|| {
        let name = address.as_ref()?.to_string();
        taken.names.check(address_at.as_ref()?, "listener name", name.as_str());
        Some(name)
    });
    if let Some(bind) = object.get("bind_port")
        && bind.bool() == Some(false)
    {
        bind.unsupported(
            "listeners that take redirected connections are not available yet; expected true, found false",
        );
    }
    let idle_timeout = object.get("connection_idle_timeout").and_then(|c| c.bound());
    let reuse_port = object.get("reuseport").and_then(|c| c.bool()).unwrap_or_default();
    let overlap = object.get("reuseport_overlap").filter(|cursor| cursor.bool() == Some(true));
    if let (Some(cursor), false) = (&overlap, reuse_port) {
        cursor.inert("does nothing without `reuseport: true`");
    }
    let accept = match (reuse_port, overlap) {
        (false, _) => AcceptMode::Balanced,
        (true, None) => AcceptMode::ReusePort(PortSharing::Alone),
        (true, Some(_)) => AcceptMode::ReusePort(PortSharing::Overlap),
    };
    let mode_at = object.get("mode");
    let socket_mode = mode_at.as_ref().and_then(socket_mode);
    if let (Some(cursor), Some(Address::Tcp(_))) = (&mode_at, &address) {
        cursor.inert("does nothing: only Unix sockets have files");
    }
    Some(ListenerConfig {
        name: Arc::from(name?),
        address: address?,
        backlog: ListenerConfig::DEFAULT_BACKLOG,
        accept,
        socket_mode,
        idle_timeout: idle_timeout.unwrap_or(Some(ListenerConfig::DEFAULT_IDLE_TIMEOUT)),
    })
}

/// With `network: unix` a bare path is an address, as in MOSN.
fn listen_address(cursor: &Cursor<'_>, network: Option<&str>, taken: &mut ListenerNames) -> Option<Address> {
    let text = cursor.name()?;
    let address = match network {
        Some("unix") if !text.starts_with("unix:") => Address::Unix(PathBuf::from(text)),
        _ => match (Address::parse(text), name_and_port(text)) {
            (Err(problem), Some((name, _))) if text.contains(':') => {
                let message = format!(
                    "{name:?} is a name, and a listener has an IP address: {problem}; names are resolved for hosts of \
                     clusters of type STRICT_DNS alone"
                );
                cursor.error(Finding { found: Some(cursor.shown()), ..Finding::said(kind::BAD_VALUE, message) });
                return None;
            }
            _ => cursor.parsed(Address::parse)?,
        },
    };
    if network == Some("tcp") && address.socket_addr().is_none() {
        cursor.mismatch(kind::BAD_VALUE, "IP:port, as `network` is \"tcp\"");
        return None;
    }
    let address = checked(cursor, address)?;
    taken.check_address(cursor, &address).then_some(address)
}

fn tls(
    object: &mut ObjectReader<'_>,
    contexts: &[Cursor<'_>],
    proxy: Option<&ProxyFilter<'_>>,
    materials: &Materials<'_>,
) -> Option<ListenerTls> {
    let mut limits = Limits::default();
    let timeout = object.get("tls_handshake_timeout");
    if let Some(timeout) = timeout.as_ref().and_then(|cursor| cursor.duration()) {
        limits.handshake_timeout = timeout;
    }
    let bounds = [
        ("tls_handshake_max_bytes", &mut limits.handshake_bytes),
        ("tls_handshakes", &mut limits.handshakes),
        ("tls_handshakes_waiting", &mut limits.waiting),
        ("tls_handshake_steps", &mut limits.steps),
    ];
    let mut bounded = Vec::new();
    for (key, limit) in bounds {
        let Some(cursor) = object.get(key) else { continue };
        if let Some(size) = cursor.size() {
            *limit = size;
        }
        bounded.push(cursor);
    }
    let inspector = object.get("inspector").filter(|cursor| cursor.bool() == Some(true));
    let clear_text = match &inspector {
        Some(_) => ClearText::Served,
        None => ClearText::Refused,
    };
    let spoken = proxy.map_or(Spoken::Auto, |proxy| proxy.downstream);
    match listener_tls(contexts, clear_text, limits, spoken, materials) {
        Tls::On(tls) => Some(tls),
        Tls::Failed => None,
        Tls::Off => {
            for cursor in timeout.iter().chain(&bounded).chain(&inspector) {
                cursor.inert("does nothing without a `tls_context` that counts");
            }
            None
        }
    }
}

/// The chain's filter, and its TLS contexts.
fn filter_chain<'a>(
    object: &mut ObjectReader<'a>,
    on_router: &mut dyn FnMut(Cursor<'a>),
) -> (Option<ProxyFilter<'a>>, Vec<Cursor<'a>>) {
    let (mut proxy, mut contexts) = (None, Vec::new());
    let Some(chains_at) = object.required("filter_chains") else { return (proxy, contexts) };
    let Some(chains) = chains_at.array() else { return (proxy, contexts) };
    if chains.len() != 1 {
        chains_at.error(Finding::mismatch(kind::BAD_VALUE, "exactly one filter chain", chains.len().to_string()));
    }
    for chain in chains {
        let Some(mut chain) = chain.object(&schema::FILTER_CHAIN) else { continue };
        let one = chain.get("tls_context");
        if let Some(set) = chain.get("tls_context_set") {
            contexts.extend(set.array().unwrap_or_default());
            if one.is_some() && !contexts.is_empty() {
                set.error(Finding::said(kind::BAD_VALUE, "expected it or `tls_context`, found both"));
            }
        }
        contexts.extend(one);
        if let Some(filters) = chain.required("filters") {
            proxy = network_filters(&filters, on_router);
        }
        chain.finish();
    }
    (proxy, contexts)
}

fn network_filters<'a>(at: &Cursor<'a>, on_router: &mut dyn FnMut(Cursor<'a>)) -> Option<ProxyFilter<'a>> {
    let mut proxies = 0;
    let mut others = 0;
    let mut proxy = None;
    for element in at.array()? {
        let Some(mut filter) = element.object(&schema::NETWORK_FILTER) else { continue };
        let filter_type = filter.required("type");
        let config = filter.get("config");
        filter.finish();
        let Some((type_at, name)) = filter_type.and_then(|c| c.string().map(|name| (c, name))) else {
            others += 1;
            continue;
        };
        match name {
            "proxy" => {
                proxies += 1;
                if config.is_none() {
                    let missing = Finding::mismatch(kind::MISSING_KEY, "a `config` with `router_config_name`", "none");
                    element.error(missing);
                }
                proxy = config.and_then(|c| proxy_filter(&c));
            }
            "connection_manager" => config.into_iter().for_each(&mut *on_router),
            _ => {
                others += 1;
                unregistered(&type_at, name);
            }
        }
    }
    // A filter of another type was reported by itself.
    if proxies > 1 || (proxies == 0 && others == 0) {
        at.error(Finding::mismatch(kind::BAD_VALUE, "exactly one `proxy` filter", proxies.to_string()));
    }
    proxy
}

fn unregistered(cursor: &Cursor<'_>, name: &str) {
    let message = match mosn_filters::network_filter(name) {
        Some(said) => format!("MOSN's network filter {name:?} is not in Sidegate: {said}; expected \"proxy\""),
        None => format!("network filter type {name:?} is not registered; expected \"proxy\""),
    };
    let (expected, found) = (Some("\"proxy\"".to_owned()), Some(cursor.shown()));
    cursor.error(Finding { kind: kind::UNREGISTERED, message, expected, found });
}
