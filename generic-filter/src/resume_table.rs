//! Resume handles as modules hold them: numbers that look like pointers, so
//! that a stale, forged or twice released one is answered and never followed.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sidegate_abi as abi;
use sidegate_api::ResumeHandle;

/// The process's handles. The ABI's resume functions get a handle and nothing
/// else, so the table cannot hang on any object.
pub(crate) static RESUMES: ResumeTable = ResumeTable::new();

const SHARDS: usize = 16;
/// More handles than this at once in one shard are a leak.
const MAX_PER_SHARD: usize = 1 << 18;

/// How many handles a generation holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handles(Arc<AtomicU64>);

impl Handles {
    /// So many now.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn is(&self, other: &Handles) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A handle that its generation holds.
#[derive(Debug)]
struct HeldHandle {
    handle: ResumeHandle,
    owner: Handles,
}

impl HeldHandle {
    fn new(handle: ResumeHandle, owner: Handles) -> Self {
        owner.0.fetch_add(1, Ordering::Relaxed);
        HeldHandle { handle, owner }
    }
}

impl Drop for HeldHandle {
    fn drop(&mut self) {
        self.owner.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Slabs of reference-counted handles.
#[derive(Debug)]
pub(crate) struct ResumeTable {
    shards: [Mutex<Shard>; SHARDS],
    next: AtomicUsize,
}

#[derive(Debug)]
struct Shard {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    /// Counts the uses of this slot, so that old numbers do not fit.
    generation: u32,
    references: u32,
    handle: Option<HeldHandle>,
}

impl ResumeTable {
    pub(crate) const fn new() -> Self {
        ResumeTable {
            shards: [const { Mutex::new(Shard { slots: Vec::new(), free: Vec::new() }) }; SHARDS],
            next: AtomicUsize::new(0),
        }
    }

    /// A number for `handle`, with one reference, of the generation with these
    /// `owner` handles; `LIMIT` if there are too many.
    pub(crate) fn insert(&self, handle: ResumeHandle, owner: Handles) -> Result<*mut abi::Resume, u32> {
        let shard_index = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut shard = lock(&self.shards[shard_index]);
        let index = match shard.free.pop() {
            Some(index) => index,
            None if shard.slots.len() >= MAX_PER_SHARD => return Err(abi::LIMIT),
            None => {
                shard.slots.push(Slot { generation: 0, references: 0, handle: None });
                (shard.slots.len() - 1) as u32
            }
        };
        let slot = &mut shard.slots[index as usize];
        // Never 0, so that no number is NULL.
        slot.generation = slot.generation.wrapping_add(1).max(1);
        slot.references = 1;
        slot.handle = Some(HeldHandle::new(handle, owner));
        Ok(encode(shard_index, index, slot.generation))
    }

    /// Ends the wait.
    pub(crate) fn resume(&self, number: *mut abi::Resume) -> u32 {
        use sidegate_api::ResumeOutcome;
        let found = self.with(number, |slot| slot.handle.as_ref().map(|held| held.handle.clone()));
        // Waking runs code of the runtime: not under the lock.
        match found.flatten().map(|handle| handle.resume()) {
            Some(ResumeOutcome::Resumed) => abi::OK,
            Some(ResumeOutcome::Already) => abi::ALREADY,
            Some(ResumeOutcome::Gone) | None => abi::GONE,
        }
    }

    /// One reference more.
    pub(crate) fn retain(&self, number: *mut abi::Resume) -> u32 {
        let retained = self
            .with(number, |slot| slot.references.checked_add(1).map(|more| slot.references = more).ok_or(abi::LIMIT));
        match retained {
            Some(Ok(())) => abi::OK,
            Some(Err(result)) => result,
            None => abi::GONE,
        }
    }

    /// One reference less; the last frees the number.
    pub(crate) fn release(&self, number: *mut abi::Resume) -> u32 {
        let (shard_index, index, generation) = decode(number);
        let Some(shard) = self.shards.get(shard_index) else {
            return abi::GONE;
        };
        let mut shard = lock(shard);
        let Some(slot) = shard.slots.get_mut(index).filter(|s| s.handle.is_some() && s.generation == generation) else {
            return abi::GONE;
        };
        slot.references -= 1;
        let freed = if slot.references == 0 { slot.handle.take() } else { None };
        if freed.is_some() {
            shard.free.push(index as u32);
        }
        drop(shard);
        drop(freed);
        abi::OK
    }

    /// Frees what a generation that is gone has left, and says how much. From
    /// now on those numbers answer `GONE`.
    pub(crate) fn free_all_of(&self, owner: &Handles) -> usize {
        if owner.count() == 0 {
            return 0;
        }
        let mut freed = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            let Shard { slots, free } = &mut *shard;
            for (index, slot) in slots.iter_mut().enumerate() {
                if slot.handle.as_ref().is_some_and(|held| held.owner.is(owner)) {
                    freed.extend(slot.handle.take());
                    slot.references = 0;
                    free.push(index as u32);
                }
            }
        }
        freed.len()
    }

    fn with<R>(&self, number: *mut abi::Resume, act: impl FnOnce(&mut Slot) -> R) -> Option<R> {
        let (shard, index, generation) = decode(number);
        let mut shard = lock(self.shards.get(shard)?);
        let slot = shard.slots.get_mut(index)?;
        (slot.handle.is_some() && slot.generation == generation).then(|| act(slot))
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 32 bits generation, 28 bits place, 4 bits shard.
fn encode(shard: usize, index: u32, generation: u32) -> *mut abi::Resume {
    let number = (generation as usize) << 32 | (index as usize) << 4 | shard;
    std::ptr::without_provenance_mut(number)
}

fn decode(number: *mut abi::Resume) -> (usize, usize, u32) {
    let number = number.addr();
    (number & 0xf, (number >> 4) & 0xfff_ffff, (number >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use sidegate_api::ResumeSlot;

    use super::*;

    #[test]
    fn numbers_die_with_their_last_reference() {
        let table = ResumeTable::new();
        let slot = ResumeSlot::new();
        let number = table.insert(slot.arm(), Handles::default()).unwrap();
        assert_eq!(table.retain(number), abi::OK);
        assert_eq!(table.release(number), abi::OK);
        assert_eq!(table.resume(number), abi::OK);
        assert_eq!(table.resume(number), abi::ALREADY);
        slot.close();
        assert_eq!(table.resume(number), abi::GONE);
        assert_eq!(table.release(number), abi::OK);
        for _ in 0..2 {
            assert_eq!(table.release(number), abi::GONE);
        }
        assert_eq!(table.retain(number), abi::GONE);
        assert_eq!(table.resume(number), abi::GONE);
        assert_eq!(Arc::strong_count(&slot), 1);
    }

    #[test]
    fn a_reused_place_does_not_answer_to_its_old_number() {
        let table = ResumeTable::new();
        let slot = ResumeSlot::new();
        let mut old = Vec::new();
        for _ in 0..1000 {
            let number = table.insert(slot.arm(), Handles::default()).unwrap();
            assert!(!number.is_null() && !old.contains(&number));
            assert_eq!(table.release(number), abi::OK);
            old.push(number);
        }
        for forged in [0, 1, usize::MAX, 0x7fff_dead_beef] {
            assert_eq!(table.resume(std::ptr::without_provenance_mut(forged)), abi::GONE);
            assert_eq!(table.release(std::ptr::without_provenance_mut(forged)), abi::GONE);
        }
        assert!(old.into_iter().all(|number| table.resume(number) == abi::GONE));
    }

    #[test]
    fn what_a_generation_leaves_is_freed_and_nothing_else() {
        let table = ResumeTable::new();
        let (gone, stays) = (Handles::default(), Handles::default());
        let slot = ResumeSlot::new();
        let left: Vec<_> = (0..40).map(|_| table.insert(slot.arm(), gone.clone()).unwrap()).collect();
        let kept: Vec<_> = (0..40).map(|_| table.insert(slot.arm(), stays.clone()).unwrap()).collect();
        assert_eq!(table.retain(left[0]), abi::OK);
        assert_eq!(table.release(left[1]), abi::OK);
        assert_eq!((gone.count(), stays.count()), (39, 40));
        assert_eq!((table.free_all_of(&gone), table.free_all_of(&gone)), (39, 0));
        assert_eq!((gone.count(), stays.count()), (0, 40));
        for &number in &left {
            assert_eq!((table.resume(number), table.release(number)), (abi::GONE, abi::GONE));
        }
        assert_eq!(table.resume(kept[0]), abi::OK);
        for &number in &kept {
            assert_eq!(table.release(number), abi::OK);
        }
        assert_eq!((stays.count(), Arc::strong_count(&slot)), (0, 1));
    }

    #[test]
    fn threads_that_race_on_the_same_numbers_leave_nothing_behind() {
        const SLOTS: usize = 2000;
        const THREADS: usize = 6;
        let table = ResumeTable::new();
        let slots: Vec<_> = (0..SLOTS).map(|_| ResumeSlot::new()).collect();
        let numbers: Vec<usize> =
            slots.iter().map(|slot| table.insert(slot.arm(), Handles::default()).unwrap().addr()).collect();
        let accepted: Vec<AtomicUsize> = (0..SLOTS).map(|_| AtomicUsize::new(0)).collect();
        let ready = std::sync::Barrier::new(THREADS);
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (table, numbers, accepted, ready) = (&table, &numbers, &accepted, &ready);
                scope.spawn(move || {
                    ready.wait();
                    for step in 0..SLOTS {
                        // Half of them run towards the others.
                        let place = if thread % 2 == 0 { step } else { SLOTS - 1 - step };
                        let number = std::ptr::without_provenance_mut(numbers[place]);
                        assert_eq!(table.retain(number), abi::OK);
                        match table.resume(number) {
                            abi::OK => drop(accepted[place].fetch_add(1, Ordering::Relaxed)),
                            other => assert_eq!(other, abi::ALREADY),
                        }
                        assert_eq!(table.release(number), abi::OK);
                        // Numbers come and go beside them.
                        let own = table.insert(ResumeSlot::new().arm(), Handles::default()).unwrap();
                        assert_eq!(table.release(own), abi::OK);
                        assert_eq!(table.release(own), abi::GONE);
                    }
                });
            }
        });
        assert!(accepted.iter().all(|count| count.load(Ordering::Relaxed) == 1), "each wait was resumed once");
        for (slot, number) in slots.iter().zip(numbers) {
            let number = std::ptr::without_provenance_mut(number);
            assert_eq!((table.release(number), table.release(number)), (abi::OK, abi::GONE));
            assert_eq!(Arc::strong_count(slot), 1);
        }
    }
}
