//! Metrics as text and JSON.

mod global;
mod help;
mod json;
mod matcher;
mod percentile;
mod process;
mod prometheus;

#[cfg(test)]
mod tests;

use sidegate_api::Series;

pub use self::json::{stats_flat, stats_json};
pub use self::matcher::{StatsMatcher, collect};
pub use self::percentile::Percentile;
use self::prometheus::Page;
pub use self::prometheus::PageFormat;

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
/// `series`, which [`collect`] gives.
pub fn page(series: &[Series], version: &str, options: &PageOptions, format: PageFormat) -> String {
    let mut page = Page::new(format);
    if options.process == ProcessFigures::Shown {
        process::write_process(&mut page);
    }
    let version = [("version".to_owned(), version.to_owned())];
    let build = Series {
        name: "sidegate_build_info".into(),
        labels: version.into(),
        value: sidegate_api::SeriesValue::Gauge(1),
    };
    page.series(&[build]);
    let levels = percentile::with_percentiles(series, &options.percentiles);
    if options.percentiles.is_empty() {
        page.series(series);
    } else {
        let rest: Vec<Series> = series.iter().filter(|one| !percentile::is_of_mosn(one)).cloned().collect();
        page.take_names(levels.iter().map(|(level, _)| &*level.name));
        page.series(&rest);
        page.levels(&levels);
    }
    page.finish()
}
