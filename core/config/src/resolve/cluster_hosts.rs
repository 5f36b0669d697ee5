//! `hosts` of a cluster.

use std::sync::Arc;

use sidegate_api::{Address, AddressError, LbMetadata};
use sidegate_upstream::{ClusterKind, HostConfig, HostWeight, NamedHost};

use super::address::checked;
use super::metadata::lb_metadata;
use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, Unique};
use crate::schema;

/// Hosts by how they are given.
#[derive(Default)]
pub(super) struct Hosts {
    pub(super) addresses: Vec<HostConfig>,
    /// Of a `STRICT_DNS` cluster.
    pub(super) names: Vec<NamedHost>,
}

/// Where a host is.
enum Place {
    Address(Address),
    Name { name: Arc<str>, port: u16 },
}

/// MOSN's default for names without a port.
const DEFAULT_PORT: u16 = 80;

pub(super) fn hosts(cursor: Option<Cursor<'_>>, kind: ClusterKind) -> Hosts {
    let mut hosts = Hosts::default();
    let mut unique = Unique::default();
    for element in cursor.and_then(|c| c.array()).unwrap_or_default() {
        let Some(mut object) = element.object(&schema::HOST) else { continue };
        let place = object.required("address").and_then(|cursor| {
            let place = place(&cursor, kind)?;
            let key = match &place {
                Place::Address(address) => address.to_string(),
                Place::Name { name, port } => format!("{name}:{port}"),
            };
            unique.check(&cursor, "host", key).then_some(place)
        });
        let hostname = object.get("hostname").and_then(|c| c.string()).filter(|text| !text.is_empty());
        let hostname: Option<Arc<str>> = hostname.map(Into::into);
        let weight = object.get("weight").and_then(|cursor| {
            let weight = cursor.integer()?;
            HostWeight::new(weight).map_err(|problem| cursor.refuse(&problem)).ok()
        });
        let weight = weight.unwrap_or_default();
        let metadata: LbMetadata = object.get("metadata").and_then(|c| lb_metadata(&c)).unwrap_or_default();
        let clear_text = object.get("tls_disable").and_then(|cursor| cursor.bool()).unwrap_or_default();
        object.finish();
        match place {
            Some(Place::Address(address)) => {
                hosts.addresses.push(HostConfig { hostname, weight, metadata, clear_text, ..HostConfig::new(address) });
            }
            Some(Place::Name { name, port }) => {
                hosts.names.push(NamedHost { name, port, hostname, weight, metadata, clear_text });
            }
            None => {}
        }
    }
    hosts
}

fn place(cursor: &Cursor<'_>, kind: ClusterKind) -> Option<Place> {
    let text = cursor.string()?;
    let name = name_and_port(text);
    match (Address::parse(text), name) {
        (Ok(address), _) => checked(cursor, address).map(Place::Address),
        (Err(_), Some((name, port))) if kind == ClusterKind::StrictDns => {
            Some(Place::Name { name: name.to_ascii_lowercase().into(), port })
        }
        (Err(_), Some(_)) => {
            let (name, _) = name.unwrap_or_default();
            let message = format!(
                "{name:?} is a name, which only clusters of type STRICT_DNS resolve; {AddressError}, found {}",
                cursor.shown()
            );
            let found = Some(cursor.shown());
            cursor.error(Finding { kind: kind::BAD_VALUE, message, expected: Some(expected(&AddressError)), found });
            None
        }
        (Err(problem), None) => {
            let expected = match kind {
                ClusterKind::StrictDns => format!("name:port, {}", expected(&problem)),
                _ => expected(&problem),
            };
            cursor.mismatch(kind::BAD_VALUE, expected);
            None
        }
    }
}

fn expected(problem: &AddressError) -> String {
    let said = problem.to_string();
    said.strip_prefix("expected ").map_or(said.clone(), str::to_owned)
}

/// `name:port` or `name`, if `name` can be one in the DNS and is not meant for
/// an IP address.
pub(super) fn name_and_port(text: &str) -> Option<(&str, u16)> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name, port.parse().ok()?),
        Some(_) => return None,
        None => (text, DEFAULT_PORT),
    };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
    };
    let labels = name.strip_suffix('.').unwrap_or(name);
    let numeric = labels.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    (labels.len() <= 253 && labels.split('.').all(label) && !numeric).then_some((name, port))
}

#[cfg(test)]
mod tests {
    use super::name_and_port;

    #[test]
    fn names() {
        for (text, expected) in [
            ("svc", Some(("svc", 80))),
            ("svc.ns.svc.cluster.local:8080", Some(("svc.ns.svc.cluster.local", 8080))),
            ("_http._tcp.example.:1", Some(("_http._tcp.example.", 1))),
            ("10.0.0.300:80", None),
            ("10.0.0.1", None),
            ("[::1]", None),
            ("a..b:1", None),
            ("-a:1", None),
            ("a b:1", None),
            ("a:70000", None),
            ("a:http", None),
            (":80", None),
            ("", None),
        ] {
            assert_eq!(name_and_port(text), expected, "{text}");
        }
    }
}
