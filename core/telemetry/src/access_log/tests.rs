use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use sidegate_api::{Address, ConnectionInfo, Metrics, PeerText, Protocol, ResetBy, ResponseFlags};

use super::fact::Fact;
use super::needs::LogNeeds;
use super::of_mosn;
use super::*;
use crate::test_dir::TestDir;
use crate::{LogSinks, LogTarget};

fn stream() -> StreamState {
    let mut stream = StreamState::default();
    stream.request.scheme = "http";
    stream.request.authority = "example.org:80".to_owned();
    stream.request.set_target("/a/b?c=d");
    stream.request.headers.add(b"user-agent", b"x \"y\" \xff").unwrap();
    stream.response.status = 504;
    stream.response.headers.add(b"server", b"origin").unwrap();
    stream.named.set(b"tenant", b"blue").unwrap();
    stream.info.connection = Some(Rc::new(ConnectionInfo {
        id: 7,
        listener: "in".into(),
        remote: PeerText::new(Address::parse("10.0.0.1:5000").unwrap()),
        local: PeerText::new(Address::parse("10.0.0.2:80").unwrap()),
        protocol: Protocol::Http11,
        tls: None,
    }));
    stream.info.request_id = "id 1\n".to_owned();
    stream.info.cluster = Some("c1".into());
    stream.info.upstream_host = Some(PeerText::new(Address::parse("10.0.0.3:8080").unwrap()).into());
    stream.info.upstream_local = Some(PeerText::new(Address::parse("10.0.0.2:40000").unwrap()).into());
    stream.info.original_target = "/before?x=y".to_owned();
    stream.info.head_bytes = 300;
    stream.info.received_us = Some(500);
    stream.info.attempts = 2;
    stream.info.upstream_connection = Some(9);
    stream.info.upstream_hostname = Some("backend.example".into());
    stream.info.forwarded_us = Some(600);
    stream.request.headers.add(b"cookie", b"a=1; session=\"x y\"; b").unwrap();
    stream.info.details = "upstream_response_timeout";
    stream
}

fn completion() -> Completion {
    let mut flags = ResponseFlags::default();
    flags.insert(ResponseFlags::UPSTREAM_TIMEOUT);
    flags.insert(ResponseFlags::FILTER_FAULT);
    Completion {
        status: 504,
        flags,
        bytes_received: 11,
        bytes_sent: 22,
        duration: Duration::from_micros(1_002_003),
        upstream_duration: Some(Duration::from_micros(999)),
        process_duration: Duration::from_micros(1604),
        reset_by: ResetBy::Proxy,
    }
}

fn line(format: &str, stream: &StreamState, completion: &Completion) -> String {
    let mut out = Vec::new();
    AccessLogFormat::parse(format).unwrap().write(&mut out, stream, completion);
    String::from_utf8(out).unwrap()
}

