//! Metadata of hosts, and what a route asks of it (`filter_metadata` under
//! `mosn.lb`, or `envoy.lb` as Envoy calls it).

use std::sync::Arc;

/// Keys and values, sorted by key and each key once: what a host says of
/// itself, or what a route wants of a host. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct LbMetadata(Option<Arc<[Pair]>>);

type Pair = (Arc<str>, Arc<str>);

impl LbMetadata {
    /// Sorts `pairs`; of equal keys the last stays.
    pub fn new(pairs: impl IntoIterator<Item = (Arc<str>, Arc<str>)>) -> LbMetadata {
        let mut sorted = std::collections::BTreeMap::new();
        sorted.extend(pairs);
        // Nothing is always `None`: it costs no reference count that all
        // workers would share.
        LbMetadata((!sorted.is_empty()).then(|| sorted.into_iter().collect()))
    }

    /// The pairs, by key.
    pub fn pairs(&self) -> &[(Arc<str>, Arc<str>)] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Arc<str>> {
        let pairs = self.pairs();
        let at = pairs.binary_search_by(|(name, _)| (**name).cmp(key)).ok()?;
        pairs.get(at).map(|(_, value)| value)
    }

    /// What `self` says, and of `other` what `self` leaves open: a weighted
    /// cluster's `metadata_match` over its route's.
    pub fn over(&self, other: &LbMetadata) -> LbMetadata {
        LbMetadata::new(other.pairs().iter().chain(self.pairs()).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::LbMetadata;

    fn of(pairs: &[(&str, &str)]) -> LbMetadata {
        LbMetadata::new(pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())))
    }

    #[test]
    fn pairs_are_sorted_and_found() {
        let metadata = of(&[("zone", "b"), ("version", "1"), ("zone", "a")]);
        assert_eq!(metadata, of(&[("version", "1"), ("zone", "a")]));
        assert_eq!(metadata.get("zone").map(|v| &**v), Some("a"));
        assert_eq!(metadata.get("none"), None);
    }

    #[test]
    fn the_nearer_one_wins() {
        let near = of(&[("version", "2")]);
        assert_eq!(near.over(&of(&[("version", "1"), ("zone", "a")])), of(&[("version", "2"), ("zone", "a")]));
    }
}
