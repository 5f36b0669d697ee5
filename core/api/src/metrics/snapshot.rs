//! Which series there are at one moment, to be read one by one.

use std::collections::HashMap;
use std::sync::Arc;

use super::group::Group;
use super::series::{MetricKind, Series};

/// The series there were when it was taken, those of one owner together.
/// Values are read when asked for: taking it costs little, and what goes
/// meanwhile can still be read.
#[derive(Debug, Default)]
pub struct MetricSnapshot {
    groups: Vec<Arc<Group>>,
    families: Vec<MetricFamily>,
}

/// Series of one name.
#[derive(Debug, Clone)]
pub struct MetricFamily {
    /// The name.
    pub name: Arc<str>,
    /// What they measure.
    pub kind: MetricKind,
    /// Owners that have one, in order of definition; the same list for
    /// families that the same owners have.
    owners: Arc<[u32]>,
}

/// A family in the making: which layouts have it.
struct Draft {
    name: Arc<str>,
    kind: MetricKind,
    layouts: Vec<usize>,
}

impl MetricSnapshot {
    pub(super) fn new(groups: Vec<Arc<Group>>) -> Self {
        // Owners of one sort have one layout, so there are few.
        let mut layout_of = HashMap::new();
        let mut last = None;
        let mut with_layout: Vec<Vec<u32>> = Vec::new();
        let mut drafts: Vec<Draft> = Vec::new();
        let mut draft_of: HashMap<Arc<str>, usize> = HashMap::new();
        // There are fewer groups than cells, and those are counted in `u32`.
        for (number, group) in (0..).zip(&groups) {
            let columns = group.columns.as_ptr();
            let layout = match last {
                Some((of, layout)) if of == columns => layout,
                _ => *layout_of.entry(columns).or_insert_with(|| {
                    with_layout.push(Vec::new());
                    for column in &*group.columns {
                        let draft = *draft_of.entry(column.name.clone()).or_insert_with(|| {
                            drafts.push(Draft { name: column.name.clone(), kind: column.kind, layouts: Vec::new() });
                            drafts.len() - 1
                        });
                        drafts[draft].layouts.push(with_layout.len() - 1);
                    }
                    with_layout.len() - 1
                }),
            };
            last = Some((columns, layout));
            with_layout[layout].push(number);
        }
        let mut lists: HashMap<Vec<usize>, Arc<[u32]>> = HashMap::new();
        let families = drafts.into_iter().map(|Draft { name, kind, layouts }| {
            let list = || {
                let mut owners: Vec<u32> = layouts.iter().flat_map(|&layout| &with_layout[layout]).copied().collect();
                owners.sort_unstable();
                owners.into()
            };
            let owners = lists.entry(layouts.clone()).or_insert_with(list).clone();
            MetricFamily { name, kind, owners }
        });
        MetricSnapshot { families: families.collect(), groups }
    }

    /// Families, in order of definition.
    pub fn families(&self) -> &[MetricFamily] {
        &self.families
    }

    /// Labels of the `index`-th series of a family of this snapshot.
    pub fn labels(&self, family: &MetricFamily, index: usize) -> Option<&Arc<[(String, String)]>> {
        Some(&self.group(family, index)?.labels)
    }

    /// The `index`-th series of a family of this snapshot, as it is now.
    pub fn series(&self, family: &MetricFamily, index: usize) -> Option<Series> {
        let group = self.group(family, index)?;
        Some(group.read(group.column(&family.name)?))
    }

    /// Number of owners.
    pub fn owners(&self) -> usize {
        self.groups.len()
    }

    /// Labels of all series of the `index`-th owner; the same slice for owners
    /// that have the same.
    pub fn owner(&self, index: usize) -> Option<&Arc<[(String, String)]>> {
        Some(&self.groups.get(index)?.labels)
    }

    /// Names of the series of the `index`-th owner.
    pub fn names_of(&self, index: usize) -> impl Iterator<Item = &Arc<str>> {
        self.groups.get(index).into_iter().flat_map(|group| group.columns.iter().map(|column| &column.name))
    }

    /// All series of the `index`-th owner, as they are now.
    pub fn series_of(&self, index: usize) -> impl Iterator<Item = Series> {
        self.groups.get(index).into_iter().flat_map(|group| group.columns.iter().map(|column| group.read(column)))
    }

    fn group(&self, family: &MetricFamily, index: usize) -> Option<&Arc<Group>> {
        self.groups.get(*family.owners.get(index)? as usize)
    }
}

impl MetricFamily {
    /// Number of its series.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Never, in a snapshot.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }
}
