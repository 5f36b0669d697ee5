//! From a request to the first of its virtual host's routes that agrees,
//! without trying them all and without allocation.
//!
//! All virtual hosts share one table of paths, and routes with the same path
//! are linked to each other: a lookup among ten thousand routes touches the
//! virtual host, one entry per length of prefix that occurs in it, the text of
//! those that fit, and the heads of their routes.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use hashbrown::HashTable;
use sidegate_api::StreamState;

use crate::hash::{Prefixes, hash, hash_folded};
use crate::matcher::PathMatch;
use crate::route::{Conditions, NO_ROUTE, Route, RouteHead};
use crate::table::VirtualHostId;
use crate::texts::{Span, Texts, TextsBuilder};

/// Routes by virtual host and path condition.
#[derive(Debug)]
pub(crate) struct PathIndex {
    texts: Texts,
    entries: HashTable<Entry>,
    hosts: Vec<HostPaths>,
    /// Runs of ascending lengths of prefixes.
    lengths: Vec<u32>,
}

/// One distinct path condition of one virtual host.
#[derive(Debug)]
struct Entry {
    text: Span,
    /// The first route that has it.
    first: u32,
    kind: Kind,
}

/// How a text is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Prefix,
    /// Without case.
    Exact,
}

/// What a lookup needs to know of a virtual host.
#[derive(Debug)]
struct HostPaths {
    /// Its routes.
    first_route: u32,
    after_routes: u32,
    /// Its run in `lengths`.
    first_length: u32,
    after_lengths: u32,
    /// The first route with a regular expression, or without a path condition.
    first_other: u32,
    exact: Exact,
}

/// Whether exact paths are worth a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exact {
    Never,
    Some,
}

impl PathIndex {
    /// Indexes the routes of all virtual hosts, `hosts` being their ranges,
    /// and links `heads`.
    pub(crate) fn new(hosts: &[Range<usize>], routes: &[Route], heads: &mut [RouteHead]) -> PathIndex {
        let mut texts = TextsBuilder::default();
        let mut entries = HashTable::with_capacity(routes.len());
        let mut lengths = Lengths::default();
        let hosts = hosts.iter().enumerate().map(|(host, range)| {
            let host = VirtualHostId(host as u32);
            let mut of_host = BTreeSet::new();
            let mut exact = Exact::Never;
            // Entries of this host with the last route of each.
            let mut last: HashMap<(Kind, String), u32> = HashMap::new();
            let (mut first_other, mut last_other) = (NO_ROUTE, NO_ROUTE);
            for number in range.clone() {
                let (kind, text) = match routes[number].matcher().path() {
                    PathMatch::Prefix(text) => (Kind::Prefix, text.as_str().to_owned()),
                    PathMatch::Exact(text) => (Kind::Exact, text.as_str().to_ascii_lowercase()),
                    PathMatch::Regex(_) | PathMatch::Any => {
                        match heads.get_mut(last_other as usize) {
                            Some(head) => head.next = number as u32,
                            None => first_other = number as u32,
                        }
                        last_other = number as u32;
                        continue;
                    }
                };
                match kind {
                    Kind::Prefix => _ = of_host.insert(text.len() as u32),
                    Kind::Exact => exact = Exact::Some,
                }
                let span = texts.add(text.as_bytes());
                let key = hash(text.as_bytes(), kind.space(host));
                match last.insert((kind, text), number as u32) {
                    Some(before) => heads[before as usize].next = number as u32,
                    None => {
                        let entry = Entry { text: span, first: number as u32, kind };
                        // There is room: nothing is ever hashed again.
                        entries.insert_unique(key, entry, |_| 0);
                    }
                }
            }
            let lengths = lengths.add(of_host);
            HostPaths {
                first_route: range.start as u32,
                after_routes: range.end as u32,
                first_length: lengths.start,
                after_lengths: lengths.end,
                first_other,
                exact,
            }
        });
        let hosts = hosts.collect();
        PathIndex { texts: texts.build(), entries, hosts, lengths: lengths.all }
    }