fn json_line(format: Value, stream: &StreamState, completion: &Completion) -> Value {
    let mut out = Vec::new();
    AccessLogFormat::json(format.as_object().unwrap()).unwrap().write(&mut out, stream, completion);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn the_default_shows_the_stream_on_one_line() {
    let format = AccessLogFormat::default();
    assert_eq!(AccessLogFormat::parse(AccessLogFormat::DEFAULT), Ok(format));
    let text = line(AccessLogFormat::DEFAULT, &stream(), &completion());
    let (time, rest) = text.split_once(' ').unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    assert_eq!(
        rest,
        "10.0.0.1:5000 \"GET /a/b?c=d HTTP/1.1\" 504 flags=UT,FF details=upstream_response_timeout \
         host=example.org:80 bytes_received=11 bytes_sent=22 duration=1002.003 upstream_duration=0.999 \
         upstream=10.0.0.3:8080 cluster=c1 request_id=id\\x201\\x0a"
    );
}

#[test]
fn what_is_absent_is_a_dash_or_null() {
    let present = ["start_time", "duration", "request_finished_duration", "process_time_duration", "process_duration"];
    let counted = [
        "bytes_received",
        "bytes_sent",
        "protocol",
        "downstream_protocol",
        "method",
        "request_method",
        "x-mosn-method",
    ];
    for (name, _) in Fact::NAMES {
        let text = line(&format!("%{name}%"), &StreamState::default(), &Completion::default());
        let is_there = present.contains(&name) || counted.contains(&name) || name == "Http1_request_method";
        assert_eq!(text != "-", is_there, "{name} is {text}");
        let json = json_line(json!({ "v": format!("%{name}%") }), &StreamState::default(), &Completion::default());
        // Strings that are there but hold nothing stay strings.
        assert!(json["v"].is_null() || is_there || json["v"] == "", "{name} is {json}");
    }
}

#[test]
fn facts_are_what_the_stream_knows() {
    for (name, text, value) in [
        ("duration", "1002.003", json!(1002.003)),
        ("request_finished_duration", "1002.003", json!(1002.003)),
        ("request_received_duration", "0.500", json!(0.5)),
        ("request_forwarded_duration", "0.600", json!(0.6)),
        ("response_received_duration", "0.999", json!(0.999)),
        ("process_time_duration", "1.604", json!(1.604)),
        ("bytes_sent", "22", json!(22)),
        ("protocol", "HTTP/1.1", json!("HTTP/1.1")),
        ("response_code", "504", json!(504)),
        ("response_flags", "UT,FF", json!("UT,FF")),
        ("reset_by", "proxy", json!("proxy")),
        ("original_path", "/before", json!("/before")),
        ("path", "/a/b", json!("/a/b")),
        ("listener_port", "80", json!(80)),
        ("upstream_attempts", "2", json!(2)),
        ("upstream_local_address", "10.0.0.2:40000", json!("10.0.0.2:40000")),
        ("upstream_transport_failure_reason", "upstream_response_timeout", json!("upstream_response_timeout")),
        ("connection_id", "7", json!(7)),
        ("upstream_connection_id", "9", json!(9)),
        ("upstream_protocol", "HTTP/1.1", json!("HTTP/1.1")),
        ("trace_id", "id\\x201\\x0a", json!("id 1\n")),
        ("upstream_cluster", "c1", json!("c1")),
        ("request_id", "id\\x201\\x0a", json!("id 1\n")),
        ("request_header_user_agent", "x \\x22y\\x22 \\xff", json!("x \"y\" \u{fffd}")),
        ("request_arg_c", "d", json!("d")),
        ("request_arg_d", "-", json!(null)),
        ("Http1_request_arg_c", "d", json!("d")),
        ("Http2_request_arg_c", "d", json!("d")),
        ("Http2_request_path", "/a/b", json!("/a/b")),
        ("Http2_request_header_user-agent", "x \\x22y\\x22 \\xff", json!("x \"y\" \u{fffd}")),
        ("Http2_cookie_a", "1", json!("1")),
        ("cookie_session", "\\x22x y\\x22", json!("\"x y\"")),
        ("Http1_cookie_a", "1", json!("1")),
        ("cookie_b", "-", json!(null)),
    ] {
        assert_eq!(line(&format!("%{name}%"), &stream(), &completion()), text, "{name}");
        let json = json_line(json!({ "v": format!("%{name}%") }), &stream(), &completion());
        assert_eq!(json["v"], value, "{name}");
    }
    let fine = Completion { flags: ResponseFlags::default(), ..completion() };
    assert_eq!(line("%upstream_transport_failure_reason%", &stream(), &fine), "-");
}

/// What MOSN's own default shows, in its own way.
#[test]
fn lines_in_mosns_style_are_as_mosn_writes_them() {
    let format = AccessLogFormat::of_style(LogStyle::Mosn);
    assert_ne!(format, AccessLogFormat::default());
    let shown = |format: &AccessLogFormat, stream: &StreamState, completion: &Completion| {
        let mut out = Vec::new();
        format.write(&mut out, stream, completion);
        String::from_utf8(out).unwrap()
    };
    let text = shown(&format, &stream(), &completion());
    let (time, rest) = text.split_at(23);
    let digits = time.replace(|c: char| c.is_ascii_digit(), "0");
    assert_eq!(digits, "0000/00/00 00:00:00.000", "{time}");
    assert_eq!(
        rest,
        " id\\x201\\x0a  7 9 600µs 999µs 22 11 Http1 504 1.002003s true 504 10.0.0.3:8080 10.0.0.2:80 10.0.0.1:5000 \
         backend.example"
    );
    let text = shown(&format, &StreamState::default(), &Completion::default());
    assert_eq!(&text[23..], " -  - - 0s 0s 0 0 Http1 0 0s false 0 - - - -");
    for (variable, expected) in [
        ("%upstream_transport_failure_reason%", "0x4"),
        ("%process_time_duration%", "1.604ms"),
        ("%path% %upstream_cluster%", "/a/b c1"),
    ] {
        let format = AccessLogFormat::parse_as(variable, LogStyle::Mosn).unwrap();
        assert_eq!(shown(&format, &stream(), &completion()), expected);
    }
    let mut over_2 = stream();
    over_2.info.protocol = Protocol::Http2;
    for (name, ours, mosns) in [("protocol", "HTTP/2", "Http2"), ("upstream_protocol", "HTTP/1.1", "Http1")] {
        let name = format!("%{name}%");
        assert_eq!(line(&name, &over_2, &completion()), ours);
        let format = AccessLogFormat::parse_as(&name, LogStyle::Mosn).unwrap();
        assert_eq!(shown(&format, &over_2, &completion()), mosns);
    }
    over_2.info.upstream_protocol = Protocol::Http2;
    assert_eq!(line("%upstream_protocol%", &over_2, &completion()), "HTTP/2");
    // A filter's fault is no flag of MOSN's.
    let fine = Completion { flags: ResponseFlags::FILTER_FAULT, ..completion() };
    let format = AccessLogFormat::parse_as("%response_flags% %upstream_transport_failure_reason%", LogStyle::Mosn);
    assert_eq!(shown(&format.unwrap(), &stream(), &fine), "false 0x0");
    let needs = AccessLogFormat::of_style(LogStyle::Mosn).needs();
    assert_eq!(needs, LogNeeds { upstream_hostname: true, ..LogNeeds::default() });
}

#[test]
fn json_lines_keep_order_types_and_constants() {
    let format = json!({
        "service": "shop \"1\"\n%%", "v": 1, "on": true, "no": null,
        "request": {"line": "%method% %target% %request_header_nobody%", "tags": ["%response_code%", "x%bytes_sent%"]},
    });
    let mut out = Vec::new();
    AccessLogFormat::json(format.as_object().unwrap()).unwrap().write(&mut out, &stream(), &completion());
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"{"service":"shop \"1\"\n%","v":1,"on":true,"no":null,"request":{"line":"GET /a/b?c=d -","tags":[504,"x22"]}}"#
    );
}

