//! The list of endpoints and the way of a request to one of them.

use sidegate_api::{Method, RequestHead};

use crate::access::{Editor, Peer};
use crate::query::{Query, decode_segment};
use crate::reply::{Answer, Reply};
use crate::{AdminAccess, AdminSource, changes, handlers, hosts, plugins};

/// What an endpoint is given.
pub(crate) struct Call<'a> {
    pub(crate) source: &'a dyn AdminSource,
    pub(crate) query: Query,
    /// What stands for the name in the path; empty if it has none.
    pub(crate) name: &'a str,
    /// The same for the address.
    pub(crate) address: &'a str,
    /// There for those who may edit.
    pub(crate) editor: Option<Editor>,
    pub(crate) head: &'a RequestHead,
    /// Value of the `accept` field.
    pub(crate) accept: Option<&'a str>,
    /// Who calls.
    pub(crate) peer: Peer,
    /// Empty for endpoints that read.
    pub(crate) body: &'a [u8],
}

/// One path, or all that differ in one name.
pub(crate) struct Endpoint {
    /// With `NAME` and `ADDRESS` where any may stand.
    pub(crate) path: &'static str,
    pub(crate) effect: Effect,
    pub(crate) about: &'static str,
    /// The largest body that it takes, in bytes.
    pub(crate) max_body: u64,
    handle: Handle,
}

enum Handle {
    /// Answers at once.
    Now(fn(&Call<'_>) -> Reply),
    /// Orders something and answers when it is done.
    Later(fn(&Call<'_>) -> Answer),
}

/// Of most bodies.
const SMALL: u64 = 64 * 1024;
/// Of a configuration.
const LARGE: u64 = 64 << 20;

/// What calling an endpoint does, which decides method and access.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect {
    /// Tells how the process fares, to probes and scrapers that reach it by any
    /// name: GET, for everybody.
    Probes,
    /// Tells something: GET, for everybody but web pages.
    Reads,
    /// Changes something: POST, for those who may.
    Changes,
    /// Tells or changes something, as the query says: any method, as MOSN's
    /// tools have it, and what changes something for those who may.
    AsMosn(fn(&RequestHead) -> bool),
    /// Edits what the file says, for fewer.
    Edits(Edit),
}

/// What is done to a host, each with a method of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    Add,
    Set,
    Remove,
}

/// What stands for the names in a path, without its percents.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Names {
    pub(crate) name: String,
    pub(crate) address: String,
}

impl Effect {
    /// As in an Allow field.
    pub(crate) fn methods(self) -> &'static str {
        match self {
            Effect::Probes | Effect::Reads => "GET, HEAD",
            Effect::AsMosn(_) => "GET, HEAD, POST",
            Effect::Changes | Effect::Edits(Edit::Add) => "POST",
            Effect::Edits(Edit::Set) => "PATCH",
            Effect::Edits(Edit::Remove) => "DELETE",
        }
    }

    fn allows(self, method: &Method) -> bool {
        match self {
            Effect::Probes | Effect::Reads => matches!(method, Method::Get | Method::Head),
            Effect::AsMosn(_) => matches!(method, Method::Get | Method::Head | Method::Post),
            Effect::Changes | Effect::Edits(Edit::Add) => *method == Method::Post,
            Effect::Edits(Edit::Set) => *method == Method::Patch,
            Effect::Edits(Edit::Remove) => *method == Method::Delete,
        }
    }
}

