//! From an authority to its virtual host, without allocation.

use std::collections::HashMap;

use hashbrown::HashTable;

use crate::domain::{Domain, parse_port};
use crate::hash::hash;
use crate::table::VirtualHostId;
use crate::target::split_port;
use crate::texts::{Span, Texts, TextsBuilder};

/// Order of precedence: host and port, host, suffix and port (longest first),
/// suffix (longest first), `*`.
#[derive(Debug, Default)]
pub(crate) struct DomainIndex {
    texts: Texts,
    exact: HashTable<Entry>,
    suffixes: HashTable<Entry>,
    /// Lengths that occur in `suffixes`, longest first: one probe each, so a
    /// lookup costs the same with ten suffixes as with ten thousand.
    suffix_lengths: Vec<usize>,
    /// Virtual hosts for single ports, runs sorted by port.
    numbered: Vec<(u16, VirtualHostId)>,
    any: Option<VirtualHostId>,
}

/// One host or suffix.
#[derive(Debug)]
struct Entry {
    text: Span,
    any: Option<VirtualHostId>,
    /// In `numbered`.
    first_numbered: u32,
    after_numbered: u32,
}

/// Collects domains.
#[derive(Debug, Default)]
pub(crate) struct DomainIndexBuilder {
    exact: HashMap<Box<[u8]>, Ports>,
    suffixes: HashMap<Box<[u8]>, Ports>,
    any: Option<VirtualHostId>,
}

#[derive(Debug, Default)]
struct Ports {
    any: Option<VirtualHostId>,
    /// Sorted.
    numbered: Vec<(u16, VirtualHostId)>,
}

impl DomainIndex {
    /// The virtual host that serves `authority` (lower case). The dot of the
    /// DNS root at the end of the host does not count.
    pub(crate) fn find(&self, authority: &str) -> Option<VirtualHostId> {
        let (host, port) = split_port(authority.as_bytes());
        let host = host.strip_suffix(b".").unwrap_or(host);
        if host.is_empty() {
            return self.any;
        }
        let port = port.and_then(parse_port);
        if let Some(entry) = self.probe(&self.exact, host)
            && let Some(found) = self.numbered(entry, port).or(entry.any)
        {
            return Some(found);
        }
        if port.is_some()
            && let Some(found) = self.by_suffix(host, |entry| self.numbered(entry, port))
        {
            return Some(found);
        }
        self.by_suffix(host, |entry| entry.any).or(self.any)
    }

    fn by_suffix(&self, host: &[u8], pick: impl Fn(&Entry) -> Option<VirtualHostId>) -> Option<VirtualHostId> {
        // The star stands for at least one byte.
        let lengths = self.suffix_lengths.iter().filter(|&&length| length < host.len());
        lengths.filter_map(|length| self.probe(&self.suffixes, &host[host.len() - length..])).find_map(pick)
    }

    fn probe<'t>(&self, entries: &'t HashTable<Entry>, text: &[u8]) -> Option<&'t Entry> {
        if entries.is_empty() {
            return None;
        }
        entries.find(hash(text, 0), |entry| self.texts.get(entry.text) == text)
    }

    fn numbered(&self, entry: &Entry, port: Option<u16>) -> Option<VirtualHostId> {
        let port = port?;
        let run = self.numbered.get(entry.first_numbered as usize..entry.after_numbered as usize)?;
        let at = run.binary_search_by_key(&port, |(known, _)| *known).ok()?;
        Some(run[at].1)
    }
}

impl DomainIndexBuilder {
    /// Enters `domain`, unless it is there already: then says whose it is.
    pub(crate) fn insert(&mut self, domain: &Domain, id: VirtualHostId) -> Option<VirtualHostId> {
        let (ports, port) = match domain {
            Domain::Any => return occupy(&mut self.any, id),
            Domain::Exact { host, port } => (self.exact.entry(host.as_bytes().into()).or_default(), port),
            Domain::Suffix { suffix, port } => (self.suffixes.entry(suffix.as_bytes().into()).or_default(), port),
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

    pub(crate) fn build(self) -> DomainIndex {
        let mut suffix_lengths: Vec<usize> = self.suffixes.keys().map(|suffix| suffix.len()).collect();
        suffix_lengths.sort_unstable_by(|a, b| b.cmp(a));
        suffix_lengths.dedup();
        let mut texts = TextsBuilder::default();
        let mut numbered = Vec::new();
        let mut entries = |all: HashMap<Box<[u8]>, Ports>| {
            let mut table = HashTable::with_capacity(all.len());
            for (text, ports) in all {
                let first_numbered = numbered.len() as u32;
                numbered.extend(ports.numbered);
                let after_numbered = numbered.len() as u32;
                let entry = Entry { text: texts.add(&text), any: ports.any, first_numbered, after_numbered };
                // There is room: nothing is ever hashed again.
                table.insert_unique(hash(&text, 0), entry, |_| 0);
            }
            table
        };
        let (exact, suffixes) = (entries(self.exact), entries(self.suffixes));
        DomainIndex { texts: texts.build(), exact, suffixes, suffix_lengths, numbered, any: self.any }
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
