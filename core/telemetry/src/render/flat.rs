//! Metrics as lines, under MOSN's dotted names.

use std::fmt;

use sidegate_api::Series;

use super::json::{dotted, split, values};
use super::piece;
use super::stats::Stats;

/// Lines `type.label.value.key:value`; `name` says from where on a dotted name
/// is shown, if it is.
pub fn stats_lines(stats: Stats, name: impl Fn(&str) -> Option<usize> + Send + 'static) -> StatsLines {
    StatsLines { stats, name: Box::new(name), at: At::Sum(0), has_more: true }
}

/// From where on a dotted name is shown, if it is.
type Shown = dyn Fn(&str) -> Option<usize> + Send;

/// Lines in the making: gives pieces of their text.
pub struct StatsLines {
    stats: Stats,
    name: Box<Shown>,
    at: At,
    has_more: bool,
}

/// Where it is: at a family's sum, or at an owner.
#[derive(Debug, Clone, Copy)]
enum At {
    Sum(usize),
    Owner(usize),
}

impl Iterator for StatsLines {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let StatsLines { stats, name, at, has_more } = self;
        piece(has_more, |text| {
            let mut take = |series: Series| write(text, &series, &**name);
            *at = match *at {
                At::Sum(index) => match stats.families.get(index) {
                    Some(family) => {
                        stats.global(family).into_iter().for_each(&mut take);
                        At::Sum(index + 1)
                    }
                    None => At::Owner(0),
                },
                At::Owner(owner) => {
                    stats.series_of(owner).for_each(&mut take);
                    At::Owner(owner + 1)
                }
            };
            !matches!(*at, At::Owner(owner) if owner >= stats.owners())
        })
    }
}

impl fmt::Debug for StatsLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatsLines").field("at", &self.at).finish_non_exhaustive()
    }
}

fn write(text: &mut String, series: &Series, name: &Shown) {
    let (kind, key) = split(&series.name);
    values(key, &series.value, |key, value| {
        let dotted = format!("{kind}.{}.{key}", dotted(&series.labels));
        if let Some(shown) = name(&dotted).and_then(|from| dotted.get(from..)) {
            text.push_str(shown);
            text.push(':');
            text.push_str(&value);
            text.push('\n');
        }
    });
}
