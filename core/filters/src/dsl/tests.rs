use proptest::prelude::*;
use serde_json::json;
use sidegate_api::{EndOfStream, RegexBudget, SeriesValue, StreamState};

use super::Dsl;
use super::compile::compile;
use super::kind::{Fail, Value, Work};
use crate::testing::{Bench, Outcome, errors};

fn stream() -> StreamState {
    let mut stream = StreamState::default();
    stream.request.set_target("/url?times=10&q=a%20b");
    stream.request.scheme = "http";
    stream.request.authority.push_str("test.local");
    for (name, value) in [("times", "10"), ("app", "test_app"), ("big", "99999999999999999999"), ("user-agent", "curl")]
    {
        stream.request.headers.add(name.as_bytes(), value.as_bytes()).unwrap();
    }
    stream.request.headers.add(b"bytes", b"a\xff").unwrap();
    stream.response.status = 200;
    stream.response.headers.add(b"dsl0", b"dsl0").unwrap();
    stream.info.cluster = Some("outbound|80||shop.default.svc".into());
    stream
}

/// The value of `text` on [`stream`], or why it has none.
fn value(text: &str) -> Result<Value<'static>, Fail> {
    let node = compile(text, &RegexBudget::default()).unwrap_or_else(|problem| panic!("{text}: {problem}"));
    node.value(&stream(), &Work::new()).map(Value::into_owned)
}

fn problem(text: &str) -> String {
    match compile(text, &RegexBudget::default()) {
        Ok(node) => panic!("{text}: {node:?}"),
        Err(problem) => problem.to_string(),
    }
}

#[track_caller]
fn holds(text: &str) {
    assert_eq!(value(text), Ok(Value::Bool(true)), "{text}");
}

/// The cases of MOSN's own tests (`pkg/cel/runtime_test.go`), its attributes
/// replaced by ones that are here.
#[test]
fn mosns_cases_hold() {
    for text in [
        "true",
        "!false",
        "response.code == 200",
        "response.code == int(\"200\")",
        "!(response.code == 400)",
        "response.code != 400",
        "!(response.code > 200)",
        "response.code >= 200 && response.code <= 200",
        "response.code != 200 || request.headers[\"app\"] == \"test_app\"",
        "!(response.code == 200 && request.headers[\"app\"] != \"test_app\")",
        "int(request.headers[\"times\"]) > 9 && request.headers[\"app\"] == \"test_app\"",
        "request.host + request.path == \"test.local/url\"",
        "\"hello\".reverse() == \"olleh\"",
        "(request.headers[\"t\"] | response.headers[\"t\"] | \"unknown\") == \"unknown\"",
        "request.headers[\"svc\"] | response.headers[\"dsl0\"] | \"unknown\" == \"dsl0\"",
        "match(request.host, \"*.local\") && match(request.host, \"test.*\") && match(request.host, \"test.local\")",
        "!match(request.host, \"test*local\")",
        "request.host.startsWith(\"test.\") && request.host.endsWith(\".local\")",
        "!request.host.startsWith(\"test.xxx\") && !request.host.endsWith(\"xxx.local\")",
        "\"^test\".matches(request.host) && \"local$\".matches(request.host) && \"test|local\".matches(request.host)",
        "conditional((request.path | \"/\") == \"/url\", \"200\", \"404\") == \"200\"",
        "conditionalString((request.path | \"/\") == \"/url2\", \"200\", \"404\") == \"404\"",
        "size(request.path) == 4",
        "toLower(\"User-Agent\") == \"user-agent\" && toUpper(\"User-Agent\") == \"USER-AGENT\"",
        "source.ip != ip(\"1.1.1.1\") && ip(\"1.1.1.1\") == ip(\"::ffff:1.1.1.1\")",
        "timestamp(\"2015-01-02T15:04:05Z\") < request.time",
        "uri(\"https://test.local\") == uri(\"https://test.local\") && uri(\"http://a\") != uri(\"http://b\")",
        "email(\"test@test.local\") == email(\"test@test.local\") && email(\"a@b\") != email(\"a@c\")",
        "dnsName(request.host) == dnsName(\"test.local\") && dnsName(request.host) != dnsName(\"test2.local\")",
        "duration(\"1s\") == \"1000ms\" && \"1s\" == duration(\"1000ms\") && \"60s\" == \"1m\"",
        "int(response.duration | \"0\") / int(\"1ms\") == 0",
        "bool(\"true\") && bool(\"T\") && bool(\"TRUE\") && bool(\"t\") && !bool(\"F\") && !bool(\"FALSE\") && !bool(\"f\")",
        "string(true) == \"true\" && string(false) == \"false\" && string(10) == \"10\"",
        "string(10.0) == \"10\" && string(10.1) == \"10.1\"",
        "int(\"10\") == 10 && double(\"10\") == 10.0 && double(\"10.1\") == 10.1",
        "string(ip(\"1.1.1.1\")) == \"1.1.1.1\" && string(uri(\"http://127.0.0.1\")) == \"http://127.0.0.1\"",
        "string(source.ip) == \"<nil>\"",
    ] {
        holds(text);
    }
    for (text, fail) in [
        ("request.headers[\"t\"] | response.headers[\"t\"]", Fail::NoSuchKey),
        ("bool(\"x\")", Fail::Conversion),
        ("int(\"10.0\")", Fail::Conversion),
    ] {
        assert_eq!(value(text), Err(fail), "{text}");
    }
    for text in ["response.code == \"200\"", "int(true)", "double(true)", "unknown_function(string(0))"] {
        assert!(problem(text).starts_with("at character "), "{text}");
    }
}