impl Endpoint {
    /// The endpoint of a request, and the names in its path; an error has the
    /// methods that there are for the path.
    pub(crate) fn find(head: &RequestHead) -> Result<(&'static Self, Names), Vec<&'static str>> {
        let path = head.path();
        let mut allowed = Vec::new();
        for endpoint in &ENDPOINTS {
            let Some(names) = Names::of(endpoint.path, path) else { continue };
            if endpoint.effect.allows(&head.method) {
                return Ok((endpoint, names));
            }
            allowed.push(endpoint.effect.methods());
        }
        Err(allowed)
    }

    /// Finds the endpoint of a request and checks what can be checked before
    /// its body is read.
    pub(crate) fn admit(head: &RequestHead, peer: Peer, access: &AdminAccess) -> Result<&'static Self, Reply> {
        let path = head.path();
        let endpoint = match Self::find(head) {
            Ok((endpoint, _)) => endpoint,
            Err(allowed) if allowed.is_empty() => return Err(Reply::text(404, "not found; / lists what there is")),
            Err(allowed) => return Err(Reply::method_not_allowed(allowed.join(", "))),
        };
        let checked = match endpoint.effect {
            Effect::Probes => Ok(()),
            Effect::Reads => access.check_read(peer, head),
            Effect::Changes => access.check_change(peer, head),
            Effect::AsMosn(changes) if changes(head) => access.check_change_by_any_method(peer, head),
            Effect::AsMosn(_) => access.check_read(peer, head),
            Effect::Edits(_) => access.check_edit(peer, head).map(drop),
        };
        if let Err(refusal) = checked {
            tracing::warn!(path, ?peer, %refusal, "admin: refused");
            return Err(Reply::text(403, refusal.to_string()));
        }
        Ok(endpoint)
    }

    pub(crate) fn call(&self, call: &Call<'_>) -> Answer {
        match self.handle {
            Handle::Now(handle) => handle(call).into(),
            Handle::Later(handle) => handle(call),
        }
    }
}

impl Names {
    /// The names in `path`, if it is like `pattern`. Each is one segment; what
    /// is a slash in a name is `%2F`.
    fn of(pattern: &str, path: &str) -> Option<Self> {
        let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
        let mut names = Names::default();
        loop {
            match (pattern.next(), path.next()) {
                (None, None) => return Some(names),
                (Some("NAME"), Some(name)) => names.name = named(name)?,
                (Some("ADDRESS"), Some(address)) => names.address = named(address)?,
                (Some(same), Some(segment)) if same == segment => {}
                _ => return None,
            }
        }
    }
}

fn named(segment: &str) -> Option<String> {
    (!segment.is_empty()).then(|| decode_segment(segment))
}