#[test]
fn only_what_a_format_shows_is_measured() {
    let needs = |format: &str| AccessLogFormat::parse(format).unwrap().needs();
    assert_eq!(AccessLogFormat::default().needs(), LogNeeds::default());
    let received = LogNeeds { received: true, ..LogNeeds::default() };
    assert_eq!(needs("%path% %request_received_duration%"), received);
    let all: LogNeeds = [needs("%upstream_local_address%"), received, needs("%original_path%")].into_iter().collect();
    assert_eq!(all, LogNeeds { received: true, upstream_local: true, original_target: true, ..LogNeeds::default() });
    let json = json!({"a": ["x", {"b": "%upstream_local_address%"}], "c": "%path% %x-mosn-path-original%"});
    let json = AccessLogFormat::json(json.as_object().unwrap()).unwrap().needs();
    assert_eq!(json, LogNeeds { upstream_local: true, original_target: true, ..LogNeeds::default() });
}

#[test]
fn wrong_json_formats_say_where() {
    for (format, message) in [
        (
            json!({"a": {"b": ["x", "%pathh%"]}}),
            "in `a.b.1`: unknown variable `%pathh%` at byte 0; did you mean `%path%`?",
        ),
        (json!({"a": "5 %path"}), "in `a`: `%` at byte 2 has no partner"),
        (json!({}), "the format is empty"),
    ] {
        let error = AccessLogFormat::json(format.as_object().unwrap()).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn headers_and_variables_are_named_and_escaped() {
    for (format, expected) in [
        ("%request_header_user_agent%", "x \\x22y\\x22 \\xff"),
        ("%request_header_User-Agent%", "x \\x22y\\x22 \\xff"),
        ("%response_header_server%|%response_header_x%", "origin|-"),
        ("%variable_tenant%/%variable_nobody%", "blue/-"),
        ("100%% %reset_by%%process_duration%", "100% proxy1.604"),
        ("100% %path% 5%, 1% of 10%", "100% /a/b 5%, 1% of 10%"),
        ("%path% %query%\n", "/a/b c=d"),
    ] {
        assert_eq!(line(format, &stream(), &completion()), expected, "{format}");
    }
}

#[test]
fn wrong_formats_say_where_and_what_was_meant() {
    for (format, message) in [
        ("a %starttime%", "unknown variable `%starttime%` at byte 2; did you mean `%start_time%`?"),
        ("%zzzzzz%", "unknown variable `%zzzzzz%` at byte 0"),
        (
            "%request_haeder_a%",
            "unknown variable `%request_haeder_a%` at byte 0; did you mean `%request_header_NAME%`?",
        ),
        ("%cokie_a%", "unknown variable `%cokie_a%` at byte 0"),
        ("%request_arg_%", "unknown variable `%request_arg_%` at byte 0; did you mean `%request_arg%`?"),
        ("%request_header_%", "unknown variable `%request_header_%` at byte 0"),
        ("%variable_%", "unknown variable `%variable_%` at byte 0"),
        ("x%path% %duration ms", "`%` at byte 8 has no partner; write `%name%`, or `%%` for a percent sign"),
        ("a\nb", "control character at byte 1; a line is one line"),
        ("", "the format is empty"),
    ] {
        assert!(AccessLogFormat::parse(format).unwrap_err().to_string().starts_with(message), "{format:?}");
    }
}

#[test]
fn logged_streams_arrive_in_the_file() {
    let dir = TestDir::new("access");
    let sinks = LogSinks::new(Metrics::new(1));
    let sink = sinks.open(&LogTarget::File(dir.file("access.log")), None).unwrap();
    let log = AccessLog::new(AccessLogFormat::parse("%method% %response_code%").unwrap(), sink);
    for status in [200, 0, 504] {
        log.clone().log(&stream(), &Completion { status, ..completion() });
    }
    assert_eq!(sinks.flush(Duration::from_secs(20)), crate::FlushOutcome::Written);
    assert_eq!(std::fs::read_to_string(dir.file("access.log")).unwrap(), "GET 200\nGET -\nGET 504\n");
}

proptest! {
    #[test]
    fn any_text_parses_or_is_refused(text in "[%a-z_ \\n\"é]{0,40}") {
        if let Ok(format) = AccessLogFormat::parse(&text) {
            let mut out = Vec::new();
            format.write(&mut out, &stream(), &completion());
            prop_assert!(!out.contains(&b'\n'));
        }
    }

    #[test]
    fn no_peer_can_add_a_line_or_a_word(id in any::<String>(), agent in proptest::collection::vec(any::<u8>(), 0..50)) {
        let mut stream = stream();
        stream.info.request_id = id;
        stream.request.headers.set(b"user-agent", &agent).unwrap();
        let text = line("%method% %request_id% \"%request_header_user-agent%\"", &stream, &completion());
        let words: Vec<&str> = text.splitn(3, ' ').collect();
        prop_assert_eq!(words.len(), 3);
        prop_assert!(words[2].starts_with('"') && words[2].ends_with('"'));
        prop_assert_eq!(words[2].matches('"').count(), 2);
        prop_assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)));
    }

    #[test]
    fn no_peer_can_leave_its_json_string(
        id in any::<String>(),
        agent in proptest::collection::vec(any::<u8>(), 0..50),
        literal in any::<String>(),
    ) {
        let mut stream = stream();
        stream.info.request_id = id.clone();
        stream.request.headers.set(b"user-agent", &agent).unwrap();
        let literal = literal.replace('%', "");
        let format = json!({
            &literal: "%request_id%",
            "mixed": format!("{literal}<%request_id%>%request_header_user-agent%"),
        });
        let mut out = Vec::new();
        AccessLogFormat::json(format.as_object().unwrap()).unwrap().write(&mut out, &stream, &completion());
        prop_assert!(!out.iter().any(|byte| byte.is_ascii_control()));
        let read: Value = serde_json::from_slice(&out).unwrap();
        if literal != "mixed" {
            prop_assert_eq!(read[&literal].as_str().unwrap_or_default(), &id);
        }
        let agent = String::from_utf8_lossy(&agent);
        let end = format!(">{agent}");
        prop_assert!(read["mixed"].as_str().unwrap().ends_with(&end));
    }
}