#[test]
fn what_a_stream_has_can_be_asked() {
    for text in [
        "request.url_path == \"/url?times=10&q=a%20b\"",
        "request.query_params[\"q\"] == \"a b\" && \"times\" in request.query_params",
        "request.method == \"GET\" && request.scheme == \"http\" && context.protocol == \"http\"",
        "request.headers[\"App\"] == \"test_app\" && request.headers.app == \"test_app\"",
        "request.headers[\"host\"] == request.host && request.useragent == \"curl\"",
        "has(request.headers.app) && !has(request.headers.nope) && has(request.path) && !has(request.referer)",
        "request.referer == \"\" && destination.port == 0 && (request.referer | \"none\") == \"none\"",
        "request.headers.nope | \"none\" == \"none\"",
        "destination.service.name == \"shop\" && destination.service.namespace == \"default\"",
        "request.total_size > request.size && response.total_size == 8",
        "request.headers[\"bytes\"] == \"a\u{fffd}\"",
        "(emptyStringMap() | request.headers)[\"app\"] | \"x\" == \"x\"",
    ] {
        holds(text);
    }
}

#[test]
fn functions_and_operators_do_what_cel_says() {
    for text in [
        "7 / 2 == 3 && 7 % 2 == 1 && -7 / 2 == -3 && 1 + 2 * 3 == 7 && 2.5 * 2.0 == 5.0",
        "\"a\" < \"b\" && !(\"b\" <= \"a\") && \"1s\" < \"2s\" && \"9s\" < \"10s\"",
        "timestamp(\"2024-01-01T00:00:00Z\") + duration(\"36h\") == timestamp(\"2024-01-02T12:00:00Z\")",
        "timestamp(\"2024-01-02T00:00:00Z\") - timestamp(\"2024-01-01T00:00:00Z\") == \"24h\"",
        "timestamp(\"2024-02-29T12:30:00Z\").getDayOfYear() == 59 && timestamp(\"2024-02-29T12:30:00Z\").getHours() == 12",
        "string(timestamp(\"2024-02-29T12:30:00Z\")) == \"2024-02-29T12:30:00Z\" && string(duration(\"1500ms\")) == \"1.5s\"",
        "\"héllo\".substring(1, 3) == \"él\" && \"héllo\".charAt(1) == \"é\" && \"héllo\".charAt(5) == \"\"",
        "\"hello\".indexOf(\"l\") == 2 && \"hello\".lastIndexOf(\"l\") == 3 && \"hello\".indexOf(\"z\") == -1",
        "\"a,b,,c\".split(\",\")[1] == \"b\" && size(\"a,b,,c\".split(\",\")) == 4 && \"c\" in \"a,b\".split(\",\") == false",
        "\"aXbX\".replace(\"X\", \"-\") == \"a-b-\" && \"aXbX\".replace(\"X\", \"-\", 1) == \"a-bX\" && \"ab\".split(\"\")[1] == \"b\"",
        "\" a \".trim() == \"a\" && \"contain\".contains(\"ta\") && int(3.9) == 3 && int(\"1s\") == 1000000000",
        "request.path == \"/url\" ? true : false",
        "pick(request.referer, request.headers[\"nope\"], \"x\") == \"x\" && request.referer | (request.headers.nope | \"y\") == \"y\"",
        // Whatever stands behind one that is always there is not looked at.
        "toLower(\"A\") | \"b\" == \"a\"",
        // One side that decides makes up for a failure of the other.
        "request.headers[\"t\"] == \"x\" || true",
        "!(request.headers[\"t\"] == \"x\" && false)",
    ] {
        holds(text);
    }
    for (text, fail) in [
        ("1 / 0 == 0", Fail::Arithmetic),
        ("1 % 0 == 0", Fail::Arithmetic),
        ("9223372036854775807 + 1 == 0", Fail::Arithmetic),
        ("-9223372036854775807 - 2 == 0", Fail::Arithmetic),
        ("int(1e300) == 0", Fail::Arithmetic),
        ("int(0.0 / 0.0) == 0", Fail::Arithmetic),
        ("int(request.headers[\"big\"]) == 0", Fail::Conversion),
        ("timestamp(request.host) == request.time", Fail::Conversion),
        ("\"abc\".substring(2, 1) == \"\"", Fail::Index),
        ("\"abc\".charAt(-1) == \"\"", Fail::Index),
        ("\"abc\".split(\"b\")[2] == \"\"", Fail::Index),
        ("request.headers[\"t\"] == \"x\" || false", Fail::NoSuchKey),
        ("dnsName(\"a b\") == dnsName(\"a\")", Fail::Conversion),
    ] {
        assert_eq!(value(text), Err(fail), "{text}");
    }
}

