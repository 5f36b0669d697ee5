//! From a request to the first of a virtual host's routes that agrees,
//! without trying them all and without allocation.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use sidegate_api::RequestHead;

use crate::matcher::PathMatch;
use crate::table::Route;

/// Routes of one virtual host by the kind of their path condition. Every list
/// of routes is in configured order, so the search in a list ends at the first
/// route that agrees or comes after the best one so far.
#[derive(Debug)]
pub(crate) struct RouteIndex {
    hasher: RandomState,
    /// Exact paths by the hash of their lower-case form; collisions are told
    /// apart by the routes themselves.
    exact: HashMap<u64, Vec<u32>>,
    /// Sorted by text.
    prefixes: Vec<PrefixEntry>,
    /// Regular expressions and routes without a path condition.
    others: Vec<u32>,
}

/// One distinct prefix.
#[derive(Debug)]
struct PrefixEntry {
    text: Box<str>,
    /// The longest other entry that is a prefix of this one.
    parent: Option<u32>,
    routes: Vec<u32>,
}

impl RouteIndex {
    /// Indexes `routes`, the first of which has the number `start`.
    pub(crate) fn new(start: usize, routes: &[Route]) -> Self {
        let mut index =
            RouteIndex { hasher: RandomState::new(), exact: HashMap::new(), prefixes: Vec::new(), others: Vec::new() };
        let mut prefixes: Vec<(&str, u32)> = Vec::new();
        for (offset, route) in routes.iter().enumerate() {
            let number = (start + offset) as u32;
            match route.matcher().path() {
                PathMatch::Prefix(text) => prefixes.push((text.as_str(), number)),
                PathMatch::Exact(text) => index.exact.entry(index.folded_hash(text.as_str())).or_default().push(number),
                PathMatch::Regex(_) | PathMatch::Any => index.others.push(number),
            }
        }
        prefixes.sort_unstable();
        index.prefixes = link(&prefixes);
        index
    }

    /// The first route that agrees with `request`; `routes` is the table's
    /// list.
    pub(crate) fn find<'t>(&self, routes: &'t [Route], request: &RequestHead) -> Option<&'t Route> {
        let path = request.path();
        let mut best = Best { routes, number: None };
        if !self.exact.is_empty()
            && let Some(list) = self.exact.get(&self.folded_hash(path))
        {
            best.improve(list, |route| route.matcher().matches(request));
        }
        // Every prefix of `path` sorts at or before it, and whatever sorts
        // between the two begins with that prefix: so all entries that match
        // are the last one not after `path` and its ancestors.
        let after = self.prefixes.partition_point(|entry| *entry.text <= *path);
        let mut at = after.checked_sub(1);
        while let Some(entry) = at.and_then(|at| self.prefixes.get(at)) {
            if path.starts_with(&*entry.text) {
                best.improve(&entry.routes, |route| route.matcher().headers_match(request));
            }
            at = entry.parent.map(|parent| parent as usize);
        }
        best.improve(&self.others, |route| route.matcher().matches(request));
        best.number.and_then(|number| routes.get(number as usize))
    }

    fn folded_hash(&self, path: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        let mut buffer = [0_u8; 64];
        for chunk in path.as_bytes().chunks(buffer.len()) {
            let folded = &mut buffer[..chunk.len()];
            folded.copy_from_slice(chunk);
            folded.make_ascii_lowercase();
            hasher.write(folded);
        }
        hasher.finish()
    }
}

/// The lowest number of a route that agreed so far.
struct Best<'t> {
    routes: &'t [Route],
    number: Option<u32>,
}

impl Best<'_> {
    fn improve(&mut self, list: &[u32], agrees: impl Fn(&Route) -> bool) {
        for &number in list {
            if self.number.is_some_and(|best| best <= number) {
                return;
            }
            if self.routes.get(number as usize).is_some_and(&agrees) {
                self.number = Some(number);
                return;
            }
        }
    }
}

/// Entries of sorted `(text, route)` pairs.
fn link(sorted: &[(&str, u32)]) -> Vec<PrefixEntry> {
    let mut entries: Vec<PrefixEntry> = Vec::new();
    // Entries whose text the current one may begin with, shortest first.
    let mut open: Vec<u32> = Vec::new();
    for &(text, route) in sorted {
        match entries.last_mut() {
            Some(last) if *last.text == *text => last.routes.push(route),
            _ => {
                while open.last().is_some_and(|&at| !text.starts_with(&*entries[at as usize].text)) {
                    open.pop();
                }
                let parent = open.last().copied();
                open.push(entries.len() as u32);
                entries.push(PrefixEntry { text: text.into(), parent, routes: vec![route] });
            }
        }
    }
    entries
}
