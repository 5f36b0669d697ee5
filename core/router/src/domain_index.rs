//! From an authority to its virtual host, without allocation.

use std::collections::HashMap;

use crate::domain::{Domain, parse_port};
use crate::table::VirtualHostId;
use crate::target::split_port;

/// Order of precedence: host and port, host, suffix and port (longest first),
/// suffix (longest first), `*`.
#[derive(Debug, Default)]
pub(crate) struct DomainIndex {
    exact: HashMap<Box<[u8]>, Ports>,
    suffixes: HashMap<Box<[u8]>, Ports>,
    /// Lengths that occur in `suffixes`, longest first: one probe each, so a
    /// lookup costs the same with ten suffixes as with ten thousand.
    suffix_lengths: Vec<usize>,
    any: Option<VirtualHostId>,
}

#[derive(Debug, Default)]
struct Ports {
    any: Option<VirtualHostId>,
    /// Sorted.
    numbered: Vec<(u16, VirtualHostId)>,
}

impl DomainIndex {
    /// Enters `domain`, unless it is there already: then says whose it is.
    pub(crate) fn insert(&mut self, domain: &Domain, id: VirtualHostId) -> Option<VirtualHostId> {
        let (ports, port) = match domain {
            Domain::Any => return occupy(&mut self.any, id),
            Domain::Exact { host, port } => (self.exact.entry(host.as_bytes().into()).or_default(), port),
            Domain::Suffix { suffix, port } => {
                let suffix = suffix.as_bytes();
                if let Err(at) = self.suffix_lengths.binary_search_by(|known| suffix.len().cmp(known)) {
                    self.suffix_lengths.insert(at, suffix.len());
                }
                (self.suffixes.entry(suffix.into()).or_default(), port)
            }
        };
        let Some(port) = *port else {
            return occupy(&mut ports.any, id);
        };
        match ports.numbered.binary_search_by_key(&port, |(known, _)| *known) {
            Ok(at) => Some(ports.numbered[at].1),
            Err(at) => {
                ports.numbered.insert(at, (port, id));
                None
            }
        }
    }

    /// The virtual host that serves `authority` (lower case).
    pub(crate) fn find(&self, authority: &str) -> Option<VirtualHostId> {
        let (host, port) = split_port(authority.as_bytes());
        if host.is_empty() {
            return self.any;
        }
        let port = port.and_then(parse_port);
        if let Some(found) = self.exact.get(host).and_then(|ports| ports.numbered(port).or(ports.any)) {
            return Some(found);
        }
        if port.is_some()
            && let Some(found) = self.by_suffix(host, |ports| ports.numbered(port))
        {
            return Some(found);
        }
        self.by_suffix(host, |ports| ports.any).or(self.any)
    }

    fn by_suffix(&self, host: &[u8], pick: impl Fn(&Ports) -> Option<VirtualHostId>) -> Option<VirtualHostId> {
        // The star stands for at least one byte.
        let lengths = self.suffix_lengths.iter().filter(|&&length| length < host.len());
        lengths.filter_map(|length| self.suffixes.get(&host[host.len() - length..])).find_map(pick)
    }
}

impl Ports {
    fn numbered(&self, port: Option<u16>) -> Option<VirtualHostId> {
        let at = self.numbered.binary_search_by_key(&port?, |(known, _)| *known).ok()?;
        Some(self.numbered[at].1)
    }
}

fn occupy(slot: &mut Option<VirtualHostId>, id: VirtualHostId) -> Option<VirtualHostId> {
    match *slot {
        Some(first) => Some(first),
        None => {
            *slot = Some(id);
            None
        }
    }
}
