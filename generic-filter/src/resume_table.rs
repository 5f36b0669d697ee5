//! Resume handles as modules hold them: numbers that look like pointers, so
//! that a stale, forged or twice released one is answered and never followed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sidegate_abi as abi;
use sidegate_api::ResumeHandle;

/// The process's handles. The ABI's resume functions get a handle and nothing
/// else, so the table cannot hang on any object.
pub(crate) static RESUMES: ResumeTable = ResumeTable::new();

const SHARDS: usize = 16;
/// More handles than this at once in one shard are a leak.
const MAX_PER_SHARD: usize = 1 << 18;

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
    handle: Option<ResumeHandle>,
}

impl ResumeTable {
    pub(crate) const fn new() -> Self {
        ResumeTable {
            shards: [const { Mutex::new(Shard { slots: Vec::new(), free: Vec::new() }) }; SHARDS],
            next: AtomicUsize::new(0),
        }
    }

    /// A number for `handle`, with one reference; `LIMIT` if there are too many.
    pub(crate) fn insert(&self, handle: ResumeHandle) -> Result<*mut abi::Resume, u32> {
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
        slot.handle = Some(handle);
        Ok(encode(shard_index, index, slot.generation))
    }

    /// Ends the wait.
    pub(crate) fn resume(&self, number: *mut abi::Resume) -> u32 {
        use sidegate_api::ResumeOutcome;
        let found = self.with(number, |slot| slot.handle.clone());
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
    use std::sync::Arc;

    use sidegate_api::ResumeSlot;

    use super::*;

    #[test]
    fn numbers_die_with_their_last_reference() {
        let table = ResumeTable::new();
        let slot = ResumeSlot::new();
        let number = table.insert(slot.arm()).unwrap();
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
            let number = table.insert(slot.arm()).unwrap();
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
    fn threads_that_race_on_the_same_numbers_leave_nothing_behind() {
        const SLOTS: usize = 2000;
        const THREADS: usize = 6;
        let table = ResumeTable::new();
        let slots: Vec<_> = (0..SLOTS).map(|_| ResumeSlot::new()).collect();
        let numbers: Vec<usize> = slots.iter().map(|slot| table.insert(slot.arm()).unwrap().addr()).collect();
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
                        let own = table.insert(ResumeSlot::new().arm()).unwrap();
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