#[test]
fn lengths_of_requests_are_head_and_body() {
    let format = "%request_length% %Http1_request_length%";
    assert_eq!(line(format, &stream(), &completion()), "311 311");
    let refused = Completion { bytes_received: 0, ..completion() };
    assert_eq!(line(format, &StreamState::default(), &refused), "- -");
}

#[test]
fn variables_of_mosn_that_are_not_here_say_what_they_are() {
    for (name, why) in [
        ("stream_id", "it numbers MOSN's streams; `%request_id%` tells requests apart"),
        ("Http2_request_use_stream", "bodies are streamed unless a filter asks for the whole"),
        ("x-mosn-direction", "it is of RPC protocols, which are not there yet"),
        ("accept_chan", "it is an object within MOSN"),
    ] {
        let error = AccessLogFormat::parse(&format!("a %{name}%")).unwrap_err();
        assert_eq!(error.to_string(), format!("MOSN's variable `%{name}%` at byte 2 is not in Sidegate: {why}"));
    }
    let error = AccessLogFormat::parse("%stream_ids%").unwrap_err().to_string();
    assert!(error.starts_with("unknown variable `%stream_ids%` at byte 0"), "{error}");
    // None of them hides one that is here.
    for name in AccessLogFormat::variables() {
        assert_eq!(of_mosn::not_here(name), None, "{name}");
    }
}
