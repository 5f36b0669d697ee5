//! When files that change have come to rest: pure, with the time given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::seen::Seen;

/// After the last thing that happened to a file.
pub(super) const QUIET: Duration = Duration::from_millis(100);
/// A file that was made and seems not to be written to: some ways of making one
/// end with no word of the system.
pub(super) const UNWRITTEN: Duration = Duration::from_secs(10);
/// Between two looks that have to see the same.
pub(super) const BETWEEN: Duration = Duration::from_millis(50);

/// Decides when what files hold counts.
#[derive(Debug, Default)]
pub(super) struct Settling {
    /// What was last told of.
    known: Seen,
    /// Files that somebody writes to and has not closed; those that were only
    /// made are believed to be so until then.
    open: BTreeMap<PathBuf, Option<Instant>>,
    phase: Phase,
}

#[derive(Debug, Default)]
enum Phase {
    /// Nothing happened.
    #[default]
    Still,
    /// Something did; to be looked at then.
    Moving(Instant),
    /// This was seen; to be looked at again then.
    Seen(Seen, Instant),
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    /// Somebody made it, to write to it.
    Made,
    /// Somebody writes to it.
    Written,
    /// Who wrote has closed it.
    Closed,
    /// It is another one now, or gone, or has other rights.
    Replaced,
}

impl Settling {
    /// Begins with what is known.
    pub(super) fn new(known: Seen) -> Self {
        Settling { known, open: BTreeMap::new(), phase: Phase::Still }
    }

    /// Something happened to the file at `path`.
    pub(super) fn happened(&mut self, path: &Path, what: Happened, now: Instant) {
        match what {
            Happened::Made => {
                self.open.insert(path.to_path_buf(), Some(now + UNWRITTEN));
            }
            Happened::Written => {
                self.open.insert(path.to_path_buf(), None);
            }
            Happened::Closed | Happened::Replaced => {
                self.open.remove(path);
            }
        }
        self.disturb(now);
    }

    /// Something happened, and nobody knows what.
    pub(super) fn disturb(&mut self, now: Instant) {
        self.phase = Phase::Moving(now + QUIET);
    }

    /// Other paths count from now on, and this is known of them. What is on
    /// its way goes on.
    pub(super) fn know(&mut self, known: Seen, now: Instant) {
        self.open.retain(|path, _| known.contains_key(path) || known.keys().any(|folder| path.starts_with(folder)));
        // What differs from what was told is still to be told.
        let same = known.iter().all(|(path, content)| self.known.get(path).is_none_or(|told| told == content));
        let moving = !same || !matches!(self.phase, Phase::Still);
        self.known = known
            .into_iter()
            .map(|(path, content)| {
                let told = self.known.get(&path).cloned().unwrap_or(content);
                (path, told)
            })
            .collect();
        if moving {
            self.disturb(now);
        }
    }

    /// Whatever is seen of these next is new.
    pub(super) fn forget(&mut self, paths: &[PathBuf]) {
        self.known.retain(|path, _| !paths.contains(path));
    }

    /// Whether something happened that was not told yet.
    pub(super) fn is_moving(&self) -> bool {
        !matches!(self.phase, Phase::Still)
    }

    /// When to look next; `None`: not before something happens.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Still => None,
            // Half a file may be a valid one.
            Phase::Moving(then) | Phase::Seen(_, then) => {
                self.open.values().try_fold(*then, |due, until| Some(due.max((*until)?)))
            }
        }
    }

    /// This is seen now that a look was due. Whether it is new and at rest.
    pub(super) fn saw(&mut self, seen: Seen, now: Instant) -> bool {
        self.open.clear();
        match std::mem::replace(&mut self.phase, Phase::Still) {
            Phase::Seen(before, _) if before == seen => {
                let is_new = self.known != seen;
                self.known = seen;
                is_new
            }
            _ => {
                self.phase = Phase::Seen(seen, now + BETWEEN);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::seen::Content;

    fn seen(byte: u8) -> Seen {
        Seen::from([(PathBuf::from("/f"), Content::File([byte; 32]))])
    }

    fn path() -> &'static Path {
        Path::new("/f")
    }

    #[test]
    fn it_counts_after_two_looks_that_see_the_same() {
        let start = Instant::now();
        let mut settling = Settling::new(seen(0));
        assert_eq!(settling.due(), None);
        settling.happened(path(), Happened::Replaced, start);
        assert_eq!(settling.due(), Some(start + QUIET));
        let first = start + QUIET;
        assert!(!settling.saw(seen(1), first), "once is not enough");
        assert_eq!(settling.due(), Some(first + BETWEEN));
        assert!(!settling.saw(seen(2), first + BETWEEN), "it changed between");
        assert!(settling.saw(seen(2), first + BETWEEN * 2));
        assert_eq!(settling.due(), None);
    }

    #[test]
    fn what_is_as_it_was_is_not_told() {
        let now = Instant::now();
        let mut settling = Settling::new(seen(0));
        settling.happened(path(), Happened::Closed, now);
        assert!(!settling.saw(seen(0), now) && !settling.saw(seen(0), now));
        assert_eq!(settling.due(), None);
    }

    #[test]
    fn nothing_counts_while_somebody_writes() {
        let now = Instant::now();
        let mut settling = Settling::new(seen(0));
        settling.happened(path(), Happened::Written, now);
        assert_eq!(settling.due(), None);
        settling.happened(Path::new("/g"), Happened::Replaced, now);
        assert_eq!(settling.due(), None, "another file does not finish this one");
        settling.happened(path(), Happened::Closed, now);
        assert_eq!(settling.due(), Some(now + QUIET));
        // Once more between the two looks.
        assert!(!settling.saw(seen(1), now));
        settling.happened(path(), Happened::Written, now);
        assert_eq!(settling.due(), None);
        settling.happened(path(), Happened::Replaced, now);
        assert!(!settling.saw(seen(1), now) && settling.saw(seen(1), now));
    }

    #[test]
    fn a_file_that_was_made_and_never_written_does_not_stop_everything() {
        let now = Instant::now();
        let mut settling = Settling::new(seen(0));
        settling.happened(path(), Happened::Made, now);
        assert_eq!(settling.due(), Some(now + UNWRITTEN));
        settling.happened(path(), Happened::Written, now);
        assert_eq!(settling.due(), None);
    }

    #[test]
    fn each_event_begins_the_quiet_anew() {
        let start = Instant::now();
        let mut settling = Settling::new(seen(0));
        for turn in 0..10 {
            settling.happened(path(), Happened::Replaced, start + QUIET / 2 * turn);
        }
        assert_eq!(settling.due(), Some(start + QUIET / 2 * 9 + QUIET));
    }

    #[test]
    fn other_paths_do_not_hide_what_was_not_told() {
        let now = Instant::now();
        let mut settling = Settling::new(seen(0));
        let more = |byte| Seen::from([(path().to_owned(), Content::File([byte; 32])), ("/new".into(), Content::None)]);
        settling.know(more(0), now);
        assert_eq!(settling.due(), None);
        settling.know(more(1), now);
        assert!(settling.due().is_some(), "changed while nobody looked");
        assert!(!settling.saw(more(1), now) && settling.saw(more(1), now));
    }
}
