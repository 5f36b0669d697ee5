//! A diff for people and for tools.

use std::fmt;

use serde_json::{Value, json};

use super::{
    Changes, ClusterPart, ConfigDiff, Drain, DrainWhy, FilterChange, FilterChanged, HostChanges, ListenerPart,
    ModulePart, ProcessPart, RouteChanges, RouterPart,
};

/// A part that differs, in words.
pub(super) trait Part {
    /// One phrase.
    fn words(&self) -> String;

    /// An object whose `part` says which.
    fn to_json(&self) -> Value;
}

/// Long lists end with how many more there are.
const SHOWN: usize = 8;

/// One line per thing that differs: `+` is new, `-` is gone, `~` stays; `!` is
/// what to know before.
impl fmt::Display for ConfigDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

fn lines_of<P: Part>(lines: &mut Vec<String>, kind: &str, changes: &Changes<P>) {
    lines.extend(changes.added.iter().map(|name| format!("+ {kind} {name}")));
    lines.extend(changes.removed.iter().map(|name| format!("- {kind} {name}")));
    for changed in &changes.changed {
        let parts: Vec<String> = changed.what.iter().map(Part::words).collect();
        lines.push(format!("~ {kind} {}: {}", changed.name, parts.join("; ")));
    }
}

impl ConfigDiff {
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines_of(&mut lines, "listener", &self.listeners);
        lines_of(&mut lines, "router", &self.routers);
        lines_of(&mut lines, "cluster", &self.clusters);
        lines_of(&mut lines, "module", &self.modules);
        lines.extend(self.process.iter().map(|part| format!("~ {}", part.words())));
        lines.extend(self.drains.iter().map(|drain| format!("! {}", drain.words())));
        lines.extend(self.restart.iter().map(|finding| format!("! {finding}")));
        if lines.is_empty() {
            lines.push("nothing changes".to_owned());
        }
        lines
    }

    /// In the form that the module's documentation shows.
    pub fn to_json(&self) -> Value {
        json!({
            "same": self.is_same(),
            "lines": self.lines(),
            "listeners": changes(&self.listeners),
            "routers": changes(&self.routers),
            "clusters": changes(&self.clusters),
            "modules": changes(&self.modules),
            "process": self.process.iter().map(Part::to_json).collect::<Vec<_>>(),
            "drains": self.drains.iter().map(Drain::to_json).collect::<Vec<_>>(),
            "restart": self.restart.iter().map(crate::Diagnostic::to_json).collect::<Vec<_>>(),
        })
    }
}

fn changes<P: Part>(changes: &Changes<P>) -> Value {
    let changed = changes.changed.iter().map(|changed| {
        let what: Vec<Value> = changed.what.iter().map(Part::to_json).collect();
        json!({"name": &*changed.name, "what": what})
    });
    json!({
        "added": names(&changes.added),
        "removed": names(&changes.removed),
        "changed": changed.collect::<Vec<_>>(),
    })
}

fn names<T: fmt::Display>(names: &[T]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn list<T: fmt::Display>(names: &[T]) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(ToString::to_string).collect();
    match names.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

/// `added a, b; removed c`, without what is empty.
fn lists<T: fmt::Display>(lists: &[(&str, &[T])]) -> Vec<String> {
    let some = lists.iter().filter(|(_, names)| !names.is_empty());
    some.map(|(word, names)| format!("{word} {}", list(names))).collect()
}

impl Drain {
    fn words(&self) -> String {
        let Drain { listener, address, why } = self;
        let because = match why {
            DrainWhy::Removed => "it is removed".to_owned(),
            DrainWhy::Moved { to } => format!("it moves to {to}"),
            DrainWhy::Rebound => "it is bound anew".to_owned(),
        };
        format!("connections of listener {listener} on {address} drain, as {because}")
    }

    fn to_json(&self) -> Value {
        let (why, to) = match &self.why {
            DrainWhy::Removed => ("removed", None),
            DrainWhy::Moved { to } => ("moved", Some(to.to_string())),
            DrainWhy::Rebound => ("rebound", None),
        };
        let mut drain = json!({"listener": &*self.listener, "address": self.address.to_string(), "why": why});
        if let Some(to) = to {
            drain["to"] = to.into();
        }
        drain
    }
}

impl ListenerPart {
    fn name(&self) -> &'static str {
        match self {
            ListenerPart::Address { .. } => "address",
            ListenerPart::Accept => "reuseport",
            ListenerPart::Mode => "mode",
            ListenerPart::IdleTimeout => "connection_idle_timeout",
            ListenerPart::Router { .. } => "router_config_name",
            ListenerPart::Filters(_) => "filters",
            ListenerPart::AccessLogs => "access_logs",
            ListenerPart::DownstreamProtocol => "downstream_protocol",
            ListenerPart::Http2 => "http2_protocol_options",
            ListenerPart::Limits => "limits",
            ListenerPart::Timeouts => "timeouts",
            ListenerPart::Forwarding => "forwarding",
            ListenerPart::Upgrades => "upgrades",
            ListenerPart::HeaderCase => "header_case",
            ListenerPart::TargetBytes => "target_bytes",
            ListenerPart::Tls => "tls",
        }
    }
}

impl Part for ListenerPart {
    fn words(&self) -> String {
        match self {
            ListenerPart::Address { from, to } => format!("address {from} becomes {to}"),
            ListenerPart::Router { from, to } => format!("router {from} becomes {to}"),
            ListenerPart::Filters(changes) => {
                let all: Vec<String> = changes.iter().map(FilterChange::words).collect();
                format!("filters: {}", list(&all))
            }
            other => other.name().to_owned(),
        }
    }

