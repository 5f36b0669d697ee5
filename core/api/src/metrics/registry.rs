//! Which series there are: definition, departure, return.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::cells::{CHUNK, Pool};
use super::group::{Column, Departed, Departure, Group, Hold};
use super::series::{MetricError, MetricKind, is_metric_name};

/// How much a store holds, and how long it keeps what nobody counts in any
/// more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricBounds {
    /// Cells in use: a counter or a gauge takes one, a histogram 16, all series
    /// of a host 33.
    pub cells: usize,
    /// Departed series stay for so long even if they were read since, so that
    /// a second reader sees their last values too.
    pub read: Duration,
    /// They stay for so long if nobody has read them.
    pub unread: Duration,
    /// So many departed groups of series are kept at a time beyond as many as
    /// ever were in use at once; the longest departed go first.
    pub departed: usize,
}

impl Default for MetricBounds {
    /// Room for 250,000 hosts.
    fn default() -> Self {
        MetricBounds { cells: 1 << 23, read: Duration::from_secs(60), unread: Duration::from_secs(600), departed: 4096 }
    }
}

/// Departed groups that one definition frees at most: it may happen on a
/// worker. More than it defines, so that definitions alone keep up.
const FREED_PER_DEFINITION: usize = 16;
/// The same of a read.
const FREED_PER_READ: usize = 4096;

/// All series of a process.
pub(super) struct Store {
    bounds: MetricBounds,
    pool: Arc<Pool>,
    departed: Arc<Departed>,
    blank: Arc<Hold>,
    definitions: Mutex<Definitions>,
}

/// A place in a group: what a handle is made of.
pub(super) type Place = (Arc<Hold>, usize);

#[derive(Default)]
struct Definitions {
    /// By number.
    groups: BTreeMap<u64, Known>,
    /// By the hash of their labels, which is shorter than the labels.
    by_labels: HashMap<u64, Vec<Arc<Group>>>,
    hasher: RandomState,
    /// Every name, once.
    names: HashMap<Arc<str>, Name>,
    /// With the number of groups that have each.
    layouts: HashMap<Arc<[Column]>, usize>,
    next: u64,
    /// Departed groups, the longest departed first; some of them may be back.
    leaving: VecDeque<Departure>,
    /// How many are not back.
    gone: usize,
    /// As many groups as were ever in use at once.
    peak: usize,
}

struct Known {
    group: Arc<Group>,
    hold: Weak<Hold>,
    /// Counts holds: which of them `hold` is.
    number: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    InUse,
    Departed,
}

struct Name {
    kind: MetricKind,
    /// Series that have it.
    series: usize,
}

impl Store {
    pub(super) fn new(workers: usize, bounds: MetricBounds) -> Self {
        Store {
            bounds,
            pool: Arc::new(Pool::new(workers, bounds.cells)),
            departed: Arc::default(),
            blank: Hold::blank(),
            definitions: Mutex::default(),
        }
    }

    /// A place that is in no group.
    pub(super) fn blank(&self) -> Place {
        (self.blank.clone(), 0)
    }

    /// The series of this kind, name and labels, which is a new one if there is
    /// none.
    pub(super) fn define(&self, kind: MetricKind, name: &str, labels: &[(&str, &str)]) -> Result<Place, MetricError> {
        check(name, labels)?;
        let mut definitions = self.tidied(self.departed.reads(), FREED_PER_DEFINITION);
        self.resolve_conflict(&mut definitions, kind, name)?;
        match definitions.find(name, labels, &self.departed) {
            Some(place) => Ok(place),
            None => self.add(&mut definitions, &[(name, kind)], labels),
        }
    }

    /// Makes one group of those of `series` that are not there yet; what it
    /// gives keeps them.
    pub(super) fn define_together(
        &self,
        series: &[(String, MetricKind)],
        labels: &[(&str, &str)],
    ) -> Result<Vec<Arc<Hold>>, MetricError> {
        let mut definitions = self.tidied(self.departed.reads(), FREED_PER_DEFINITION);
        let mut holds = Vec::new();
        let mut missing: Vec<(&str, MetricKind)> = Vec::with_capacity(series.len());
        let mut cells = 0;
        for (name, kind) in series {
            check(name, labels)?;
            self.resolve_conflict(&mut definitions, *kind, name)?;
            if let Some((hold, _)) = definitions.find(name, labels, &self.departed) {
                holds.push(hold);
                continue;
            }
            match missing.iter().find(|(known, _)| known == name) {
                Some((_, known)) if known != kind => return Err(MetricError::KindConflict(name.clone())),
                Some(_) => continue,
                None => {}
            }
            if cells + Column::cells(*kind) > CHUNK {
                holds.push(self.add(&mut definitions, &missing, labels)?.0);
                (cells, missing) = (0, Vec::new());
            }
            cells += Column::cells(*kind);
            missing.push((name, *kind));
        }
        if !missing.is_empty() {
            holds.push(self.add(&mut definitions, &missing, labels)?.0);
        }
        Ok(holds)
    }

