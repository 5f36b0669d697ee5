//! Tests of the crate as its users see it.

mod balancing;
mod breaking;
mod clusters;
mod ejecting;
mod loads;
mod panicking;
mod subsets;

use std::sync::{Arc, LazyLock};

use sidegate_api::{Address, LbMetadata, Metrics};

use crate::*;

fn address(port: usize) -> Address {
    Address::parse(&format!("127.0.0.1:{port}")).unwrap()
}

/// Any host but those that were `tried`.
fn but(tried: &TriedHosts) -> Choice<'_> {
    static NO_METADATA: LazyLock<LbMetadata> = LazyLock::new(LbMetadata::default);
    Choice { tried, hash: None, subset: &NO_METADATA }
}

/// Without panic: what is out stays out.
fn config(lb: LbPolicy, weights: &[u64]) -> ClusterConfig {
    let hosts = weights.iter().enumerate().map(|(position, &weight)| HostConfig {
        weight: HostWeight::new(weight).unwrap(),
        ..HostConfig::new(address(position + 1))
    });
    ClusterConfig { lb, panic_threshold: PanicThreshold::new(0), ..ClusterConfig::new("c", hosts.collect()) }
}

fn cluster(lb: LbPolicy, weights: &[u64]) -> Arc<Cluster> {
    Arc::new(Cluster::new(config(lb, weights), &HostRegistry::new(Metrics::new(1))).unwrap())
}
