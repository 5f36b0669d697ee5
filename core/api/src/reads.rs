//! What the builders of one configuration read.

use std::any::{Any, TypeId};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What builders have read while one configuration is resolved. Each file is
/// read once, so that check, fingerprint and build see the same bytes whatever
/// becomes of the file meanwhile. Clones share it.
#[derive(Clone, Default)]
pub struct Reads(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// By the types of key and value: a `HashMap<K, Arc<T>>`.
    made: HashMap<TypeId, Box<dyn Any + Send>>,
    watched: BTreeSet<PathBuf>,
}

impl Reads {
    /// What `make` gives for `key`, made at the first call with these types and
    /// this key.
    pub fn once<K, T>(&self, key: K, make: impl FnOnce() -> T) -> Arc<T>
    where
        K: Eq + Hash + Send + 'static,
        T: Send + Sync + 'static,
    {
        if let Some(known) = self.lock().of::<K, T>().get(&key) {
            return known.clone();
        }
        // Not under the lock: it reads files.
        let made = Arc::new(make());
        self.lock().of::<K, T>().entry(key).or_insert(made).clone()
    }

    /// Notes that a configuration may come out differently once `path` changes.
    pub fn watch(&self, path: &Path) {
        self.lock().watched.insert(path.to_path_buf());
    }

    /// What was noted, sorted.
    pub fn watched(&self) -> Vec<PathBuf> {
        self.lock().watched.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    #[allow(clippy::expect_used, reason = "the key of the outer map is the type of its value")]
    fn of<K: Send + 'static, T: Send + Sync + 'static>(&mut self) -> &mut HashMap<K, Arc<T>> {
        let made = self.made.entry(TypeId::of::<(K, T)>());
        let made = made.or_insert_with(|| Box::new(HashMap::<K, Arc<T>>::new()));
        made.downcast_mut().expect("a map of these types")
    }
}

/// Without contents, which may be secrets.
impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reads").field("watched", &self.lock().watched).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_made_once_for_key_and_type() {
        let reads = Reads::default();
        assert_eq!(*reads.clone().once("a", || 1), 1);
        assert_eq!(*reads.once("a", || 2), 1);
        assert_eq!(*reads.once("b", || 3), 3);
        assert_eq!(*reads.once("a", || "text"), "text");
        assert_eq!(*reads.once(1_u8, || 4), 4);
    }

    #[test]
    fn what_is_watched_is_noted_once() {
        let reads = Reads::default();
        for path in ["/b", "/a", "/b"] {
            reads.watch(Path::new(path));
        }
        assert_eq!(reads.watched(), [PathBuf::from("/a"), PathBuf::from("/b")]);
    }
}
