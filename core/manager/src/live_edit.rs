//! Hosts that are edited while the process runs, beside the file and until it
//! is taken again.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use sidegate_api::Address;
use sidegate_upstream::{Cluster, ClusterConfig, ClusterKind, HostConfig, HostDuty, HostWeight};

use crate::history::hex;
use crate::{Refused, Why};

/// One edit of the hosts of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsEdit {
    /// Name of the cluster.
    pub cluster: String,
    /// What the hosts are to be before.
    pub expected: Expected,
    /// What is done to them.
    pub deed: HostDeed,
    /// Who does it, for the log and whoever looks.
    pub editor: String,
}

/// What the hosts of a cluster are to be, so that nobody edits what others have
/// edited since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Whatever they are.
    Anything,
    /// One of these.
    OneOf(Vec<HostsVersion>),
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostDeed {
    /// A host comes.
    Add(HostConfig),
    /// A host is used otherwise.
    Set {
        /// Which.
        address: Address,
        /// `None`: as before.
        weight: Option<HostWeight>,
        /// `None`: as before.
        duty: Option<HostDuty>,
    },
    /// A host goes.
    Remove(Address),
}

/// Stands for the hosts of a cluster as they are configured: equal hosts have
/// equal ones, in every process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsVersion(String);

/// What was edited in a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveEdits {
    /// The hosts as the file has them.
    file: Vec<HostConfig>,
    count: u64,
    last: SystemTime,
    editor: String,
}

/// A cluster that runs, and what was edited in it.
#[derive(Debug, Clone)]
pub struct ShownCluster {
    /// As it runs.
    pub cluster: Arc<Cluster>,
    /// `None`: its hosts are those of the file, or of its names.
    pub edits: Option<Arc<LiveEdits>>,
}

/// What an edit comes to.
#[derive(Debug)]
pub(crate) struct Edited {
    pub(crate) hosts: Vec<HostConfig>,
    /// The host as it was and as it is, for people; `None`: it was not there.
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

impl HostsVersion {
    /// Of the hosts that `cluster` is configured with.
    pub fn of(cluster: &ClusterConfig) -> Self {
        let mut hash = Sha256::new();
        for host in &cluster.hosts {
            // Quoted, so that no two lists read the same.
            let HostConfig { address, hostname, weight, metadata, name, duty, clear_text } = host;
            let metadata = metadata.pairs();
            hash.update(format!("{address:?} {hostname:?} {weight:?} {metadata:?} {name:?} {duty:?} {clear_text:?}\n"));
        }
        let mut text = hex(&hash.finalize().into());
        text.truncate(16);
        HostsVersion(text)
    }

    /// As somebody else says it.
    pub fn said(text: impl Into<String>) -> Self {
        HostsVersion(text.into())
    }
}

impl fmt::Display for HostsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HostDeed {
    /// The host that it is about.
    pub fn address(&self) -> &Address {
        match self {
            HostDeed::Add(HostConfig { address, .. }) | HostDeed::Set { address, .. } | HostDeed::Remove(address) => {
                address
            }
        }
    }
}

impl HostsEdit {
    /// The hosts of `known` once this is done.
    pub(crate) fn perform(&self, known: &ClusterConfig) -> Result<Edited, Refused> {
        let name = &*known.name;
        if known.kind == ClusterKind::StrictDns {
            let text = format!("the hosts of cluster {name:?} come from names (STRICT_DNS); they are not edited");
            return Err(Refused::because(Why::NotEditable, text));
        }
        let now = HostsVersion::of(known);
        if let Expected::OneOf(expected) = &self.expected
            && !expected.contains(&now)
        {
            let text = format!("the hosts of cluster {name:?} are others by now; read them again");
            return Err(Refused::because(Why::Stale, text));
        }
        let mut hosts = known.hosts.clone();
        let address = self.deed.address();
        let place = hosts.iter().position(|host| host.address == *address);
        let before = place.map(|place| described(&hosts[place]));
        let missing =
            || Refused::because(Why::NotFound, format!("cluster {name:?} has no host {:?}", address.to_string()));
        match &self.deed {
            HostDeed::Add(_) if place.is_some() => {
                let text = format!("cluster {name:?} has a host {:?} already", address.to_string());
                return Err(Refused::because(Why::Exists, text));
            }
            HostDeed::Add(host) => hosts.push(host.clone()),
            HostDeed::Set { weight, duty, .. } => {
                let host = &mut hosts[place.ok_or_else(missing)?];
                host.weight = weight.unwrap_or(host.weight);
                host.duty = duty.unwrap_or(host.duty);
            }
            HostDeed::Remove(_) => drop(hosts.remove(place.ok_or_else(missing)?)),
        }
        let after = hosts.iter().find(|host| host.address == *address).map(described);
        Ok(Edited { hosts, before, after })
    }
}

impl LiveEdits {
    /// What there is to know once `editor` has made of `before`, which
    /// `known` tells of, what `after` is. `None`: it is as in the file again.
    pub(crate) fn follow(
        known: Option<&LiveEdits>,
        before: &ClusterConfig,
        after: &ClusterConfig,
        editor: &str,
    ) -> Option<Self> {
        let file = known.map_or(&before.hosts, |known| &known.file);
        (*file != after.hosts).then(|| LiveEdits {
            file: file.clone(),
            count: known.map_or(0, |known| known.count) + 1,
            last: SystemTime::now(),
            editor: editor.to_owned(),
        })
    }

