use serde_json::{Value, json};
use sidegate_api::{MetricBounds, Metrics};

use super::*;

fn all(metrics: &Metrics) -> Stats {
    collect(metrics, &StatsMatcher::default())
}

/// The page without what stands on every one.
fn shown(metrics: &Metrics, format: PageFormat, percentiles: &[u64]) -> String {
    let percentiles = percentiles.iter().map(|number| Percentile::new(*number).unwrap()).collect();
    let options = PageOptions { process: ProcessFigures::Hidden, percentiles };
    let text: String = page(all(metrics), "1.2.3", &options, format).collect();
    let build = "# HELP sidegate_build_info Always 1; the label tells the version.\n# TYPE sidegate_build_info gauge\n\
                 sidegate_build_info{version=\"1.2.3\"} 1\n";
    text.strip_prefix(build).unwrap_or_else(|| panic!("{text}")).to_owned()
}

fn sample() -> Metrics {
    let metrics = Metrics::new(1);
    metrics.counter("downstream_request_total", &[("listener", "a")]).unwrap().add(3);
    metrics.counter("sidegate_x_total", &[]).unwrap().add(1);
    metrics.counter("downstream_request_total", &[("listener", "b \"q\" \\ \n")]).unwrap().add(4);
    metrics.gauge("upstream_host_weight", &[("cluster", "c"), ("host", "1.2.3.4:5")]).unwrap().set(-2);
    metrics
}

#[test]
fn families_have_one_head_and_global_sums() {
    let expected = r#"# HELP downstream_request_total Requests begun.
# TYPE downstream_request_total counter
downstream_request_total{proxy="global"} 7
downstream_request_total{listener="a"} 3
downstream_request_total{listener="b \"q\" \\ \n"} 4
# TYPE sidegate_x_total counter
sidegate_x_total 1
# TYPE upstream_host_weight gauge
upstream_host_weight{cluster="c",host="1.2.3.4:5"} -2
"#;
    assert_eq!(shown(&sample(), PageFormat::Prometheus, &[]), expected);
}

#[test]
fn histograms_are_cumulative_and_summed() {
    let metrics = Metrics::new(1);
    for (listener, values) in [("a", [0.2, 3.0]), ("b", [0.2, 20_000.0])] {
        let histogram = metrics.histogram("downstream_request_time", &[("listener", listener)]).unwrap();
        values.into_iter().for_each(|value| histogram.observe(value));
    }
    let text = shown(&metrics, PageFormat::Prometheus, &[]);
    assert_eq!(text.matches("# TYPE").count(), 1);
    assert!(text.contains("# TYPE downstream_request_time histogram\n"));
    let global: Vec<&str> = text.lines().filter(|line| line.contains("proxy=\"global\"")).collect();
    let bounds = [
        "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "25.0", "50.0", "100.0", "250.0", "500.0", "1000.0", "5000.0",
        "10000.0",
    ];
    let mut expected: Vec<String> = bounds
        .into_iter()
        .map(|bound| {
            let count = if bound.parse::<f64>().unwrap() >= 5.0 { 3 } else { 2 };
            format!("downstream_request_time_bucket{{proxy=\"global\",le=\"{bound}\"}} {count}")
        })
        .collect();
    expected.push("downstream_request_time_bucket{proxy=\"global\",le=\"+Inf\"} 4".to_owned());
    expected.push("downstream_request_time_sum{proxy=\"global\"} 20003.4".to_owned());
    expected.push("downstream_request_time_count{proxy=\"global\"} 4".to_owned());
    assert_eq!(global, expected);
}