const fn probes(path: &'static str, about: &'static str, handle: fn(&Call<'_>) -> Reply) -> Endpoint {
    Endpoint { path, effect: Effect::Probes, about, max_body: SMALL, handle: Handle::Now(handle) }
}

const fn reads(path: &'static str, about: &'static str, handle: fn(&Call<'_>) -> Reply) -> Endpoint {
    Endpoint { path, effect: Effect::Reads, about, max_body: SMALL, handle: Handle::Now(handle) }
}

const fn changes(path: &'static str, about: &'static str, handle: fn(&Call<'_>) -> Reply) -> Endpoint {
    Endpoint { path, effect: Effect::Changes, about, max_body: SMALL, handle: Handle::Now(handle) }
}

const fn orders(path: &'static str, about: &'static str, handle: fn(&Call<'_>) -> Answer) -> Endpoint {
    Endpoint { path, effect: Effect::Changes, about, max_body: SMALL, handle: Handle::Later(handle) }
}

const fn edits(path: &'static str, edit: Edit, about: &'static str, handle: fn(&Call<'_>) -> Answer) -> Endpoint {
    Endpoint { path, effect: Effect::Edits(edit), about, max_body: SMALL, handle: Handle::Later(handle) }
}

/// Everything there is.
pub(crate) static ENDPOINTS: [Endpoint; 33] = [
    reads("/", "this list", handlers::index),
    probes("/ready", "200 while taking traffic, else 503", handlers::ready),
    probes("/live", "200 while a worker serves, 503 if all of them hang", handlers::live),
    probes(
        "/stats/prometheus",
        "metrics in Prometheus' text format, or OpenMetrics for those who accept it",
        handlers::metrics,
    ),
    probes("/metrics", "the same", handlers::metrics),
    reads("/server_info", "version, state and uptime as JSON, as Envoy's tools ask for them", handlers::server_info),
    reads("/api/v1/version", "version", handlers::version),
    reads("/api/v1/states", "process id and state (6 = running, 7 = draining)", handlers::states),
    reads(
        "/api/v1/config_dump",
        "configuration; ?mosnconfig, ?allrouters, ?allclusters, ?alllisteners, ?router=, ?cluster=, ?listener=",
        handlers::config_dump,
    ),
    reads("/api/v1/config", "number, digest and time of what runs, and what ran before", changes::status),
    orders("/api/v1/config/reload", "reads the configuration again and takes it, whole or not at all", changes::reload),
    orders("/api/v1/config/rollback", "goes back to the configuration that ran before", changes::rollback),
    Endpoint {
        max_body: LARGE,
        ..orders(
            "/api/v1/config/diff",
            "what a reload would change; with a body: what that configuration would",
            changes::diff,
        )
    },
    orders(
        "/api/v1/modules/NAME/reload",
        "loads the module's file anew; ?sha256= goes back to a generation that ran",
        changes::reload_module,
    ),
    reads("/api/v1/hosts", "hosts of all clusters and how they are; ?cluster=", handlers::hosts),
    reads("/api/v1/clusters/NAME/hosts", "hosts of one cluster, with an ETag for who edits them", hosts::show),
    edits("/api/v1/clusters/NAME/hosts", Edit::Add, "adds a host until the next reload", hosts::add),
    edits(
        "/api/v1/clusters/NAME/hosts/ADDRESS",
        Edit::Set,
        "{\"weight\":, \"drained\":} until the next reload",
        hosts::set,
    ),
    edits("/api/v1/clusters/NAME/hosts/ADDRESS", Edit::Remove, "removes a host until the next reload", hosts::remove),
    reads("/api/v1/certs", "certificates, CAs and CRLs in use; ?listener=, ?cluster=", handlers::certs),
    reads("/api/v1/modules", "loaded modules", handlers::modules),
    reads("/api/v1/stats", "metrics as JSON; ?key= part of type.label.value.key", handlers::stats),
    reads(
        "/api/v1/stats_glob",
        "metrics of all listeners together as lines; ?key= any, by a pattern with * and ?",
        handlers::stats_glob,
    ),
    reads("/api/v1/get_loglevel", "level of each log", handlers::get_log_level),
    changes("/api/v1/update_loglevel", "{\"log_path\":, \"log_level\":}", handlers::update_log_level),
    changes("/api/v1/enable_log", "switches the log whose path is the body on", handlers::enable_log),
    changes("/api/v1/disable_log", "switches it off", handlers::disable_log),
    reads("/api/v1/features", "feature gates; there are none; ?key= whether it is on", handlers::features),
    reads("/api/v1/env", "environment; never shown", handlers::env),
    Endpoint {
        effect: Effect::AsMosn(plugins::changes),
        ..reads("/api/v1/plugin", "as MOSN's: ?status=all|NAME, ?enable=NAME, ?disable=NAME", plugins::as_mosn)
    },
    reads("/api/v1/plugins", "plugins that are processes of their own, and how they are", plugins::list),
    changes("/api/v1/plugins/NAME/enable", "starts a plugin that was disabled", plugins::enable),
    changes("/api/v1/plugins/NAME/disable", "stops a plugin until it is enabled; its calls fail", plugins::disable),
];

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_are_whole_segments_without_percents() {
        let of = |path: &str| Names::of("/c/NAME/hosts/ADDRESS", path).map(|names| (names.name, names.address));
        let found = |name: &str, address: &str| Some((name.to_owned(), address.to_owned()));
        assert_eq!(of("/c/a/hosts/[::1]:80"), found("a", "[::1]:80"));
        assert_eq!(of("/c/a%2Fb%20c/hosts/unix:%2Fx%2by"), found("a/b c", "unix:/x+y"));
        for other in ["/c/a/hosts", "/c/a/hosts/", "/c//hosts/x", "/c/a/hosts/x/", "/c/a/hosts/unix:/x", "/c/a/host/x"]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
