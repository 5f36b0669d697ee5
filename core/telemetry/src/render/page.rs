//! A page of metrics, piece by piece.

use sidegate_api::{MetricKind, Series, SeriesValue};

use super::percentile::{self, Percentile};
use super::piece;
use super::process;
use super::prometheus::{Kind, PageFormat, Writer};
use super::stats::Stats;

/// What a page of metrics holds beside the statistics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PageOptions {
    /// The process's own figures.
    pub process: ProcessFigures,
    /// Estimated for each histogram.
    pub percentiles: Vec<Percentile>,
}

/// Whether `process_*` is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProcessFigures {
    /// It is.
    #[default]
    Shown,
    /// It is not.
    Hidden,
}

/// The page: the process's figures, the version as `sidegate_build_info`, and
/// `stats`, in pieces that are made when they are asked for.
pub fn page(stats: Stats, version: &str, options: &PageOptions, format: PageFormat) -> Page {
    let mut writer = Writer::new(format);
    if options.process == ProcessFigures::Shown {
        process::write_process(&mut writer);
    }
    let version = [("version".to_owned(), version.to_owned())];
    let build = Series { name: "sidegate_build_info".into(), labels: version.into(), value: SeriesValue::Gauge(1) };
    writer.head(&build.name, Kind::Gauge);
    writer.series(&build);
    let percentiles = options.percentiles.clone();
    let has_levels = !percentiles.is_empty();
    let parts = Vec::from_iter((0..stats.families.len()).filter(|&index| stats.has_any(&stats.families[index])));
    let is_plain = |index: &usize| !(has_levels && percentile::is_of_mosn(&stats.families[*index].family));
    let is_histogram = |index: &usize| {
        matches!(
            stats.families[*index].family.kind,
            MetricKind::Histogram | MetricKind::Durations | MetricKind::CallTimes
        )
    };
    let mut todo: Vec<Part> = parts.iter().copied().filter(is_plain).map(Part::Series).collect();
    if has_levels {
        todo.extend(parts.iter().copied().filter(is_histogram).map(Part::Levels));
    }
    for part in &todo {
        writer.take_name(&match part {
            Part::Series(index) => stats.families[*index].family.name.clone(),
            Part::Levels(index) => percentile::name_of_levels(&stats.families[*index].family),
        });
    }
    todo.reverse();
    Page { stats, writer, percentiles, todo, at: Place::Head }
}

/// A page in the making: gives pieces of its text.
#[derive(Debug)]
pub struct Page {
    stats: Stats,
    writer: Writer,
    percentiles: Vec<Percentile>,
    /// The next one last; none once the page has its end.
    todo: Vec<Part>,
    at: Place,
}

/// Lines of one family, by its place among the families.
#[derive(Debug, Clone, Copy)]
enum Part {
    Series(usize),
    /// Percentiles of a family of histograms.
    Levels(usize),
}

/// How far a family is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    Series(usize),
    /// There are no more families.
    End,
}

impl Iterator for Page {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut has_more = self.at != Place::End;
        piece(&mut has_more, |text| {
            self.step();
            self.writer.move_to(text);
            self.at != Place::End
        })
    }
}

impl Page {
    /// The next lines: a head with what is summed, or one owner's.
    fn step(&mut self) {
        let Some(&part) = self.todo.last() else {
            self.writer.end();
            self.at = Place::End;
            return;
        };
        let (Part::Series(index) | Part::Levels(index)) = part;
        let shown = &self.stats.families[index];
        let next = match self.at {
            Place::Head => {
                if let Part::Series(_) = part {
                    self.writer.head(&shown.family.name, Kind::of(shown.family.kind));
                }
                let sum = self.stats.global(shown);
                self.write(part, sum);
                0
            }
            Place::Series(at) => {
                let series = self.stats.series(shown, at);
                self.write(part, series);
                at + 1
            }
            Place::End => return,
        };
        let length = self.stats.families[index].family.len();
        self.at = if next < length {
            Place::Series(next)
        } else {
            self.todo.pop();
            Place::Head
        };
    }

    fn write(&mut self, part: Part, series: Option<Series>) {
        let Some(series) = series else { return };
        match part {
            Part::Series(_) => self.writer.series(&series),
            Part::Levels(_) => {
                for (level, value) in percentile::levels(&series, &self.percentiles) {
                    self.writer.level(&level, value);
                }
            }
        }
    }
}