#[test]
fn json_is_nested_as_in_mosn() {
    let text = |stats: Stats, key| stats_json(stats, key).collect::<String>();
    let read = |key| serde_json::from_str::<Value>(&text(all(&sample()), key)).unwrap();
    assert_eq!(text(all(&sample()), None), format!("{:#}\n", read(None)), "as it is printed everywhere else");
    assert_eq!(text(Stats::default(), None), "{}\n");
    assert_eq!(read(Some("nothing")), json!({}));
    assert_eq!(read(Some("r.a.request")), json!({"downstream": {"listener.a": {"request_total": "3"}}}));
    assert_eq!(
        read(None),
        json!({
            "downstream": {
                "proxy.global": {"request_total": "7"},
                "listener.a": {"request_total": "3"},
                "listener.b \"q\" \\ \n": {"request_total": "4"},
            },
            "sidegate": {"global": {"x_total": "1"}},
            "upstream": {"cluster.c.host.1.2.3.4:5": {"host_weight": "-2"}},
        })
    );
    let lines = |shown: fn(&str) -> Option<usize>| stats_lines(all(&sample()), shown).collect::<String>();
    assert_eq!(
        lines(|name| (!name.contains('"')).then_some(0)),
        "downstream.proxy.global.request_total:7\ndownstream.listener.a.request_total:3\nsidegate.global.x_total:1\n\
         upstream.cluster.c.host.1.2.3.4:5.host_weight:-2\n"
    );
    assert_eq!(lines(|name| name.starts_with("sidegate.").then_some(9)), "global.x_total:1\n");
    assert_eq!(stats_lines(Stats::default(), |_| Some(0)).collect::<String>(), "");
}

#[test]
fn process_figures_are_plausible() {
    let text: String = page(Stats::default(), "1.2.3", &PageOptions::default(), PageFormat::Prometheus).collect();
    let figure = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    assert!(figure("process_resident_memory_bytes") > 100_000.0);
    assert!(figure("process_open_fds") >= 3.0);
    assert!(figure("process_cpu_seconds_total") >= 0.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let age = now - figure("process_start_time_seconds");
    assert!((-2.0..3600.0).contains(&age), "{age}");
    assert!(text.ends_with("sidegate_build_info{version=\"1.2.3\"} 1\n"));
}

#[test]
fn percentiles_are_mosns_levels_or_have_a_name_of_their_own() {
    let metrics = Metrics::new(1);
    let histogram = metrics.histogram("downstream_request_time", &[("listener", "a")]).unwrap();
    (0..100).for_each(|_| histogram.observe(7.0));
    metrics.histogram("upstream_request_duration_time", &[("cluster", "c")]).unwrap();
    metrics.histogram("of_a_module", &[("module", "m")]).unwrap().observe(7.0);
    let text = shown(&metrics, PageFormat::Prometheus, &[50, 99]);
    let levels: Vec<&str> =
        text.lines().filter(|line| !line.contains("of_a_module_") && !line.contains("HELP")).collect();
    assert_eq!(
        levels,
        [
            "# TYPE of_a_module histogram",
            "# TYPE downstream_request_time gauge",
            "downstream_request_time{proxy=\"global\",percentile=\"P50\"} 7500000",
            "downstream_request_time{proxy=\"global\",percentile=\"P99\"} 9950000",
            "downstream_request_time{listener=\"a\",percentile=\"P50\"} 7500000",
            "downstream_request_time{listener=\"a\",percentile=\"P99\"} 9950000",
        ]
    );
    assert!(text.contains("\nof_a_module_percentile{module=\"m\",percentile=\"P50\"} 7.5\n"), "{text}");
}

#[test]
fn open_metrics_has_the_same_series() {
    let metrics = sample();
    metrics.counter("downstream_connection_destroy", &[("listener", "a")]).unwrap().add(2);
    metrics.histogram("downstream_request_time", &[("listener", "a")]).unwrap().observe(1.0);
    metrics.counter("downstream_request_time_total", &[("listener", "a")]).unwrap().add(1000);
    let plain = shown(&metrics, PageFormat::Prometheus, &[99]);
    let open = shown(&metrics, PageFormat::OpenMetrics, &[99]);
    let samples =
        |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(samples(&open), samples(&plain));
    assert!(open.ends_with("\n# EOF\n") && !plain.contains("EOF"));
    let types: Vec<&str> = open.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert_eq!(
        types,
        [
            "downstream_request counter",
            "downstream_connection_destroy unknown",
            "downstream_request_time_total unknown",
            "sidegate_x counter",
            "upstream_host_weight gauge",
            "downstream_request_time gauge",
        ]
    );
}

#[test]
fn the_format_is_what_the_caller_takes() {
    for (accept, format) in [
        (None, PageFormat::Prometheus),
        (Some("*/*"), PageFormat::Prometheus),
        (Some("text/plain;version=0.0.4;q=0.3"), PageFormat::Prometheus),
        (Some("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3"), PageFormat::OpenMetrics),
        (Some("text/plain, Application/OpenMetrics-Text"), PageFormat::OpenMetrics),
        (Some("application/openmetrics-text; q=0"), PageFormat::Prometheus),
    ] {
        assert_eq!(PageFormat::negotiate(accept), format, "{accept:?}");
    }
}

#[test]
fn what_the_matcher_excludes_is_not_there() {
    let metrics = sample();
    let names = |matcher: StatsMatcher| {
        let series = collect(&metrics, &matcher);
        series.iter().map(|one| format!("{}{}", one.name, one.labels.len())).collect::<Vec<_>>()
    };
    let exclude = |labels: &[&str], keys: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        names(StatsMatcher::Exclude { labels: owned(labels), keys: owned(keys) })
    };
    let total = "downstream_request_total1";
    assert_eq!(exclude(&[], &[]), [total, total, "sidegate_x_total0", total, "upstream_host_weight2"]);
    assert_eq!(exclude(&["listener", "host"], &[]), [total, "sidegate_x_total0"], "the sum stays");
    assert_eq!(exclude(&["proxy"], &["x_total", "upstream_host_weight"]), [total, total]);
    assert_eq!(exclude(&[], &["request_total", "weight"]), ["sidegate_x_total0", "upstream_host_weight2"]);
    assert_eq!(names(StatsMatcher::RejectAll), Vec::<String>::new());
}