    /// How `cluster`, which was edited so, differs from the file.
    pub fn to_json(&self, cluster: &Cluster) -> Value {
        let hosts = &cluster.config().hosts;
        let find = |hosts: &[HostConfig], address: &Address| -> Option<HostConfig> {
            hosts.iter().find(|host| host.address == *address).cloned()
        };
        let missing_in = |these: &[HostConfig], those: &[HostConfig]| -> Vec<Value> {
            let missing = those.iter().filter(|host| find(these, &host.address).is_none());
            missing.map(|host| host.address.to_string().into()).collect()
        };
        let drained = hosts.iter().filter(|host| host.duty == HostDuty::Drained);
        let weighed = hosts.iter().filter_map(|host| {
            let was = find(&self.file, &host.address)?.weight;
            (was != host.weight)
                .then(|| (host.address.to_string(), json!({ "file": was.get(), "now": host.weight.get() })))
        });
        let last = self.last.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        json!({
            "edits": self.count,
            "last": last,
            "by": self.editor,
            "added": missing_in(&self.file, hosts),
            "removed": missing_in(hosts, &self.file),
            "drained": drained.map(|host| host.address.to_string()).collect::<Vec<_>>(),
            "weights": weighed.collect::<Map<_, _>>(),
        })
    }
}

fn described(host: &HostConfig) -> String {
    let duty = match host.duty {
        HostDuty::Serves => "",
        HostDuty::Drained => ", drained",
    };
    format!("weight {}{duty}", host.weight.get())
}

/// Told with the answer where nobody is left.
pub(crate) fn emptied(cluster: &Cluster) -> Option<Value> {
    let text = format!("cluster {:?} has no host left that takes requests: they get 502", &**cluster.name());
    cluster.members().is_empty().then(|| json!({ "message": text, "kind": "no_hosts" }))
}

#[cfg(test)]
mod tests {
    use sidegate_api::{LbMetadata, Metrics};
    use sidegate_upstream::HostRegistry;

    use super::*;

    fn at(port: u16) -> Address {
        Address::Tcp(([127, 0, 0, 1], port).into())
    }

    fn cluster(ports: &[u16]) -> ClusterConfig {
        ClusterConfig::new("c", ports.iter().map(|port| HostConfig::new(at(*port))).collect())
    }

    fn edited(known: &ClusterConfig, expected: Expected, deed: HostDeed) -> Result<ClusterConfig, Why> {
        let edit = HostsEdit { cluster: "c".to_owned(), expected, deed, editor: "e".to_owned() };
        let done = edit.perform(known).map_err(|refused| refused.why)?;
        Ok(ClusterConfig { hosts: done.hosts, ..known.clone() })
    }

    fn set(port: u16, weight: Option<u64>, duty: Option<HostDuty>) -> HostDeed {
        HostDeed::Set { address: at(port), weight: weight.map(|weight| HostWeight::new(weight).unwrap()), duty }
    }

