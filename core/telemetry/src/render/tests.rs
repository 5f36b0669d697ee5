use serde_json::json;
use sidegate_api::Metrics;

use super::*;

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
    assert_eq!(prometheus(&sample().read()), expected);
}

#[test]
fn histograms_are_cumulative_and_summed() {
    let metrics = Metrics::new(1);
    for (listener, values) in [("a", [0.2, 3.0]), ("b", [0.2, 20_000.0])] {
        let histogram = metrics.histogram("downstream_request_time", &[("listener", listener)]).unwrap();
        values.into_iter().for_each(|value| histogram.observe(value));
    }
    let text = prometheus(&metrics.read());
    assert_eq!(text.matches("# TYPE").count(), 1);
    assert!(text.contains("# TYPE downstream_request_time histogram\n"));
    let global: Vec<&str> = text.lines().filter(|line| line.contains("proxy=\"global\"")).collect();
    let bounds = ["0.25", "0.5", "1", "2.5", "5", "10", "25", "50", "100", "250", "500", "1000", "5000", "10000"];
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
    assert_eq!(
        stats_json(&sample().read()),
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
    let flat = stats_flat(&sample().read());
    assert!(flat.contains(&("upstream.cluster.c.host.1.2.3.4:5.host_weight".to_owned(), "-2".to_owned())));
}

#[test]
fn process_figures_are_plausible() {
    let text = process_text("1.2.3");
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