#[test]
fn a_page_in_the_making_shows_what_there_was_when_it_was_begun() {
    let at_once = MetricBounds { unread: std::time::Duration::ZERO, departed: 0, ..MetricBounds::default() };
    let metrics = Metrics::with_bounds(1, at_once);
    let stays = metrics.counter("stays", &[]).unwrap();
    let goes = metrics.counter("goes", &[]).unwrap();
    goes.add(5);
    let begun = all(&metrics);
    drop(goes);
    // Were its cell free, this one would have it.
    let comes = metrics.counter("comes", &[]).unwrap();
    comes.add(100);
    stays.add(7);
    assert_eq!(all(&metrics).iter().map(|one| one.name.to_string()).collect::<Vec<_>>(), ["stays", "comes"]);
    let options = PageOptions { process: ProcessFigures::Hidden, percentiles: Vec::new() };
    let text: String = page(begun, "1.2.3", &options, PageFormat::Prometheus).collect();
    assert!(text.ends_with("# TYPE stays counter\nstays 7\n# TYPE goes counter\ngoes 5\n"), "{text}");
    assert_eq!(metrics.cells(), 2, "it is free with the page");
}

#[test]
fn pieces_are_small_and_the_whole_is_the_same() {
    let metrics = Metrics::new(1);
    let host = |n: usize| metrics.histogram("upstream_request_duration_time", &[("host", &n.to_string())]).unwrap();
    let _hosts: Vec<_> = (0..500).map(host).collect();
    let options = PageOptions { process: ProcessFigures::Hidden, percentiles: Vec::new() };
    let pieces: Vec<String> = page(all(&metrics), "1.2.3", &options, PageFormat::OpenMetrics).collect();
    // A piece ends with the series that fills it.
    assert!(pieces.len() > 5 && pieces.iter().all(|piece| piece.len() < PIECE + 4096), "{}", pieces.len());
    let lines = pieces.concat();
    assert_eq!(lines.matches("duration_time_bucket{").count(), 500 * 15);
    assert_eq!((lines.matches("# TYPE").count(), lines.matches("# EOF\n").count()), (2, 1));
    let json: Vec<String> = stats_json(all(&metrics), None).collect();
    let parsed: Value = serde_json::from_str(&json.concat()).unwrap();
    assert_eq!(parsed["upstream"].as_object().unwrap().len(), 500);
}