    /// The series of this kind, name and labels, if there is one.
    pub(super) fn find(&self, kind: MetricKind, name: &str, labels: &[(&str, &str)]) -> Option<Place> {
        let mut definitions = self.definitions();
        definitions.names.get(name).filter(|known| known.kind == kind)?;
        definitions.find(name, labels, &self.departed)
    }

    /// All groups, in order of definition. The lock is held while they are
    /// listed, not while they are read.
    pub(super) fn groups(&self) -> Vec<Arc<Group>> {
        let reads = self.departed.begin_read();
        self.tidied(reads, FREED_PER_READ).groups.values().map(|known| known.group.clone()).collect()
    }

    /// Cells in use.
    pub(super) fn cells(&self) -> usize {
        self.pool.used()
    }

    /// A name has one kind. Departed series of another kind do not stand in the
    /// way.
    fn resolve_conflict(&self, definitions: &mut Definitions, kind: MetricKind, name: &str) -> Result<(), MetricError> {
        let conflicts = |definitions: &Definitions| definitions.names.get(name).is_some_and(|known| known.kind != kind);
        if conflicts(definitions) {
            definitions.free_departed_with(name);
        }
        if conflicts(definitions) { Err(MetricError::KindConflict(name.to_owned())) } else { Ok(()) }
    }

    /// A new group; the place of its first series.
    fn add(
        &self,
        definitions: &mut Definitions,
        series: &[(&str, MetricKind)],
        labels: &[(&str, &str)],
    ) -> Result<Place, MetricError> {
        let cells = series.iter().map(|(_, kind)| Column::cells(*kind)).sum();
        let slot = loop {
            match self.pool.take(cells) {
                Some(slot) => break slot,
                // What departed makes room for what is in use.
                None if definitions.free_oldest() => {}
                None => return Err(MetricError::Limit),
            }
        };
        let columns = definitions.layout(series);
        let labels: Arc<[_]> = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let group = Arc::new(Group { number: definitions.next, labels, columns, slot });
        definitions.next += 1;
        let place = (Hold::new(group.clone(), 0, self.departed.clone()), group.slot.start());
        definitions.insert(group, &place.0);
        Ok(place)
    }

