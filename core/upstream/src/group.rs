//! Hosts that are balanced among: a whole cluster, or a subset of one.

use crate::cluster::Member;
use crate::config::ClusterConfig;
use crate::lb::Maglev;
use crate::panic::PanicState;
use crate::policy::LbPolicy;

/// Members of a snapshot's cluster and what of their balancing is the same for
/// all workers.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) members: Vec<Member>,
    /// There if the policy hashes.
    pub(crate) table: Option<Maglev>,
    pub(crate) panic: PanicState,
    /// For the log; `None`: the whole cluster.
    pub(crate) label: Option<String>,
}

/// Slots for a whole cluster: so many that each of 600 hosts is within a
/// percent of its share.
const CLUSTER_SLOTS: u32 = 65537;
/// Slots for a subset: there may be many of them.
const SUBSET_SLOTS: u32 = 5003;

impl Group {
    pub(crate) fn of_cluster(config: &ClusterConfig, members: Vec<Member>) -> Self {
        Self::new(config, members, CLUSTER_SLOTS, None)
    }

    pub(crate) fn of_subset(config: &ClusterConfig, members: Vec<Member>, label: String) -> Self {
        Self::new(config, members, SUBSET_SLOTS, Some(label))
    }

    fn new(config: &ClusterConfig, members: Vec<Member>, slots: u32, label: Option<String>) -> Self {
        let table = (config.lb == LbPolicy::Maglev).then(|| Maglev::new(&members, slots));
        Group { members, table, panic: PanicState::default(), label }
    }
}