    /// The number of the first route of `host` that agrees with the request.
    pub(crate) fn find(
        &self,
        host: VirtualHostId,
        routes: &[Route],
        heads: &[RouteHead],
        stream: &StreamState,
    ) -> Option<u32> {
        let paths = self.hosts.get(host.0 as usize)?;
        let path = stream.request.routed_path().as_bytes();
        let mut best = Best { heads, number: NO_ROUTE };
        let conditions = |number: u32, head: &RouteHead| match head.conditions {
            Conditions::Path => true,
            Conditions::More => routes.get(number as usize).is_some_and(|route| route.agrees_beside_path(stream)),
        };
        if paths.exact == Exact::Some {
            let key = hash_folded(path, Kind::Exact.space(host));
            let agrees = |text: &[u8]| text.eq_ignore_ascii_case(path);
            if let Some(first) = self.probe(paths, Kind::Exact, key, agrees) {
                best.improve(first, conditions);
            }
        }
        let lengths = self.lengths.get(paths.first_length as usize..paths.after_lengths as usize).unwrap_or_default();
        let mut prefixes = Prefixes::new(path);
        for &length in lengths {
            let Some(prefix) = path.get(..length as usize) else { break };
            let key = prefixes.hash(prefix.len(), Kind::Prefix.space(host));
            if let Some(first) = self.probe(paths, Kind::Prefix, key, |text| text == prefix) {
                best.improve(first, conditions);
            }
        }
        if path == b"*" {
            let key = hash(b"/", Kind::Prefix.space(host));
            if let Some(first) = self.probe(paths, Kind::Prefix, key, |text| text == b"/") {
                best.improve(first, conditions);
            }
        }
        best.improve(paths.first_other, |number, _| {
            routes.get(number as usize).is_some_and(|route| route.matcher().matches(stream))
        });
        Some(best.number).filter(|number| *number != NO_ROUTE)
    }

    fn probe(&self, paths: &HostPaths, kind: Kind, key: u64, agrees: impl Fn(&[u8]) -> bool) -> Option<u32> {
        let own = paths.first_route..paths.after_routes;
        let found = self
            .entries
            .find(key, |entry| entry.kind == kind && own.contains(&entry.first) && agrees(self.texts.get(entry.text)));
        found.map(|entry| entry.first)
    }
}

impl Kind {
    /// Keeps paths of different virtual hosts and kinds apart in one table.
    fn space(self, host: VirtualHostId) -> u64 {
        u64::from(host.0) << 1 | self as u64
    }
}

/// The lowest number of a route that agreed so far.
struct Best<'t> {
    heads: &'t [RouteHead],
    number: u32,
}

impl Best<'_> {
    /// Looks through linked routes, which are in configured order: the first
    /// that agrees ends it, or one after the best so far.
    #[inline]
    fn improve(&mut self, first: u32, agrees: impl Fn(u32, &RouteHead) -> bool) {
        let mut at = first;
        while at < self.number {
            let Some(head) = self.heads.get(at as usize) else { return };
            if agrees(at, head) {
                self.number = at;
                return;
            }
            at = head.next;
        }
    }
}

/// Runs of lengths; virtual hosts with the same lengths share one, so that it
/// stays in the cache.
#[derive(Default)]
struct Lengths {
    all: Vec<u32>,
    known: HashMap<BTreeSet<u32>, Range<u32>>,
}

impl Lengths {
    fn add(&mut self, run: BTreeSet<u32>) -> Range<u32> {
        if let Some(range) = self.known.get(&run) {
            return range.clone();
        }
        let start = self.all.len() as u32;
        self.all.extend(&run);
        let range = start..self.all.len() as u32;
        self.known.insert(run, range.clone());
        range
    }
}