    fn to_json(&self) -> Value {
        let mut part = json!({"part": self.name()});
        match self {
            ListenerPart::Address { from, to } => {
                part["from"] = from.to_string().into();
                part["to"] = to.to_string().into();
            }
            ListenerPart::Router { from, to } => {
                part["from"] = (**from).into();
                part["to"] = (**to).into();
            }
            ListenerPart::Filters(changes) => {
                let json = |change: &FilterChange| json!({"name": &*change.name, "change": change.what.name()});
                part["filters"] = changes.iter().map(json).collect();
            }
            _ => {}
        }
        part
    }
}

impl FilterChange {
    fn words(&self) -> String {
        let what = match self.what {
            FilterChanged::Added => "is new",
            FilterChanged::Removed => "is removed",
            FilterChanged::Entry => "has another entry",
            FilterChanged::Config => "has another config",
            FilterChanged::Files => "has other files",
            FilterChanged::Moved => "is moved",
        };
        format!("{} {what}", self.name)
    }
}

impl FilterChanged {
    fn name(self) -> &'static str {
        match self {
            FilterChanged::Added => "added",
            FilterChanged::Removed => "removed",
            FilterChanged::Entry => "entry",
            FilterChanged::Config => "config",
            FilterChanged::Files => "files",
            FilterChanged::Moved => "moved",
        }
    }
}

impl Part for RouterPart {
    fn words(&self) -> String {
        match self {
            RouterPart::Settings => "settings".to_owned(),
            RouterPart::VirtualHostAdded(name) => format!("virtual host {name} is new"),
            RouterPart::VirtualHostRemoved(name) => format!("virtual host {name} is removed"),
            RouterPart::VirtualHost { name, settings, routes } => {
                let RouteChanges { added, removed, changed, reordered } = routes;
                let mut of_routes = lists(&[("added", added), ("removed", removed), ("changed", changed)]);
                of_routes.extend(reordered.then(|| "in another order".to_owned()));
                let mut said = Vec::new();
                if !of_routes.is_empty() {
                    said.push(format!("routes {}", of_routes.join(", ")));
                }
                said.extend(settings.then(|| "settings".to_owned()));
                format!("virtual host {name}: {}", said.join(", "))
            }
        }
    }

    fn to_json(&self) -> Value {
        let host = |name: &str, change: &str| json!({"part": "virtual_host", "name": name, "change": change});
        match self {
            RouterPart::Settings => json!({"part": "settings"}),
            RouterPart::VirtualHostAdded(name) => host(name, "added"),
            RouterPart::VirtualHostRemoved(name) => host(name, "removed"),
            RouterPart::VirtualHost { name, settings, routes } => {
                let mut host = host(name, "changed");
                host["settings"] = (*settings).into();
                host["routes"] = json!({
                    "added": names(&routes.added),
                    "removed": names(&routes.removed),
                    "changed": names(&routes.changed),
                    "reordered": routes.reordered,
                });
                host
            }
        }
    }
}

impl ClusterPart {
    fn name(&self) -> &'static str {
        match self {
            ClusterPart::Discovery => "discovery",
            ClusterPart::Hosts(_) => "hosts",
            ClusterPart::LoadBalancing => "load_balancing",
            ClusterPart::Connections => "connections",
            ClusterPart::Tls => "tls",
            ClusterPart::Http => "http",
            ClusterPart::Breakers => "circuit_breakers",
            ClusterPart::HealthCheck => "health_check",
            ClusterPart::OutlierDetection => "outlier_detection",
        }
    }
}

impl Part for ClusterPart {
    fn words(&self) -> String {
        let ClusterPart::Hosts(HostChanges { added, removed, changed }) = self else { return self.name().to_owned() };
        match lists(&[("added", added), ("removed", removed), ("changed", changed)]) {
            said if said.is_empty() => "hosts in another order".to_owned(),
            said => format!("hosts: {}", said.join(", ")),
        }
    }

    fn to_json(&self) -> Value {
        let mut part = json!({"part": self.name()});
        if let ClusterPart::Hosts(HostChanges { added, removed, changed }) = self {
            for (key, addresses) in [("added", added), ("removed", removed), ("changed", changed)] {
                part[key] = names(addresses).into();
            }
        }
        part
    }
}

impl Part for ModulePart {
    fn words(&self) -> String {
        match self {
            ModulePart::File => "another path",
            ModulePart::Content => "another file",
        }
        .to_owned()
    }

    fn to_json(&self) -> Value {
        let name = match self {
            ModulePart::File => "file",
            ModulePart::Content => "content",
        };
        json!({"part": name})
    }
}

impl ProcessPart {
    fn name(self) -> &'static str {
        match self {
            ProcessPart::Workers => "processor",
            ProcessPart::Log => "log",
            ProcessPart::GracefulTimeout => "graceful_timeout",
            ProcessPart::DrainDelay => "drain_delay",
            ProcessPart::AdminAddress => "admin.address",
            ProcessPart::AdminAccess => "admin.access",
            ProcessPart::MetricsSinks => "metrics.sinks",
            ProcessPart::StatsMatcher => "metrics.stats_matcher",
            ProcessPart::Overload => "overload",
            ProcessPart::ModulePolicy => "modules",
        }
    }
}

impl Part for ProcessPart {
    fn words(&self) -> String {
        self.name().to_owned()
    }

    fn to_json(&self) -> Value {
        json!({"part": self.name()})
    }
}
