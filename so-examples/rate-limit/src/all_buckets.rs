//! The buckets of the filter itself and of its routes, and what of them goes
//! to the next factory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sidegate_sdk::{ConfigError, Fault};

use crate::bucket::Buckets;
use crate::handover;

/// No request looks at more than one of these: what is locked here is so for a
/// reload.
pub struct AllBuckets {
    workers: u32,
    own: Arc<Buckets>,
    /// By name, for as long as a route has them.
    named: Mutex<BTreeMap<String, Weak<Buckets>>>,
}

impl AllBuckets {
    pub fn new(workers: u32) -> AllBuckets {
        AllBuckets { workers, own: Arc::new(Buckets::full(workers)), named: Mutex::default() }
    }

    pub fn workers(&self) -> u32 {
        self.workers
    }

    /// Those of the filter.
    pub fn own(&self) -> &Arc<Buckets> {
        &self.own
    }

    /// Those of all routes with this name; without a name, new ones.
    pub fn named(&self, name: &str) -> Result<Arc<Buckets>, ConfigError> {
        let make = || Arc::new(Buckets::full(self.workers));
        if name.is_empty() {
            return Ok(make());
        }
        if name.len() > usize::from(u16::MAX) {
            return Err(ConfigError::new("name", format_args!("expected at most {} bytes", u16::MAX)));
        }
        let mut named = self.lock();
        named.retain(|_, buckets| buckets.strong_count() > 0);
        if let Some(known) = named.get(name).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let made = make();
        named.insert(name.to_owned(), Arc::downgrade(&made));
        Ok(made)
    }

    pub fn export(&self) -> Vec<u8> {
        let named = self.lock();
        let living = named.iter().filter_map(|(name, buckets)| Some((name.as_str(), buckets.upgrade()?)));
        let all = [("", self.own.clone())].into_iter().chain(living);
        handover::write(self.workers, all.map(|(name, buckets)| (name, buckets.full_at().collect())))
    }

    /// A limit that is not there any more is forgotten.
    pub fn import(&self, state: &[u8]) -> Result<(), Fault> {
        let entries = handover::read(state, self.workers)?;
        let named = self.lock();
        for (name, full_at) in entries {
            if name.is_empty() {
                self.own.put_off(&full_at);
            } else if let Some(buckets) = named.get(name).and_then(Weak::upgrade) {
                buckets.put_off(&full_at);
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Weak<Buckets>>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
