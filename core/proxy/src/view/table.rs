//! The clusters of one worker by name: one table, whatever uses it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidegate_api::{Address, HeaderCase};
use sidegate_stream::Spelling;
use sidegate_upstream::Cluster;

use super::idle_pools::IdlePools;
use super::{ClusterSlot, ClusterView, Standing};

/// How long streams that began before a cluster was removed may take to come
/// to the match of their route. Not without end: one that has been a tunnel
/// for days has routes of its time, too.
const FORMER_FOR: Duration = Duration::from_secs(60);

/// Clusters by name, and places for names that routes have and no cluster.
#[derive(Debug, Default)]
pub(crate) struct ClusterTable {
    slots: RefCell<HashMap<Arc<str>, Rc<ClusterSlot>>>,
    /// Pools of all clusters that have something idle.
    pub(crate) idle: Rc<IdlePools>,
    /// Clusters whose hosts get the names of fields as they were received.
    preserving: Cell<usize>,
    /// Routes that were replaced and have streams left.
    replaced: Cell<usize>,
    /// Names whose slots may not be needed any more, and since when.
    vacant: RefCell<Vec<(Arc<str>, Instant)>>,
}

impl ClusterTable {
    /// The place of the cluster of this name, whether it is there or not.
    pub(crate) fn slot(&self, name: &Arc<str>) -> Rc<ClusterSlot> {
        let mut slots = self.slots.borrow_mut();
        match slots.get(name) {
            Some(slot) => slot.clone(),
            None => slots.entry(name.clone()).insert_entry(ClusterSlot::vacant(&self.idle)).get().clone(),
        }
    }

    /// The cluster of this name, for routes of this standing.
    pub(crate) fn named(&self, name: &str, standing: Standing) -> Option<Rc<ClusterView>> {
        self.slots.borrow().get(name)?.get(standing)
    }

    /// Adds or changes a cluster. Whether there was a view to be made.
    pub(crate) fn set(&self, cluster: &Arc<Cluster>) -> bool {
        let slot = self.slot(cluster.name());
        let before = slot.current();
        let is_news = slot.set(cluster);
        if is_news {
            self.count_preserving(before.as_deref(), slot.current().as_deref());
        }
        is_news
    }

    /// Removes a cluster.
    pub(crate) fn remove(&self, name: &Arc<str>) {
        let slot = self.slots.borrow().get(name).cloned();
        if let Some(gone) = slot.and_then(|slot| slot.retire()) {
            self.count_preserving(Some(&gone), None);
            self.vacant.borrow_mut().push((name.clone(), Instant::now()));
        }
    }

    fn count_preserving(&self, before: Option<&ClusterView>, after: Option<&ClusterView>) {
        let preserves =
            |view: Option<&ClusterView>| view.is_some_and(|v| v.cluster.config().header_case == HeaderCase::Preserve);
        let count = self.preserving.get() + usize::from(preserves(after));
        self.preserving.set(count.saturating_sub(usize::from(preserves(before))));
    }

    /// Whether some host gets names of fields as they were received.
    #[inline]
    pub(crate) fn spelling(&self) -> Spelling {
        if self.preserving.get() > 0 { Spelling::Keep } else { Spelling::Forget }
    }

    /// Routes were replaced that may have streams left.
    pub(super) fn routes_replaced(&self) {
        self.replaced.set(self.replaced.get() + 1);
    }

    /// Routes are gone, with their last stream.
    pub(super) fn routes_gone(&self, standing: Standing, slots: Vec<(Arc<str>, Rc<ClusterSlot>)>) {
        if standing == Standing::Replaced {
            self.replaced.set(self.replaced.get().saturating_sub(1));
        }
        let now = Instant::now();
        let mut vacant = self.vacant.borrow_mut();
        vacant.extend(slots.into_iter().filter(|(_, slot)| slot.is_vacant()).map(|(name, _)| (name, now)));
        drop(vacant);
        self.tidy();
    }

    /// Lets go of what was removed and nothing needs any more. Its cost is in
    /// what was removed lately.
    pub(crate) fn tidy(&self) {
        if self.vacant.borrow().is_empty() {
            return;
        }
        let nobody_left = self.replaced.get() == 0;
        let over = |since: &Instant| nobody_left || since.elapsed() >= FORMER_FOR;
        let over: Vec<_> = self.vacant.borrow_mut().extract_if(.., |(_, since)| over(since)).collect();
        for (name, _) in over {
            let slot = self.slots.borrow().get(&name).cloned();
            let Some(slot) = slot.filter(|slot| slot.is_vacant()) else { continue };
            slot.forget_former();
            // The table's and this one: no routes name it.
            if Rc::strong_count(&slot) == 2 {
                self.slots.borrow_mut().remove(&name);
            }
        }
    }

    /// All clusters, one after the other.
    pub(crate) fn for_each(&self, mut what: impl FnMut(&ClusterView)) {
        self.slots.borrow().values().filter_map(|slot| slot.current()).for_each(|view| what(&view));
    }

    /// Resets a connection that was idle, to `peer`; whether there was one.
    pub(crate) fn reset_idle(&self, peer: &Address) -> bool {
        self.slots.borrow().values().filter_map(|slot| slot.current()).any(|view| {
            let mut members = view.cluster.members().iter().zip(&view.pools);
            members.any(|(member, pool)| member.host.address() == peer && pool.reset_one())
        })
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.borrow().len()
    }
}
