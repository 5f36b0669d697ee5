//! Clusters that share a route's requests.

use std::sync::Arc;

use sidegate_api::LbMetadata;

/// The clusters of `weighted_clusters`, each chosen as often as its weight
/// says.
#[derive(Debug, Clone)]
pub struct WeightedClusters {
    /// All but the last: so that there is one to fall back on.
    others: Vec<WeightedCluster>,
    last: WeightedCluster,
    total: u64,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedCluster {
    /// `name`
    pub name: Arc<str>,
    /// `weight`, above 0.
    pub weight: u32,
    /// `metadata_match`, with what it leaves open from the route's.
    pub subset: LbMetadata,
}

/// There is nothing to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected at least one cluster with a weight above 0")]
pub struct NoWeight;

impl WeightedClusters {
    /// Clusters without weight are left out: nothing ever goes to them.
    pub fn new(clusters: impl IntoIterator<Item = WeightedCluster>) -> Result<Self, NoWeight> {
        let mut others: Vec<_> = clusters.into_iter().filter(|cluster| cluster.weight > 0).collect();
        let total = others.iter().map(|cluster| u64::from(cluster.weight)).sum();
        let last = others.pop().ok_or(NoWeight)?;
        Ok(WeightedClusters { others, last, total })
    }

    /// The cluster for one request; `random` is any 64 bits.
    pub fn choose(&self, random: u64) -> &WeightedCluster {
        // Multiply and shift: the bias is `total` in 2^64.
        let mut at = ((u128::from(random) * u128::from(self.total)) >> 64) as u64;
        for cluster in &self.others {
            match at.checked_sub(cluster.weight.into()) {
                Some(rest) => at = rest,
                None => return cluster,
            }
        }
        &self.last
    }

    /// All of them, in configured order.
    pub fn iter(&self) -> impl Iterator<Item = &WeightedCluster> {
        self.others.iter().chain([&self.last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cluster(number: usize, weight: u32) -> WeightedCluster {
        WeightedCluster { name: number.to_string().into(), weight, subset: LbMetadata::default() }
    }

    proptest! {
        /// Evenly spread random numbers give each cluster its exact share.
        #[test]
        fn shares_are_the_weights(weights in prop::collection::vec(0_u32..20, 1..8)) {
            let total: u32 = weights.iter().sum();
            let clusters = WeightedClusters::new(weights.iter().enumerate().map(|(n, w)| cluster(n, *w)));
            prop_assert_eq!(clusters.is_err(), total == 0);
            let Ok(clusters) = clusters else { return Ok(()) };
            let mut shares = vec![0_u32; weights.len()];
            for step in 0..total {
                let random = (u128::from(step) << 64) / u128::from(total) + (1 << 32);
                shares[clusters.choose(random as u64).name.parse::<usize>().unwrap()] += 1;
            }
            prop_assert_eq!(shares, weights);
        }
    }

    #[test]
    fn the_largest_weights_do_not_overflow() {
        let clusters = WeightedClusters::new((0..3).map(|n| cluster(n, u32::MAX))).unwrap();
        let chosen = [0, u64::MAX / 2, u64::MAX].map(|random| clusters.choose(random).name.to_string());
        assert_eq!(chosen, ["0", "1", "2"]);
        assert_eq!(clusters.iter().count(), 3);
    }
}