    /// The definitions, with what departed and is due freed, up to a bound.
    fn tidied(&self, reads: u64, most: usize) -> MutexGuard<'_, Definitions> {
        let mut definitions = self.definitions();
        definitions.note_departed(self.departed.take());
        definitions.free_due(&self.bounds, reads, most);
        definitions
    }

    fn definitions(&self) -> MutexGuard<'_, Definitions> {
        self.definitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Definitions {
    fn find(&mut self, name: &str, labels: &[(&str, &str)], departed: &Arc<Departed>) -> Option<Place> {
        let (name, _) = self.names.get_key_value(name)?;
        let groups = self.by_labels.get(&hash(&self.hasher, labels.iter().copied()))?;
        let found =
            groups.iter().find_map(|group| Some((group, group.column(name)?)).filter(|_| group.has_labels(labels)));
        let (group, column) = found?;
        let at = group.slot.start() + column.at;
        let known = self.groups.get_mut(&group.number)?;
        if let Some(hold) = known.hold.upgrade() {
            return Some((hold, at));
        }
        // It is back. That no handle was left was seen here, so everything that
        // was counted through them is seen as well, once this is passed: who
        // lets go of an `Arc` releases what it did before.
        fence(Ordering::Acquire);
        // Levels of an owner that is gone are nobody's.
        known.group.clear_gauges();
        // A departure of the hold before may not be noted yet: it has another
        // number.
        known.number += 1;
        let hold = Hold::new(known.group.clone(), known.number, departed.clone());
        known.hold = Arc::downgrade(&hold);
        if std::mem::replace(&mut known.state, State::InUse) == State::Departed {
            self.gone -= 1;
        }
        Some((hold, at))
    }

    /// The columns of these series, the same ones each time.
    fn layout(&mut self, series: &[(&str, MetricKind)]) -> Arc<[Column]> {
        let mut at = 0;
        let mut columns = Vec::with_capacity(series.len());
        for &(name, kind) in series {
            let name = match self.names.get_key_value(name) {
                Some((name, _)) => name.clone(),
                None => {
                    let name: Arc<str> = name.into();
                    self.names.insert(name.clone(), Name { kind, series: 0 });
                    name
                }
            };
            columns.push(Column { name, kind, at });
            at += Column::cells(kind);
        }
        match self.layouts.get_key_value(&*columns) {
            Some((known, _)) => known.clone(),
            None => columns.into(),
        }
    }

    fn insert(&mut self, group: Arc<Group>, hold: &Arc<Hold>) {
        *self.layouts.entry(group.columns.clone()).or_default() += 1;
        for column in &*group.columns {
            if let Some(name) = self.names.get_mut(&column.name) {
                name.series += 1;
            }
        }
        let hash = hash(&self.hasher, pairs(&group));
        self.by_labels.entry(hash).or_default().push(group.clone());
        let known = Known { group, hold: Arc::downgrade(hold), number: 0, state: State::InUse };
        self.groups.insert(known.group.number, known);
        self.peak = self.peak.max(self.groups.len() - self.gone);
    }

    fn note_departed(&mut self, departed: Vec<Departure>) {
        for departure in departed {
            if let Some(known) = self.groups.get_mut(&departure.group)
                && known.number == departure.hold
            {
                known.state = State::Departed;
                self.gone += 1;
                self.leaving.push_back(departure);
            }
        }
        // Groups that go and return all the time leave one entry each time.
        if self.leaving.len() > 2 * self.gone + 1024 {
            let groups = &self.groups;
            self.leaving.retain(|departure| is_gone(groups, departure));
        }
    }

    /// Frees up to `most` groups that departed long enough ago.
    fn free_due(&mut self, bounds: &MetricBounds, reads: u64, most: usize) {
        if self.leaving.is_empty() {
            return;
        }
        let now = Instant::now();
        for _ in 0..most {
            self.drop_returned();
            let Some(oldest) = self.leaving.front() else { return };
            let age = now.saturating_duration_since(oldest.when);
            let is_due = self.gone > bounds.departed + self.peak
                || age >= bounds.unread
                || (age >= bounds.read && reads > oldest.reads);
            if !is_due || !self.free_oldest() {
                return;
            }
        }
    }

    /// Frees the group that departed first; false if none is departed.
    fn free_oldest(&mut self) -> bool {
        self.drop_returned();
        match self.leaving.pop_front() {
            Some(oldest) => {
                self.remove(oldest.group);
                true
            }
            None => false,
        }
    }

    /// Frees departed groups that have a series of this name.
    fn free_departed_with(&mut self, name: &str) {
        let has_name = |known: &Known| known.group.columns.iter().any(|column| &*column.name == name);
        let groups = &self.groups;
        let freed: Vec<u64> = self
            .leaving
            .iter()
            .filter(|departure| is_gone(groups, departure) && groups.get(&departure.group).is_some_and(has_name))
            .map(|departure| departure.group)
            .collect();
        freed.into_iter().for_each(|group| self.remove(group));
    }

    /// Forgets departures of groups that are back, or freed, from the front.
    fn drop_returned(&mut self) {
        while self.leaving.front().is_some_and(|departure| !is_gone(&self.groups, departure)) {
            self.leaving.pop_front();
        }
    }

    /// Takes a departed group out.
    fn remove(&mut self, number: u64) {
        let Some(Known { group, .. }) = self.groups.remove(&number) else { return };
        self.gone -= 1;
        let hash = hash(&self.hasher, pairs(&group));
        if let Some(same) = self.by_labels.get_mut(&hash) {
            same.retain(|known| known.number != number);
            if same.is_empty() {
                self.by_labels.remove(&hash);
            }
        }
        for column in &*group.columns {
            if let Some(name) = self.names.get_mut(&column.name) {
                name.series -= 1;
                if name.series == 0 {
                    self.names.remove(&column.name);
                }
            }
        }
        if let Some(groups) = self.layouts.get_mut(&group.columns) {
            *groups -= 1;
            if *groups == 0 {
                self.layouts.remove(&group.columns);
            }
        }
    }
}

/// Whether it was this departure after which the group did not return.
fn is_gone(groups: &BTreeMap<u64, Known>, departure: &Departure) -> bool {
    groups.get(&departure.group).is_some_and(|known| known.number == departure.hold && known.state == State::Departed)
}

fn pairs(group: &Group) -> impl Iterator<Item = (&str, &str)> {
    group.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

fn hash<'a>(hasher: &RandomState, labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut state = hasher.build_hasher();
    labels.for_each(|label| label.hash(&mut state));
    state.finish()
}

fn check(name: &str, labels: &[(&str, &str)]) -> Result<(), MetricError> {
    if !is_metric_name(name) {
        return Err(MetricError::BadName(name.to_owned()));
    }
    match labels.iter().find(|(label, _)| !is_metric_name(label) || label.contains(':')) {
        Some((label, _)) => Err(MetricError::BadName((*label).to_owned())),
        None => Ok(()),
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("bounds", &self.bounds).field("cells", &self.cells()).finish_non_exhaustive()
    }
}
