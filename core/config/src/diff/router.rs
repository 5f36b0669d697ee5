//! What differs in a router.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::{RouteShape, RouterShape, VirtualHostShape};

/// A part of a router that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouterPart {
    /// What holds for all of its virtual hosts.
    Settings,
    /// A virtual host that is new, by name.
    VirtualHostAdded(Arc<str>),
    /// One that is gone.
    VirtualHostRemoved(Arc<str>),
    /// One that stays.
    VirtualHost {
        /// Its name.
        name: Arc<str>,
        /// Whether domains, headers or settings of filters differ.
        settings: bool,
        /// What its routes are.
        routes: RouteChanges,
    },
}

/// Routes of a virtual host, by name or by what they match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteChanges {
    /// They are new.
    pub added: Vec<Arc<str>>,
    /// They are gone.
    pub removed: Vec<Arc<str>>,
    /// They do something else.
    pub changed: Vec<Arc<str>>,
    /// Whether those that stay are matched in another order.
    pub reordered: bool,
}

impl RouteChanges {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == RouteChanges::default()
    }
}

pub(super) fn parts(running: &RouterShape, wanted: &RouterShape) -> Vec<RouterPart> {
    if running == wanted {
        return Vec::new();
    }
    let mut parts = Vec::new();
    if running.rest != wanted.rest {
        parts.push(RouterPart::Settings);
    }
    let old = numbered(&running.virtual_hosts, |host| &host.name);
    let new = numbered(&wanted.virtual_hosts, |host| &host.name);
    let before: HashMap<_, _> = old.iter().copied().collect();
    let after: HashSet<_> = new.iter().map(|(place, _)| *place).collect();
    for (place, host) in &new {
        match before.get(place) {
            None => parts.push(RouterPart::VirtualHostAdded(host.name.clone())),
            Some(before) => parts.extend(virtual_host(before, host)),
        }
    }
    let gone = old.iter().filter(|(place, _)| !after.contains(place));
    parts.extend(gone.map(|(_, host)| RouterPart::VirtualHostRemoved(host.name.clone())));
    parts
}

fn virtual_host(running: &VirtualHostShape, wanted: &VirtualHostShape) -> Option<RouterPart> {
    if running == wanted {
        return None;
    }
    let settings = running.rest != wanted.rest;
    let routes = routes(&running.routes, &wanted.routes);
    Some(RouterPart::VirtualHost { name: wanted.name.clone(), settings, routes })
}

/// Routes that say the same are the same, wherever they stand; of the others,
/// those of one name.
fn routes(running: &[RouteShape], wanted: &[RouteShape]) -> RouteChanges {
    if running == wanted {
        return RouteChanges::default();
    }
    let digest = |route: &RouteShape| (route.name.clone(), route.digest);
    let (same_old, other_old) = split(running, &count(wanted.iter().map(digest)), digest);
    let (same_new, other_new) = split(wanted, &count(running.iter().map(digest)), digest);
    let name = |route: &RouteShape| route.name.clone();
    let (_, gone) = split(&other_old, &count(other_new.iter().map(name)), name);
    let (stay, new) = split(&other_new, &count(other_old.iter().map(name)), name);
    let names = |routes: &[RouteShape]| routes.iter().map(name).collect();
    RouteChanges { added: names(&new), removed: names(&gone), changed: names(&stay), reordered: same_old != same_new }
}

fn count<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> HashMap<K, usize> {
    let mut counts = HashMap::new();
    keys.for_each(|key| *counts.entry(key).or_default() += 1);
    counts
}

/// Those that have a partner in `others`, one each, and those that have none.
fn split<K: std::hash::Hash + Eq>(
    routes: &[RouteShape],
    others: &HashMap<K, usize>,
    key: impl Fn(&RouteShape) -> K,
) -> (Vec<RouteShape>, Vec<RouteShape>) {
    let mut left: HashMap<K, usize> = HashMap::new();
    routes.iter().cloned().partition(|route| {
        let key = key(route);
        let available = others.get(&key).copied().unwrap_or_default();
        let used = left.entry(key).or_default();
        *used += 1;
        *used <= available
    })
}

/// With the number among those of one name.
fn numbered<T>(entries: &[T], name: impl Fn(&T) -> &Arc<str>) -> Vec<((&str, usize), &T)> {
    let mut seen = HashMap::<&str, usize>::new();
    let mut numbered = Vec::with_capacity(entries.len());
    for entry in entries {
        let name: &str = name(entry);
        let number = seen.entry(name).or_default();
        numbered.push(((name, *number), entry));
        *number += 1;
    }
    numbered
}