#[test]
fn problems_say_where_and_what() {
    let deep = format!("{}1", "1 + ".repeat(160));
    for (text, said) in [
        (
            "request.hots == \"a\"",
            "at character 8: there is no attribute \"request.hots\"; did you mean \"request.host\"?",
        ),
        (
            "source.labels[\"a\"] == \"\"",
            "at character 7: there is no attribute \"source.labels\"; known are source.ip",
        ),
        (
            "\n  reqest == 1",
            "at character 3 of line 2: there is no attribute \"reqest\"; known are connection.dns_san_peer_certificate, ",
        ),
        ("response.code == \"200\"", "at character 15: expected two of one kind, found int and string"),
        ("request.path && true", "at character 8: expected a bool, found string"),
        ("tolowr(\"A\") == \"a\"", "at character 7: there is no function \"tolowr\"; did you mean \"toLower\"?"),
        ("size(1) == 1", "at character 5: size takes (string) or (list), found (int)"),
        ("ctx", "at character 1: nothing is called on ctx here"),
        ("add_request_header(\"a\", \"b\")", "at character 19: expected ctx.add_request_header(…)"),
        (
            "ctx.add_request_header(\"a\")",
            "at character 23: add_request_header takes 2 of kind string, found 1 arguments",
        ),
        ("ctx.add_request_header(\"a\", 1)", "at character 29: add_request_header takes a string, found int"),
        (
            "ctx.del_request_header(\"a\") == true",
            "at character 23: an action may stand alone, in conditional, &&, || and !, and nowhere else",
        ),
        ("request.headers == response.headers", "at character 17: values of kind map cannot be compared"),
        ("ip(\"::\") < ip(\"::\")", "at character 10: values of kind IP address have no order"),
        (
            "request.path.size == 1",
            "at character 13: \"size\" is asked of a value of kind string, which has no such parts",
        ),
        ("[1, 2][0] == 1", "at character 1: not available: lists and objects"),
        ("\"a\".split(\",\").all(x, x == \"a\")", "not available: loops in expressions"),
        ("1u == 1u", "at character 1: not available: unsigned numbers, bytes and null"),
        ("request.path.matches(\"^/a\")", "at character 8: the pattern comes first and is a string in quotes"),
        ("\"(\".matches(request.path)", "at character 1: expected a regular expression: unclosed group"),
        (
            "\"(\\\\w{100}){100}\".matches(request.path)",
            "at character 1: expected a regular expression that takes at most",
        ),
        ("request.path + 1 == \"\"", "at character 14: + does not take string and int"),
        ("(has(request.path) | true) == true", "has() is always there"),
        (
            "request.path[0] == \"/\"",
            "at character 13: [] takes a map and a string, or a list and an int, found string and int",
        ),
        (&*deep, "expected at most 150 operators in each other"),
    ] {
        let found = problem(text);
        assert!(found.contains(said), "{text}: {found}");
    }
}

