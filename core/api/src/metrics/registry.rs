//! Which series there are: definition, departure, return.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::cells::{CHUNK, Pool};
use super::group::{Column, Departed, Departure, Group, Hold, Labels};
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
    /// There if it stays whoever else holds it.
    kept: Option<Arc<Hold>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    InUse,
    Departed,
}

struct Name {
    kind: MetricKind,
    /// Layouts that have it, and definitions in progress.
    uses: usize,
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
        let mut places = self.define_together(&[(name, kind)], labels)?;
        places.pop().ok_or(MetricError::Limit)
    }

    /// The same of several, in order. Those that are not there yet make one
    /// group.
    pub(super) fn define_together<N: AsRef<str>>(
        &self,
        series: &[(N, MetricKind)],
        labels: &[(&str, &str)],
    ) -> Result<Vec<Place>, MetricError> {
        if let Some((label, _)) = labels.iter().find(|(label, _)| !is_metric_name(label) || label.contains(':')) {
            return Err(MetricError::BadName((*label).to_owned()));
        }
        let mut definitions = self.tidied(self.departed.reads(), FREED_PER_DEFINITION);
        let mut wanted = Vec::with_capacity(series.len());
        let named = series.iter().try_for_each(|(name, kind)| {
            wanted.push(definitions.take_name(name.as_ref(), *kind)?);
            Ok(())
        });
        let places = named.and_then(|()| self.places(&mut definitions, series, &wanted, labels));
        wanted.iter().for_each(|name| definitions.give_name(name));
        places
    }

    /// Of series whose names were taken.
    fn places<N>(
        &self,
        definitions: &mut Definitions,
        series: &[(N, MetricKind)],
        wanted: &[Arc<str>],
        labels: &[(&str, &str)],
    ) -> Result<Vec<Place>, MetricError> {
        let hash = hash(&definitions.hasher, labels.iter().copied());
        let mut places: Vec<Option<Place>> = Vec::with_capacity(series.len());
        for name in wanted {
            places.push(definitions.find(hash, name, labels, &self.departed));
        }
        while let Some(first) = places.iter().position(Option::is_none) {
            // Those that are missing, each once, as far as a chunk has room.
            let mut columns: Vec<Column> = Vec::new();
            let mut at = 0;
            for index in first..places.len() {
                let (name, kind) = (&wanted[index], series[index].1);
                let is_there = places[index].is_some() || columns.iter().any(|known| Arc::ptr_eq(&known.name, name));
                if is_there || at + Column::cells(kind) > CHUNK {
                    continue;
                }
                columns.push(Column { name: name.clone(), kind, at });
                at += Column::cells(kind);
            }
            let (hold, group) = self.add(definitions, hash, columns, at, labels)?;
            for (place, name) in places.iter_mut().zip(wanted).filter(|(place, _)| place.is_none()) {
                let column = group.column(name);
                *place = column.map(|column| (hold.clone(), group.slot.start() + column.at));
            }
        }
        Ok(places.into_iter().flatten().collect())
    }

    /// The same as [`define`](Self::define), of a series that stays for good,
    /// with all of its group.
    pub(super) fn define_lasting(
        &self,
        kind: MetricKind,
        name: &str,
        labels: &[(&str, &str)],
    ) -> Result<Place, MetricError> {
        let (hold, at) = self.define(kind, name, labels)?;
        if let Some(group) = hold.group()
            && let Some(known) = self.definitions().groups.get_mut(&group.number)
        {
            known.kept = Some(hold.clone());
        }
        Ok((hold, at))
    }

    /// The series of this kind, name and labels, if there is one.
    pub(super) fn find(&self, kind: MetricKind, name: &str, labels: &[(&str, &str)]) -> Option<Place> {
        let mut definitions = self.definitions();
        let (name, _) = definitions.names.get_key_value(name).filter(|(_, known)| known.kind == kind)?;
        let (name, hash) = (name.clone(), hash(&definitions.hasher, labels.iter().copied()));
        definitions.find(hash, &name, labels, &self.departed)
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

    /// A new group.
    fn add(
        &self,
        definitions: &mut Definitions,
        hash: u64,
        columns: Vec<Column>,
        cells: usize,
        labels: &[(&str, &str)],
    ) -> Result<(Arc<Hold>, Arc<Group>), MetricError> {
        let slot = loop {
            match self.pool.take(cells) {
                Some(slot) => break slot,
                // What departed makes room for what is in use.
                None if definitions.free_oldest() => {}
                None => return Err(MetricError::Limit),
            }
        };
        let labels = definitions.labels(hash, labels);
        let columns = definitions.layout(columns);
        let group = Arc::new(Group { number: definitions.next, labels, columns, slot });
        definitions.next += 1;
        let hold = Hold::new(group.clone(), 0, self.departed.clone());
        definitions.insert(hash, group.clone(), &hold);
        Ok((hold, group))
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
    /// The name, which is of this kind, as it is kept here; to be given back.
    fn take_name(&mut self, name: &str, kind: MetricKind) -> Result<Arc<str>, MetricError> {
        // Departed series of another kind do not stand in the way.
        if self.names.get(name).is_some_and(|known| known.kind != kind) {
            self.free_departed_with(name);
        }
        match self.names.get_mut(name) {
            Some(known) if known.kind == kind => known.uses += 1,
            Some(_) => return Err(MetricError::KindConflict(name.to_owned())),
            None if is_metric_name(name) => {
                self.names.insert(name.into(), Name { kind, uses: 1 });
            }
            None => return Err(MetricError::BadName(name.to_owned())),
        }
        // It is there by now.
        self.names.get_key_value(name).map(|(name, _)| name.clone()).ok_or(MetricError::Limit)
    }

    fn give_name(&mut self, name: &Arc<str>) {
        if let Some(known) = self.names.get_mut(name) {
            known.uses -= 1;
            if known.uses == 0 {
                self.names.remove(name);
            }
        }
    }

    /// `hash` is that of the labels.
    fn find(&mut self, hash: u64, name: &Arc<str>, labels: &[(&str, &str)], departed: &Arc<Departed>) -> Option<Place> {
        let groups = self.by_labels.get(&hash)?;
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

    /// These labels, the same ones for all groups that have them.
    fn labels(&self, hash: u64, labels: &[(&str, &str)]) -> Labels {
        let same = self.by_labels.get(&hash).and_then(|groups| groups.iter().find(|group| group.has_labels(labels)));
        same.map_or_else(
            || labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            |group| group.labels.clone(),
        )
    }

    /// These columns, the same ones for all groups that have them.
    fn layout(&mut self, columns: Vec<Column>) -> Arc<[Column]> {
        if let Some((known, _)) = self.layouts.get_key_value(&*columns) {
            return known.clone();
        }
        for column in &columns {
            if let Some(name) = self.names.get_mut(&column.name) {
                name.uses += 1;
            }
        }
        let columns: Arc<[Column]> = columns.into();
        self.layouts.insert(columns.clone(), 0);
        columns
    }

    /// `hash` is that of its labels.
    fn insert(&mut self, hash: u64, group: Arc<Group>, hold: &Arc<Hold>) {
        if let Some(groups) = self.layouts.get_mut(&group.columns) {
            *groups += 1;
        }
        self.by_labels.entry(hash).or_default().push(group.clone());
        let known = Known { group, hold: Arc::downgrade(hold), number: 0, state: State::InUse, kept: None };
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
        let Some(groups) = self.layouts.get_mut(&group.columns) else { return };
        *groups -= 1;
        if *groups > 0 {
            return;
        }
        self.layouts.remove(&group.columns);
        group.columns.iter().for_each(|column| self.give_name(&column.name));
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

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("bounds", &self.bounds).field("cells", &self.cells()).finish_non_exhaustive()
    }
}
