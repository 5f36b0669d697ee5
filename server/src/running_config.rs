//! The configuration that runs, in the shape of MOSN's dump: what was read,
//! without secrets, and beside it what came of it since.

use serde_json::{Map, Value, json};
use sidegate_admin::{ClusterStatus, ConfigDumpQuery, HostStatus, SourceError};

/// What runs, as far as the dump shows it.
pub(crate) struct RunningConfig<'a> {
    /// As read, without secrets.
    pub(crate) document: &'a Value,
    /// Number, digest and time of it.
    pub(crate) version: Map<String, Value>,
    pub(crate) clusters: &'a [ClusterStatus],
    /// Names of listeners, and where those that are bound listen.
    pub(crate) listeners: &'a [(String, Option<String>)],
    pub(crate) log_level: &'static str,
}

impl RunningConfig<'_> {
    pub(crate) fn answer(&self, query: &ConfigDumpQuery) -> Result<Value, SourceError> {
        Ok(match query {
            ConfigDumpQuery::All => json!({
                "running": self.version,
                "mosn_config": self.rest(),
                "listener": self.all_listeners(),
                "cluster": self.all_clusters(),
                "routers": self.all_routers(),
            }),
            ConfigDumpQuery::MosnConfig => self.rest(),
            ConfigDumpQuery::AllRouters => self.all_routers().into(),
            ConfigDumpQuery::AllClusters => self.all_clusters().into(),
            ConfigDumpQuery::AllListeners => self.all_listeners().into(),
            ConfigDumpQuery::Router(name) => one(self.all_routers(), name, "router")?,
            ConfigDumpQuery::Cluster(name) => one(self.all_clusters(), name, "cluster")?,
            ConfigDumpQuery::Listener(name) => one(self.all_listeners(), name, "listener")?,
        })
    }

    /// All but listeners, routers and clusters.
    fn rest(&self) -> Value {
        let mut rest = self.document.clone();
        let Some(top) = rest.as_object_mut() else { return rest };
        if let Some(manager) = get_mut(top, "cluster_manager").and_then(Value::as_object_mut) {
            manager.retain(|key, _| !key.eq_ignore_ascii_case("clusters"));
        }
        for server in get_mut(top, "servers").and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(server) = server.as_object_mut() else { continue };
            server.retain(|key, _| !key.eq_ignore_ascii_case("listeners") && !key.eq_ignore_ascii_case("routers"));
            match get_mut(server, "default_log_level") {
                Some(level) => *level = self.log_level.into(),
                None => {
                    server.insert("default_log_level".to_owned(), self.log_level.into());
                }
            }
        }
        rest
    }

    /// With the hosts there are now and how they are.
    fn all_clusters(&self) -> Map<String, Value> {
        let manager = self.document.as_object().and_then(|top| get(top, "cluster_manager")?.as_object());
        let read = manager.and_then(|manager| get(manager, "clusters")?.as_array()).map_or(&[][..], Vec::as_slice);
        let shown = self.clusters.iter().map(|cluster| {
            let entry = read.iter().filter_map(Value::as_object).find(|entry| is(entry, "name", &cluster.name));
            let mut entry = entry.cloned().unwrap_or_default();
            entry.insert("health".to_owned(), cluster.hosts.iter().map(HostStatus::to_json).collect());
            if let Some(edits) = &cluster.live_edit {
                entry.insert("live_edit".to_owned(), edits.clone());
            }
            (cluster.name.clone(), entry.into())
        });
        shown.collect()
    }

    /// With the address that each is bound to.
    fn all_listeners(&self) -> Map<String, Value> {
        let read = self.of_servers("listeners");
        let shown = self.listeners.iter().map(|(name, bound)| {
            let entry = read.iter().find(|entry| is(entry, "name", name) || is(entry, "address", name));
            let mut entry = entry.map_or_else(Map::new, |entry| (*entry).clone());
            entry.insert("bound".to_owned(), json!(bound));
            (name.clone(), entry.into())
        });
        shown.collect()
    }

    /// Those of their own, and those that listeners define where they stand.
    fn all_routers(&self) -> Map<String, Value> {
        let mut shown = Map::new();
        for entry in self.of_servers("routers") {
            add_router(&mut shown, entry);
        }
        for listener in self.of_servers("listeners") {
            let chains = get(listener, "filter_chains").and_then(Value::as_array).into_iter().flatten();
            let filters = chains.filter_map(|chain| get(chain.as_object()?, "filters")?.as_array()).flatten();
            let managers = filters.filter_map(Value::as_object).filter(|f| is(f, "type", "connection_manager"));
            for router in managers.filter_map(|filter| get(filter, "config")?.as_object()) {
                add_router(&mut shown, router);
            }
        }
        shown
    }

    fn of_servers(&self, what: &str) -> Vec<&Map<String, Value>> {
        let servers = self.document.as_object().and_then(|top| get(top, "servers")?.as_array());
        let servers = servers.into_iter().flatten().filter_map(Value::as_object);
        let entries = servers.filter_map(|server| get(server, what)?.as_array()).flatten();
        entries.filter_map(Value::as_object).collect()
    }
}

