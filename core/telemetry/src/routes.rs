//! What came of the requests of each route.

use std::sync::Arc;

use sidegate_api::{Counter, Histogram, MetricError, Metrics, Observation};

/// Routes of a process that have series of their own: 24 lines each on a page
/// of metrics.
pub const MAX_ROUTES: usize = 256;

/// What routes beyond the bound are called, all together.
const OTHERS: &str = "(others)";

/// The label `class` by a status' first digit. The first is for requests without
/// an answer, the last for what is no class of HTTP's.
const CLASSES: [&str; 7] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// How many routes may still have series of their own. There is one per
/// configuration: what stays from the one before is
/// [charged](RouteBudget::charge) to it.
#[derive(Debug)]
pub struct RouteBudget(usize);

/// Handles of `sidegate_route_*` of one listener's routes, by their number.
/// Routes beyond the budget share the last ones.
#[derive(Debug, Clone, Default)]
pub struct RouteStats {
    series: Arc<[RouteSeries]>,
    /// The first so many are of one route each.
    own: usize,
}

#[derive(Debug)]
struct RouteSeries {
    /// By [`CLASSES`].
    requests: [Counter; CLASSES.len()],
    duration: Histogram,
}

impl Default for RouteBudget {
    fn default() -> Self {
        RouteBudget(MAX_ROUTES)
    }
}

impl RouteBudget {
    /// Routes that stay as they are have their series already.
    pub fn charge(&mut self, stats: &RouteStats) {
        self.0 = self.0.saturating_sub(stats.own);
    }
}

impl RouteStats {
    /// Series of `routes`, which are names of virtual host and route by number.
    pub fn new<'a>(
        metrics: &Metrics,
        listener: &str,
        routes: impl Iterator<Item = (&'a str, &'a str)>,
        budget: &mut RouteBudget,
    ) -> Result<Self, MetricError> {
        let (mut series, mut own) = (Vec::new(), 0);
        for (virtual_host, route) in routes {
            if budget.0 == 0 {
                series.push(RouteSeries::new(metrics, listener, OTHERS, OTHERS)?);
                break;
            }
            budget.0 -= 1;
            own += 1;
            series.push(RouteSeries::new(metrics, listener, virtual_host, route)?);
        }
        Ok(RouteStats { series: series.into(), own })
    }

    /// A request of the route with this number has ended with `status`, 0 if it
    /// had no answer.
    #[inline]
    pub(crate) fn count(&self, route: u32, status: u16, duration: Observation) {
        let Some(series) = self.series.get(route as usize).or(self.series.last()) else { return };
        let class = usize::from(status / 100).min(CLASSES.len() - 1);
        series.requests[class].inc();
        series.duration.record(duration);
    }
}

impl RouteSeries {
    fn new(metrics: &Metrics, listener: &str, virtual_host: &str, route: &str) -> Result<Self, MetricError> {
        let place = [("listener", listener), ("virtual_host", virtual_host), ("route", route)];
        let duration = metrics.durations("sidegate_route_request_duration_seconds", &place)?;
        let counter = |class| {
            let [listener, virtual_host, route] = place;
            metrics.counter("sidegate_route_requests_total", &[listener, virtual_host, route, ("class", class)])
        };
        let [none, one, two, three, four, five, other] = CLASSES.map(counter);
        Ok(RouteSeries { requests: [none?, one?, two?, three?, four?, five?, other?], duration })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(metrics: &Metrics, route: &str) -> Vec<(String, u64)> {
        let is =
            |labels: &[(String, String)], name: &str, value: &str| labels.iter().any(|(n, v)| n == name && v == value);
        let all = metrics.read().into_iter().filter(|one| is(&one.labels, "route", route));
        let counts = all.filter_map(|one| match one.value {
            sidegate_api::SeriesValue::Counter(count @ 1..) => Some((one.labels[3].1.clone(), count)),
            _ => None,
        });
        counts.collect()
    }

    #[test]
    fn requests_are_counted_by_route_and_class() {
        let metrics = Metrics::new(1);
        let routes = [("v", "/a"), ("v", "/b")];
        let stats = RouteStats::new(&metrics, "l", routes.into_iter(), &mut RouteBudget::default()).unwrap();
        for status in [200, 204, 404, 503, 0, 101, 999] {
            stats.count(0, status, Observation::new(1.0));
        }
        stats.count(1, 302, Observation::new(1.0));
        let classes = [("none", 1), ("1xx", 1), ("2xx", 2), ("4xx", 1), ("5xx", 1), ("other", 1)];
        assert_eq!(totals(&metrics, "/a"), classes.map(|(class, count)| (class.to_owned(), count)));
        assert_eq!(totals(&metrics, "/b"), [("3xx".to_owned(), 1)]);
    }

    #[test]
    fn routes_beyond_the_budget_are_counted_together() {
        let metrics = Metrics::new(1);
        let mut budget = RouteBudget(2);
        let names = ["/a", "/b", "/c", "/d"];
        let stats = RouteStats::new(&metrics, "l", names.iter().map(|name| ("v", *name)), &mut budget).unwrap();
        for route in 0..4 {
            stats.count(route, 200, Observation::new(1.0));
        }
        assert_eq!(totals(&metrics, "/b"), [("2xx".to_owned(), 1)]);
        assert_eq!(totals(&metrics, OTHERS), [("2xx".to_owned(), 2)]);
        assert_eq!(totals(&metrics, "/c"), []);
        let next = RouteStats::new(&metrics, "m", [("v", "/e")].into_iter(), &mut budget).unwrap();
        next.count(0, 200, Observation::new(1.0));
        assert_eq!(totals(&metrics, "/e"), []);
        let mut after = RouteBudget(3);
        after.charge(&stats);
        after.charge(&next);
        assert_eq!(after.0, 1);
        RouteStats::default().count(3, 200, Observation::new(1.0));
    }
}
