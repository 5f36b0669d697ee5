//! Clusters and routes that were read for the configuration before: most of a
//! large file says the same each time, and need not be read again.

use std::cell::RefCell;
use std::collections::HashMap;

use sidegate_router::RouteConfig;
use sidegate_upstream::ClusterConfig;

use super::names::Names;
use crate::document::NodeDigest;
use crate::reader::Cursor;

/// What nodes have become about which there was nothing to say, by what they
/// say.
#[derive(Default)]
pub(crate) struct ReadParts {
    clusters: HashMap<NodeDigest, ClusterConfig>,
    routes: HashMap<NodeDigest, KnownRoute>,
}

struct KnownRoute {
    config: RouteConfig,
    /// Names that it uses, which must be defined each time.
    clusters: Vec<String>,
}

/// What is known from before, and what will be for the next configuration.
pub(crate) struct Known<'r> {
    before: Option<&'r ReadParts>,
    next: RefCell<ReadParts>,
}

impl<'r> Known<'r> {
    pub fn new(before: Option<&'r ReadParts>) -> Self {
        Known { before, next: RefCell::default() }
    }

    /// What was read this time.
    pub fn into_parts(self) -> ReadParts {
        self.next.into_inner()
    }

    /// The cluster at `cursor`, if it was read before.
    pub fn cluster(&self, digest: &NodeDigest) -> Option<ClusterConfig> {
        let config = self.before?.clusters.get(digest)?.clone();
        self.next.borrow_mut().clusters.insert(*digest, config.clone());
        Some(config)
    }

    pub fn keep_cluster(&self, digest: NodeDigest, config: &ClusterConfig) {
        self.next.borrow_mut().clusters.insert(digest, config.clone());
    }

    /// A route, if it was read before and its clusters are there.
    pub(super) fn route(&self, digest: &NodeDigest, clusters: &Names) -> Option<RouteConfig> {
        let KnownRoute { config, clusters: used } = self.before?.routes.get(digest)?;
        if !used.iter().all(|name| clusters.has(name)) {
            return None;
        }
        let known = KnownRoute { config: config.clone(), clusters: used.clone() };
        self.next.borrow_mut().routes.insert(*digest, known);
        Some(config.clone())
    }

    pub fn keep_route(&self, digest: NodeDigest, config: &RouteConfig, clusters: Vec<String>) {
        self.next.borrow_mut().routes.insert(digest, KnownRoute { config: config.clone(), clusters });
    }
}

/// Whether reading says anything, or pays for regular expressions: then it is
/// to be read each time.
pub(super) struct Quiet {
    findings: usize,
    regexes: usize,
}

impl Quiet {
    pub fn before(cursor: &Cursor<'_>) -> Quiet {
        let report = cursor.report();
        Quiet { findings: report.finding_count(), regexes: report.regexes().left() }
    }

    pub fn until_now(&self, cursor: &Cursor<'_>) -> bool {
        let report = cursor.report();
        self.findings == report.finding_count() && self.regexes == report.regexes().left()
    }
}
