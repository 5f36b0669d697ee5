//! What differs in a listener.

use std::collections::HashMap;
use std::sync::Arc;

use sidegate_api::Address;

use super::DrainWhy;
use crate::{FilterIdentity, Listener};

/// A part of a listener that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerPart {
    /// Where it listens.
    Address {
        /// Now.
        from: Address,
        /// Then.
        to: Address,
    },
    /// How connections reach workers: `reuseport`, `reuseport_overlap`.
    Accept,
    /// Permission bits of a Unix socket.
    Mode,
    /// `connection_idle_timeout`
    IdleTimeout,
    /// `router_config_name`
    Router {
        /// Now.
        from: Arc<str>,
        /// Then.
        to: Arc<str>,
    },
    /// The chain.
    Filters(Vec<FilterChange>),
    /// Access logs.
    AccessLogs,
    /// `downstream_protocol`
    DownstreamProtocol,
    /// Settings of HTTP/2 connections.
    Http2,
    /// Bounds on what a client may send.
    Limits,
    /// How long each part may take.
    Timeouts,
    /// Headers about the client.
    Forwarding,
    /// Protocols that connections may switch to.
    Upgrades,
    /// How names of fields are written.
    HeaderCase,
    /// Which bytes a target may have.
    TargetBytes,
    /// TLS towards clients, files included.
    Tls,
}

/// A filter of a chain that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterChange {
    /// Its name.
    pub name: Arc<str>,
    /// What of it.
    pub what: FilterChanged,
}

/// What of a filter differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterChanged {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its entry, but for `config`.
    Entry,
    /// Its `config`.
    Config,
    /// Files that it reads, or its module's.
    Files,
    /// Its place among those that stay.
    Moved,
}

impl ListenerPart {
    /// Why connections end with it, if they do.
    pub fn ends_connections(&self) -> Option<DrainWhy> {
        match self {
            ListenerPart::Address { to, .. } => Some(DrainWhy::Moved { to: to.clone() }),
            ListenerPart::Accept | ListenerPart::Mode => Some(DrainWhy::Rebound),
            _ => None,
        }
    }
}

pub(super) fn parts(running: &Listener, wanted: &Listener) -> Vec<ListenerPart> {
    let mut parts = Vec::new();
    if running.net.address != wanted.net.address {
        let (from, to) = (running.net.address.clone(), wanted.net.address.clone());
        parts.push(ListenerPart::Address { from, to });
    }
    let (from, to) = (running.routes.name(), wanted.routes.name());
    if from != to {
        parts.push(ListenerPart::Router { from: from.clone(), to: to.clone() });
    }
    let filters = filters(&running.chain, &wanted.chain);
    if !filters.is_empty() {
        parts.push(ListenerPart::Filters(filters));
    }
    let others = [
        (running.net.accept != wanted.net.accept, ListenerPart::Accept),
        (running.net.socket_mode != wanted.net.socket_mode, ListenerPart::Mode),
        (running.net.idle_timeout != wanted.net.idle_timeout, ListenerPart::IdleTimeout),
        (running.access_logs != wanted.access_logs, ListenerPart::AccessLogs),
        (running.downstream != wanted.downstream, ListenerPart::DownstreamProtocol),
        (running.http2 != wanted.http2, ListenerPart::Http2),
        (running.limits != wanted.limits, ListenerPart::Limits),
        (running.timeouts != wanted.timeouts, ListenerPart::Timeouts),
        (running.forwarding != wanted.forwarding, ListenerPart::Forwarding),
        (running.upgrades != wanted.upgrades, ListenerPart::Upgrades),
        (running.header_case != wanted.header_case, ListenerPart::HeaderCase),
        (running.target_bytes != wanted.target_bytes, ListenerPart::TargetBytes),
        (running.tls != wanted.tls, ListenerPart::Tls),
    ];
    parts.extend(others.into_iter().filter_map(|(differs, part)| differs.then_some(part)));
    parts
}

/// By name and number among those of the name, as factories are taken over.
fn filters(running: &[Arc<FilterIdentity>], wanted: &[Arc<FilterIdentity>]) -> Vec<FilterChange> {
    let (running, wanted) = (numbered(running), numbered(wanted));
    let before: HashMap<_, _> = running.iter().copied().collect();
    let after: HashMap<_, _> = wanted.iter().copied().collect();
    let change = |name: &str, what| FilterChange { name: name.into(), what };
    let mut changes = Vec::new();
    for (place, identity) in &wanted {
        let what = match before.get(place) {
            None => Some(FilterChanged::Added),
            Some(before) => differs(before, identity),
        };
        changes.extend(what.map(|what| change(place.0, what)));
    }
    let gone = running.iter().filter(|(place, _)| !after.contains_key(place));
    changes.extend(gone.map(|(place, _)| change(place.0, FilterChanged::Removed)));
    let staying = |list: &[(Place<'_>, &Arc<FilterIdentity>)], other: &HashMap<Place<'_>, &Arc<FilterIdentity>>| {
        let names = list.iter().filter(|(place, _)| other.contains_key(place));
        names.map(|(place, _)| (place.0.to_owned(), place.1)).collect::<Vec<_>>()
    };
    let (old, new) = (staying(&running, &after), staying(&wanted, &before));
    let moved = new.iter().zip(&old).filter(|(new, old)| new != old);
    changes.extend(moved.map(|((name, _), _)| change(name, FilterChanged::Moved)));
    changes
}

type Place<'f> = (&'f str, usize);

fn numbered(chain: &[Arc<FilterIdentity>]) -> Vec<(Place<'_>, &Arc<FilterIdentity>)> {
    let mut seen = HashMap::<&str, usize>::new();
    let mut numbered = Vec::with_capacity(chain.len());
    for identity in chain {
        let number = seen.entry(&identity.spec.name).or_default();
        numbered.push(((&*identity.spec.name, *number), identity));
        *number += 1;
    }
    numbered
}

fn differs(before: &FilterIdentity, after: &FilterIdentity) -> Option<FilterChanged> {
    if before == after {
        return None;
    }
    Some(match () {
        () if before.spec == after.spec => FilterChanged::Files,
        () if before.spec.config == after.spec.config => FilterChanged::Entry,
        () => FilterChanged::Config,
    })
}
