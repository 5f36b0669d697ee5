//! What runs, and what ran before.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::Origin;

/// Former configurations that can be gone back to. Each holds the document as
/// it was read.
pub const KEPT: usize = 4;
/// Changes that are shown.
const SHOWN: usize = 32;

/// One configuration that runs or ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Counts from 1, for each that was taken.
    pub number: u64,
    /// SHA-256 of everything that was read.
    pub digest: [u8; 32],
    /// Since when it ran.
    pub time: SystemTime,
    /// Who asked for it.
    pub origin: Origin,
    /// What for.
    pub reason: Reason,
}

/// Why there is a new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The process began with it.
    Start,
    /// The file was read again.
    Reload,
    /// What ran before runs again: that number's.
    Rollback(u64),
    /// A module was loaded anew.
    Module(String),
}

/// The version that runs and those before it. `D` is what was read.
#[derive(Debug)]
pub struct History<D> {
    running: (Version, D),
    /// Newest last.
    before: VecDeque<(Version, D)>,
    /// All that ran, newest last, the running one included.
    shown: VecDeque<Version>,
}

impl Reason {
    /// One word.
    pub fn name(&self) -> &'static str {
        match self {
            Reason::Start => "start",
            Reason::Reload => "reload",
            Reason::Rollback(_) => "rollback",
            Reason::Module(_) => "module",
        }
    }
}

impl Version {
    /// For tools; the time is in seconds since 1970.
    pub fn to_json(&self) -> Map<String, Value> {
        let time = self.time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let mut shown = Map::new();
        shown.insert("number".to_owned(), self.number.into());
        shown.insert("digest".to_owned(), hex(&self.digest).into());
        shown.insert("time".to_owned(), time.into());
        shown.insert("origin".to_owned(), self.origin.name().into());
        shown.insert("reason".to_owned(), self.reason.name().into());
        match &self.reason {
            Reason::Rollback(number) => shown.insert("same_as".to_owned(), (*number).into()),
            Reason::Module(module) => shown.insert("module".to_owned(), module.as_str().into()),
            Reason::Start | Reason::Reload => None,
        };
        shown
    }
}

/// As digests are written.
pub(crate) fn hex(digest: &[u8; 32]) -> String {
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a `String` does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl<D> History<D> {
    /// Begins with what the process began with.
    pub fn begin(digest: [u8; 32], document: D) -> Self {
        let version =
            Version { number: 1, digest, time: SystemTime::now(), origin: Origin::Start, reason: Reason::Start };
        let shown = VecDeque::from([version.clone()]);
        History { running: (version, document), before: VecDeque::new(), shown }
    }

    /// What runs.
    pub fn running(&self) -> &Version {
        &self.running.0
    }

    /// What was read for it.
    pub fn document(&self) -> &D {
        &self.running.1
    }

    /// What [`Self::went_back`] would go back to.
    pub fn former(&self) -> Option<(&Version, &D)> {
        self.before.back().map(|(version, document)| (version, document))
    }

    /// Another document runs now, or the same one with other files of modules
    /// and key sets: those are not gone back to, so the former stays the
    /// former.
    pub fn took(&mut self, digest: [u8; 32], document: D, origin: Origin) -> &Version {
        let next = self.next(digest, origin, Reason::Reload);
        let former = std::mem::replace(&mut self.running, (next, document));
        if former.0.digest != digest {
            self.before.push_back(former);
        }
        if self.before.len() > KEPT {
            self.before.pop_front();
        }
        self.show()
    }

    /// The same document was taken again, since what ran was edited since.
    pub fn retook(&mut self, origin: Origin) -> &Version {
        self.running.0 = self.next(self.running.0.digest, origin, Reason::Reload);
        self.show()
    }

    /// The former document runs again; the one that ran is given up, so that
    /// the next time goes further back.
    pub fn went_back(&mut self, origin: Origin) -> &Version {
        if let Some((former, document)) = self.before.pop_back() {
            let next = self.next(former.digest, origin, Reason::Rollback(former.number));
            self.running = (next, document);
        }
        self.show()
    }

    /// The same document runs with a module that was loaded anew.
    pub fn renewed(&mut self, module: String, origin: Origin) -> &Version {
        self.running.0 = self.next(self.running.0.digest, origin, Reason::Module(module));
        self.show()
    }

    /// All that ran, newest first, and whether each can be gone back to.
    pub fn shown(&self) -> impl Iterator<Item = (&Version, bool)> {
        let is_kept = |version: &Version| self.before.iter().any(|(kept, _)| kept.number == version.number);
        self.shown.iter().rev().map(move |version| (version, is_kept(version)))
    }

    fn next(&self, digest: [u8; 32], origin: Origin, reason: Reason) -> Version {
        Version { number: self.running.0.number + 1, digest, time: SystemTime::now(), origin, reason }
    }

    fn show(&mut self) -> &Version {
        self.shown.push_back(self.running.0.clone());
        if self.shown.len() > SHOWN {
            self.shown.pop_front();
        }
        &self.running.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(byte: u8) -> [u8; 32] {
        [byte; 32]
    }

    #[test]
    fn going_back_goes_further_each_time_and_numbers_go_up() {
        let mut history = History::begin(digest(1), "one");
        history.took(digest(2), "two", Origin::Signal);
        history.took(digest(3), "three", Origin::Admin);
        assert_eq!((history.running().number, *history.document()), (3, "three"));
        assert_eq!(history.former().map(|(version, document)| (version.number, *document)), Some((2, "two")));
        history.went_back(Origin::Admin);
        assert_eq!((history.running().number, *history.document()), (4, "two"));
        assert_eq!(history.running().reason, Reason::Rollback(2));
        assert_eq!(history.running().digest, digest(2));
        history.went_back(Origin::Admin);
        assert_eq!((history.running().number, *history.document()), (5, "one"));
        assert!(history.former().is_none());
        let kept: Vec<_> = history.shown().map(|(version, kept)| (version.number, kept)).collect();
        assert_eq!(kept, [(5, false), (4, false), (3, false), (2, false), (1, false)]);
    }

    #[test]
    fn a_few_are_kept_however_many_ran() {
        let mut history = History::begin(digest(0), 0);
        for round in 1..200_u32 {
            history.took(digest(round as u8), round, Origin::Watch);
        }
        assert_eq!(history.before.len(), KEPT);
        assert_eq!(history.former().map(|(_, round)| *round), Some(198));
        assert_eq!(history.shown().count(), SHOWN);
        assert_eq!(history.shown().filter(|(_, kept)| *kept).count(), KEPT);
    }

    #[test]
    fn the_same_document_with_other_files_is_not_in_the_way_back() {
        let mut history = History::begin(digest(1), "one");
        history.took(digest(2), "two", Origin::Signal);
        history.took(digest(2), "two", Origin::Signal);
        assert_eq!(history.former().map(|(version, document)| (version.number, *document)), Some((1, "one")));
        history.went_back(Origin::Admin);
        assert_eq!((history.running().number, *history.document()), (4, "one"));
        assert!(history.former().is_none());
    }

    #[test]
    fn a_module_is_a_new_version_of_the_same_document() {
        let mut history = History::begin(digest(1), "one");
        history.took(digest(2), "two", Origin::Signal);
        history.renewed("auth".to_owned(), Origin::Admin);
        assert_eq!((history.running().number, history.running().digest), (3, digest(2)));
        assert_eq!(history.former().map(|(_, document)| *document), Some("one"));
    }
}