#[test]
fn hostile_values_do_not_make_an_expression_explode() {
    let big = "x".repeat(4000);
    for text in [
        // Each multiplies what it got by thousands.
        "request.headers[\"big\"].replace(\"x\", request.headers[\"big\"]) == \"\"",
        "request.headers[\"big\"].replace(\"\", request.headers[\"big\"]).size() == 1",
        "size(request.headers[\"big\"].split(\"\")) == 1",
    ] {
        let mut stream = stream();
        stream.request.headers.set(b"big", big.as_bytes()).unwrap();
        let node = compile(text, &RegexBudget::default()).unwrap();
        assert_eq!(node.value(&stream, &Work::new()), Err(Fail::Work), "{text}");
    }
    // A pattern that backtracking would take for ever for.
    let mut stream = stream();
    stream.request.headers.set(b"big", "a".repeat(60_000).as_bytes()).unwrap();
    let node = compile("\"^(a+)+$\".matches(request.headers[\"big\"] + \"!\")", &RegexBudget::default()).unwrap();
    assert_eq!(node.value(&stream, &Work::new()), Ok(Value::Bool(false)));
    // Long sums are made of long texts again and again.
    let sum = format!("size({}\"\") == 1", "request.headers[\"big\"] + ".repeat(100));
    let node = compile(&sum, &RegexBudget::default()).unwrap();
    assert_eq!(node.value(&stream, &Work::new()), Err(Fail::Work));
}

#[test]
fn long_chains_do_not_take_the_stack() {
    for operator in [" + ", " | ", " == ", " - "] {
        let text = format!("1{}", format!("{operator}1").repeat(4000 / (operator.len() + 1)));
        assert!(problem(&text).contains("expected at most 150 operators in each other"), "{operator}");
    }
    for (open, close) in [("(", ")"), ("size(", ")"), ("request.headers[", "]"), ("!(", ")"), ("true ? 1 : (", ")")] {
        let nested = |levels| format!("{}1{}", open.repeat(levels), close.repeat(levels));
        assert!(problem(&nested(200)).contains("expected at most 48 levels"), "{open}");
        // Whatever else is wrong with it, that is not.
        if let Err(problem) = compile(&nested(12), &RegexBudget::default()) {
            assert!(!problem.to_string().contains("levels"), "{open}: {problem}");
        }
    }
    for chain in [format!("a{}", ".b".repeat(2000)), format!("request.headers{}", ".b".repeat(2000))] {
        assert!(!problem(&chain).is_empty());
    }
    for operator in [" && ", " || "] {
        let text = format!("true{}", format!("{operator}true").repeat(400));
        holds(&text);
    }
}

fn bench(key: &str, expression: &str) -> Bench {
    Bench::new::<Dsl>(json!({key: expression}))
}

#[test]
fn expressions_edit_the_request() {
    let text = "ctx.rewrite_request_url(\"/dsl\") && ctx.add_request_header(\"Dsl\", request.host) \
                && ctx.del_request_header(\"x-user\")";
    let mut bench = bench("before_router_by_dsl", text).header("x-user", "tom");
    bench.stream.request.set_target("/a?b=c");
    assert_eq!(bench.request(), Outcome::Continue);
    let request = &bench.stream.request;
    assert_eq!((request.target(), request.headers.get(b"dsl")), ("/dsl?b=c", Some(&b"example.test"[..])));
    assert!(!request.headers.contains(b"x-user"));
}

#[test]
fn a_url_with_a_query_replaces_both() {
    let mut bench = bench("after_router_by_dsl", "ctx.rewrite_request_url(\"/x?y=1\")");
    bench.stream.request.set_target("/a?b=c");
    assert_eq!(bench.request(), Outcome::Continue);
    assert_eq!(bench.stream.request.target(), "/x?y=1");
}

#[test]
fn mosns_test_runs_on_responses() {
    let text = "conditional(response.headers[\"dsl0\"] == \"dsl0\", ctx.add_response_header(\"dsl1\", \"dsl1\"), \
                ctx.add_response_header(\"dsl2\", \"dsl2\"))";
    for (value, expected) in [("dsl0", [Some("dsl1"), None]), ("other", [None, Some("dsl2")])] {
        let mut bench = bench("send_filter_by_dsl", text).response(200, &[("dsl0", value)]);
        assert_eq!(bench.response_head(EndOfStream::End), Outcome::Continue);
        assert_eq!([bench.response_header("dsl1"), bench.response_header("dsl2")], expected);
    }
}

