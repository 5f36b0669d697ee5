//! `dsl`.

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Origin, Proxy, Reply, TempDir, Wire, repository, sidegate};

use crate::support::route;

fn dsl(config: Value) -> Value {
    json!({"type": "dsl", "config": config})
}

fn failures(proxy: &Proxy, expression: &str) -> String {
    let page = proxy.admin_get("/metrics").text();
    let key = format!("sidegate_dsl_failures_total{{filter=\"dsl\",expression=\"{expression}\"}}");
    page.lines().find_map(|line| line.strip_prefix(&key)).unwrap_or_default().trim().to_owned()
}

#[test]
pub(crate) fn every_place_sees_what_is_there_by_then() {
    let origin = Origin::http(|_| Reply::ok("x").header("x-from", "origin"));
    let config = json!({
        "before_router_by_dsl": "conditional(request.headers[\"x-beta\"] | \"no\" == \"yes\", \
            ctx.rewrite_request_url(\"/beta\"), ctx.add_request_header(\"x-stage\", \"stable\"))",
        "after_router_by_dsl": "ctx.add_request_header(\"x-method\", request.method + \" \" + request.url_path)",
        "after_balancer_by_dsl": "ctx.add_request_header(\"x-host\", string(destination.ip) + \":\" + string(destination.port)) \
            && ctx.add_request_header(\"x-client\", string(source.ip))",
        "send_filter_by_dsl": "ctx.add_response_header(\"x-seen\", string(response.code) + \" \" + response.headers[\"x-from\"] \
            + \" \" + request.host) && ctx.del_response_header(\"x-from\")",
        "log_filter_by_dsl": "response.code == 200",
    });
    let beta = route("/beta", json!({"request_headers_to_add": [{"header": {"key": "x-route", "value": "beta"}}]}));
    let routes = json!([beta, route("/", json!({}))]);
    let proxy = Proxy::start(&ConfigBuilder::to_routes(origin.address(), routes).filter(dsl(config)));
    let answer = proxy.get_with("/a?b=1", "X-Beta: yes\r\n");
    assert_eq!((answer.header("x-seen"), answer.header("x-from")), (Some("200 origin test"), None));
    let head = origin.last().head;
    assert_eq!((head.target(), head.get("x-route"), head.get("x-stage")), ("/beta?b=1", Some("beta"), None));
    assert_eq!(head.get("x-method"), Some("GET /beta?b=1"));
    assert_eq!(head.get("x-host"), Some(origin.address().to_string().as_str()));
    assert_eq!(head.get("x-client"), Some("127.0.0.1"));
    assert_eq!(proxy.get("/a?b=1").status(), 200);
    let head = origin.last().head;
    assert_eq!((head.target(), head.get("x-route"), head.get("x-stage")), ("/a?b=1", None, Some("stable")));
}

#[test]
pub(crate) fn a_failing_expression_is_counted_and_the_request_goes_on() {
    let origin = Origin::echo();
    let config = json!({
        "before_router_by_dsl": "conditional(int(request.headers[\"x-count\"]) > 3, ctx.add_request_header(\"x-many\", \"1\"), true)",
        "send_filter_by_dsl": "ctx.add_response_header(\"content-length\", \"0\")",
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(dsl(config)));
    for (count, many) in [("9", Some("1")), ("2", None), ("many", None), ("9999999999999999999999", None)] {
        assert_eq!(proxy.get_with("/", &format!("X-Count: {count}\r\n")).status(), 200);
        assert_eq!(origin.last().head.get("x-many"), many, "{count}");
    }
    assert_eq!(proxy.get("/").status(), 200);
    assert_eq!(failures(&proxy, "before_router_by_dsl"), "3");
    assert_eq!(failures(&proxy, "send_filter_by_dsl"), "5");
}

#[test]
pub(crate) fn local_replies_pass_expressions_too() {
    let config = json!({"send_filter_by_dsl": "ctx.add_response_header(\"x-code\", string(response.code))"});
    let proxy = Proxy::start(&ConfigBuilder::to("127.0.0.1:1".parse().unwrap()).filter(dsl(config)));
    let answer = proxy.get("/");
    assert_eq!(answer.header("x-code").map(str::to_owned), Some(answer.status().to_string()));
}

#[test]
pub(crate) fn hostile_headers_cost_a_failure_and_no_more() {
    let origin = Origin::echo();
    let multiply = "request.headers[\"x-a\"].replace(\"a\", request.headers[\"x-a\"])";
    let config = json!({
        "before_router_by_dsl": format!("ctx.add_request_header(\"x-b\", {multiply})"),
        "after_router_by_dsl": "conditional(\"^(a+)+$\".matches(request.headers[\"x-a\"] + \"!\"), true, \
            ctx.add_request_header(\"x-c\", \"1\"))",
    });
    let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).filter(dsl(config)));
    assert_eq!(proxy.get_with("/", &format!("X-A: {}\r\n", "a".repeat(8000))).status(), 200);
    let head = origin.last().head;
    assert_eq!((head.get("x-b"), head.get("x-c")), (None, Some("1")));
    assert_eq!(
        (failures(&proxy, "before_router_by_dsl"), failures(&proxy, "after_router_by_dsl")),
        ("1".into(), "0".into())
    );
}

fn checked(text: &str) -> (Option<i32>, String) {
    let dir = TempDir::new();
    let file = dir.write("config.json", text);
    let outcome = sidegate(["check".as_ref(), "-c".as_ref(), file.as_os_str()]);
    (outcome.code, outcome.output())
}

#[test]
fn mistakes_in_expressions_have_places() {
    let filter = dsl(json!({"before_router_by_dsl": "request.hots == \"a\""}));
    let config = ConfigBuilder::to("127.0.0.1:9".parse().unwrap()).filter(filter).build(TempDir::new().path());
    let (code, said) = checked(&config.to_string());
    let wanted = "stream_filters[0].config.before_router_by_dsl: at character 8: there is no attribute \"request.hots\"; did you \
                  mean \"request.host\"?";
    assert!(code == Some(1) && said.contains(wanted), "{said}");
}

/// MOSN's example, and what its README shows of it.
#[test]
pub(crate) fn mosns_sample_runs_as_mosn_says() {
    let path = repository().join("../shared/mosn-configs/all/examples/codes/dsl-sample/config.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: the collection of MOSN configurations is not beside this checkout");
        return;
    };
    let (code, said) = checked(&text);
    let warning = "config.send_router_by_dsl: ignored: MOSN does not read it either; it is called `send_filter_by_dsl`";
    assert!(code == Some(0) && said.contains(warning), "{said}");
    let free = |text: &str, port: &str| {
        text.replace("0.0.0.0:2046", "127.0.0.1:0")
            .replace("0.0.0.0:2402", "127.0.0.1:0")
            .replace("\"0.0.0.0\"", "\"127.0.0.1\"")
            .replace("34901", "0")
            .replace("34902", "0")
            .replace("127.0.0.1:2402", port)
    };
    let run = |text: String| {
        let dir = TempDir::new();
        let file = dir.write("config.json", text);
        Proxy::run(dir, &file, &Default::default())
    };
    let second = run(free(&text, "127.0.0.1:9"));
    let first = run(free(&text, &second.listener("clientListener").to_string()));
    let get = |host: &str| {
        let mut client = Wire::connect(first.listener("serverListener"));
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).response()
    };
    let answer = get("dslhost");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "hello DSL!"));
    assert_eq!(get("localhost:2046").status(), 404);
}