/// The first of a name is the one that serves.
fn add_router(shown: &mut Map<String, Value>, router: &Map<String, Value>) {
    if let Some(name) = get(router, "router_config_name").and_then(Value::as_str)
        && !shown.contains_key(name)
    {
        shown.insert(name.to_owned(), router.clone().into());
    }
}

fn one(mut entries: Map<String, Value>, name: &str, what: &str) -> Result<Value, SourceError> {
    entries.remove(name).ok_or_else(|| SourceError::NotFound(format!("no {what} is called {name:?}")))
}

/// The value of `key` in any case, as MOSN reads keys.
fn get<'a>(entries: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    entries.iter().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value)
}

fn get_mut<'a>(entries: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Value> {
    entries.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(key)).map(|(_, value)| value)
}

fn is(entries: &Map<String, Value>, key: &str, text: &str) -> bool {
    get(entries, key).and_then(Value::as_str) == Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(document: &Value, query: &ConfigDumpQuery) -> Result<Value, SourceError> {
        let host = HostStatus { address: "127.0.0.1:1".into(), weight: 1, ..HostStatus::default() };
        let running = RunningConfig {
            document,
            version: Map::from_iter([("number".to_owned(), 3.into())]),
            clusters: &[ClusterStatus { name: "c".into(), hosts: vec![host], ..ClusterStatus::default() }],
            listeners: &[("l".into(), Some("127.0.0.1:2046".into())), (":80".into(), None)],
            log_level: "DEBUG",
        };
        running.answer(query)
    }

    fn document() -> Value {
        json!({
            "Servers": [{
                "default_log_level": "INFO",
                "Routers": [{"Router_Config_Name": "r", "virtual_hosts": []}],
                "listeners": [
                    {"name": "l", "address": "127.0.0.1:0", "filter_chains": [{"filters": [
                        {"type": "connection_manager", "config": {"router_config_name": "own"}},
                        {"type": "connection_manager", "config": {"router_config_name": "r", "x": 1}},
                    ]}]},
                    {"Address": ":80"},
                ],
            }],
            "cluster_manager": {"clusters": [{"Name": "c", "hosts": [{"address": "name:1"}]}], "tls_context": {}},
            "admin": {},
        })
    }

    #[test]
    fn parts_are_maps_by_name_with_what_runs() {
        let document = document();
        let all = answer(&document, &ConfigDumpQuery::All).unwrap();
        let keys = |part: &Value| part.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(all["running"]["number"], 3);
        assert_eq!(keys(&all), ["running", "mosn_config", "listener", "cluster", "routers"]);
        assert_eq!(keys(&all["listener"]), ["l", ":80"]);
        assert_eq!(keys(&all["routers"]), ["r", "own"]);
        assert_eq!(
            (&all["listener"]["l"]["bound"], &all["listener"][":80"]["bound"]),
            (&json!("127.0.0.1:2046"), &Value::Null)
        );
        assert!(all["routers"]["r"].get("x").is_none(), "the router of its own counts");
        assert_eq!(all["cluster"]["c"]["hosts"][0]["address"], "name:1");
        assert_eq!(all["cluster"]["c"]["health"][0]["address"], "127.0.0.1:1");
        assert_eq!(
            all["mosn_config"],
            json!({
                "Servers": [{"default_log_level": "DEBUG"}],
                "cluster_manager": {"tls_context": {}},
                "admin": {},
            })
        );
        for (query, part) in [
            (ConfigDumpQuery::AllRouters, "routers"),
            (ConfigDumpQuery::AllClusters, "cluster"),
            (ConfigDumpQuery::AllListeners, "listener"),
            (ConfigDumpQuery::MosnConfig, "mosn_config"),
        ] {
            assert_eq!(answer(&document, &query).unwrap(), all[part], "{query:?}");
        }
        let one = answer(&document, &ConfigDumpQuery::Cluster("c".into())).unwrap();
        assert_eq!(one, all["cluster"]["c"]);
        let error = answer(&document, &ConfigDumpQuery::Listener("x".into())).unwrap_err();
        assert_eq!(error.to_string(), "no listener is called \"x\"");
    }
}