/// How often the only expression failed.
fn failures(bench: &Bench) -> u64 {
    match bench.metrics().iter().find(|one| one.name.as_ref() == "sidegate_dsl_failures_total").map(|one| &one.value) {
        Some(SeriesValue::Counter(count)) => *count,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failure_stops_the_expression_and_not_the_stream() {
    let text = "ctx.add_request_header(\"a\", \"1\") && request.headers[\"none\"] == \"\" && ctx.add_request_header(\"b\", \"1\")";
    let mut bench = bench("before_router_by_dsl", text);
    assert_eq!(bench.request(), Outcome::Continue);
    assert_eq!(failures(&bench), 1);
    assert!(bench.stream.request.headers.contains(b"a"), "what was done before is done");
    // As in CEL, the right side of && is tried, as it might decide.
    assert!(bench.stream.request.headers.contains(b"b"));
}

#[test]
fn edits_that_are_refused_are_false_and_counted() {
    for text in [
        "ctx.rewrite_request_url(\"0\")",
        "ctx.rewrite_request_url(\"/a b\")",
        "ctx.add_request_header(\"a b\", \"x\")",
        "ctx.add_request_header(\"a\", \"x\\ny\")",
        "ctx.add_request_header(\"content-length\", \"3\")",
        "ctx.del_request_header(\"host\")",
    ] {
        let mut bench =
            bench("before_router_by_dsl", &format!("conditional({text}, true, ctx.add_request_header(\"no\", \"1\"))"));
        assert_eq!(bench.request(), Outcome::Continue);
        assert_eq!((failures(&bench), bench.stream.request.headers.contains(b"no")), (1, true), "{text}");
        assert_eq!(bench.stream.request.target(), "/");
    }
    // There is no response yet: that is false, and nobody's mistake.
    let mut bench =
        bench("before_router_by_dsl", "ctx.add_response_header(\"a\", \"b\") || ctx.add_request_header(\"no\", \"1\")");
    assert_eq!(bench.request(), Outcome::Continue);
    assert_eq!((failures(&bench), bench.stream.request.headers.contains(b"no")), (0, true));
}

#[test]
fn hooks_that_have_no_expression_are_not_asked_for() {
    let wants = |config| Bench::new::<Dsl>(config).factory.interests();
    let none = wants(json!({"before_router_by_dsl": "", "debug": true, "send_router_by_dsl": "not read"}));
    assert!(!none.phases.wanted() && !none.response_headers.wanted() && !none.complete.wanted());
    let some = wants(json!({"after_balancer_by_dsl": "true", "log_filter_by_dsl": "true"}));
    assert!(some.phases.wanted() && !some.response_headers.wanted() && some.complete.wanted());
}

#[test]
fn problems_stand_at_their_key() {
    assert_eq!(
        errors::<Dsl>(
            json!({"before_router_by_dsl": "true &&", "send_filter_by_dsl": "nope()", "unknown_by_dsl": "true"})
        ),
        [
            "config.unknown_by_dsl: unknown key; known here are before_router_by_dsl, after_router_by_dsl, \
             after_balancer_by_dsl, send_filter_by_dsl, log_filter_by_dsl, send_router_by_dsl, debug",
            "config.before_router_by_dsl: at character 8: mismatched input end",
            "config.send_filter_by_dsl: at character 5: there is no function \"nope\"",
        ]
    );
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "2.5",
        "\"a\"",
        "\"1s\"",
        "true",
        "request.path",
        "request.headers",
        "request.headers[\"times\"]",
        "request.time",
        "response.code",
        "response.duration",
        "source.ip",
        "request.query_params.q",
        "request.nope",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 60, 4, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            (two.clone(), prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", "&&", "||", "|", "in"]))
                .prop_map(|((a, b), operator)| format!("({a} {operator} {b})")),
            (
                inner.clone(),
                prop::sample::select(vec![
                    "size",
                    "string",
                    "int",
                    "double",
                    "ip",
                    "uri",
                    "email",
                    "reverse",
                    "toUpper",
                    "duration",
                    "timestamp",
                    "dnsName",
                    "trim"
                ])
            )
                .prop_map(|(a, name)| format!("{name}({a})")),
            (two.clone(), prop::sample::select(vec!["split", "indexOf", "contains", "match", "charAt"]))
                .prop_map(|((a, b), name)| format!("{a}.{name}({b})")),
            (two.clone(), inner.clone()).prop_map(|((a, b), c)| format!("{a}.replace({b}, {c})")),
            (two.clone(), inner.clone()).prop_map(|((a, b), c)| format!("conditional({a} == {b}, {c}, {c})")),
            two.prop_map(|(a, b)| format!("{a}[{b}]")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// What compiles has values of the kinds that were found, whatever they
    /// are made of.
    #[test]
    fn what_compiles_runs_and_kinds_are_right(text in expression()) {
        if let Ok(node) = compile(&text, &RegexBudget::default()) {
            let stream = stream();
            let result = node.value(&stream, &Work::new());
            prop_assert!(result != Err(Fail::Kind), "{text}");
        }
    }
}