    #[test]
    fn each_difference_of_hosts_is_another_version() {
        let host = || HostConfig::new(at(1));
        let with = |hosts: Vec<HostConfig>| HostsVersion::of(&ClusterConfig { hosts, ..cluster(&[]) }).to_string();
        let versions = [
            with(vec![]),
            with(vec![host()]),
            with(vec![host(), HostConfig::new(at(2))]),
            with(vec![HostConfig::new(at(2)), host()]),
            with(vec![HostConfig { weight: HostWeight::new(2).unwrap(), ..host() }]),
            with(vec![HostConfig { duty: HostDuty::Drained, ..host() }]),
            with(vec![HostConfig { hostname: Some("a".into()), ..host() }]),
            with(vec![HostConfig { metadata: LbMetadata::new([("a".into(), "b".into())]), ..host() }]),
        ];
        let unique: std::collections::HashSet<_> = versions.iter().collect();
        assert_eq!(unique.len(), versions.len(), "{versions:?}");
        assert_eq!(with(vec![host()]), versions[1]);
        assert!(versions.iter().all(|text| text.bytes().all(|b| b.is_ascii_hexdigit())));
    }

    #[test]
    fn an_edit_does_what_it_says_or_nothing() {
        let known = cluster(&[1, 2]);
        let any = || Expected::Anything;
        let ports = |config: ClusterConfig| -> Vec<u16> {
            config.hosts.iter().map(|host| host.address.socket_addr().unwrap().port()).collect()
        };
        assert_eq!(edited(&known, any(), HostDeed::Add(HostConfig::new(at(3)))).map(ports), Ok(vec![1, 2, 3]));
        assert_eq!(edited(&known, any(), HostDeed::Add(HostConfig::new(at(2)))), Err(Why::Exists));
        assert_eq!(edited(&known, any(), HostDeed::Remove(at(1))).map(ports), Ok(vec![2]));
        assert_eq!(edited(&known, any(), HostDeed::Remove(at(3))), Err(Why::NotFound));
        assert_eq!(edited(&known, any(), set(3, Some(1), None)), Err(Why::NotFound));
        let drained = edited(&known, any(), set(2, Some(9), Some(HostDuty::Drained))).unwrap();
        assert_eq!((drained.hosts[1].weight.get(), drained.hosts[1].duty), (9, HostDuty::Drained));
        assert_eq!(edited(&drained, any(), set(2, Some(1), Some(HostDuty::Serves))), Ok(known.clone()));
        let stale = Expected::OneOf(vec![HostsVersion::of(&drained)]);
        assert_eq!(edited(&known, stale.clone(), HostDeed::Remove(at(1))), Err(Why::Stale));
        assert!(edited(&drained, stale, HostDeed::Remove(at(1))).is_ok());
        assert_eq!(edited(&known, Expected::OneOf(vec![]), HostDeed::Remove(at(1))), Err(Why::Stale));
        let by_name = ClusterConfig { kind: ClusterKind::StrictDns, ..known };
        assert_eq!(edited(&by_name, any(), HostDeed::Remove(at(1))), Err(Why::NotEditable));
    }

    #[test]
    fn what_was_edited_is_told_against_the_file() {
        let hosts = HostRegistry::new(Metrics::new(1));
        let mut config = cluster(&[1, 2, 3]);
        let mut edits: Option<LiveEdits> = None;
        let mut edit = |deed| {
            let next = edited(&config, Expected::Anything, deed).unwrap();
            edits = LiveEdits::follow(edits.as_ref(), &config, &next, "e");
            config = next;
            edits.as_ref().map(|edits| edits.to_json(&Cluster::new(config.clone(), &hosts).unwrap()))
        };
        edit(HostDeed::Add(HostConfig::new(at(4))));
        edit(HostDeed::Remove(at(1)));
        edit(set(2, Some(5), None));
        let shown = edit(set(3, None, Some(HostDuty::Drained))).unwrap();
        assert_eq!((&shown["edits"], &shown["by"], &shown["added"]), (&json!(4), &json!("e"), &json!(["127.0.0.1:4"])));
        assert_eq!((&shown["removed"], &shown["drained"]), (&json!(["127.0.0.1:1"]), &json!(["127.0.0.1:3"])));
        assert_eq!(shown["weights"], json!({ "127.0.0.1:2": { "file": 1, "now": 5 } }));
        edit(HostDeed::Remove(at(4)));
        edit(set(2, Some(1), None));
        assert!(edit(set(3, None, Some(HostDuty::Serves))).is_some(), "one is missing");
    }
}
