use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use sidegate_api::{Address, ConnectionInfo, Metrics, PeerText, Protocol, ResetBy, ResponseFlags};

use super::field::Field;
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
        listener: "in".into(),
        remote: PeerText::new(Address::parse("10.0.0.1:5000").unwrap()),
        local: PeerText::new(Address::parse("10.0.0.2:80").unwrap()),
        protocol: Protocol::Http11,
    }));
    stream.info.request_id = "id 1\n".to_owned();
    stream.info.cluster = Some("c1".into());
    stream.info.upstream_host = Some(PeerText::new(Address::parse("10.0.0.3:8080").unwrap()).into());
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
        reset_by: ResetBy::Proxy,
    }
}

fn line(format: &str, stream: &StreamState, completion: &Completion) -> String {
    let mut out = Vec::new();
    AccessLogFormat::parse(format).unwrap().write(&mut out, stream, completion);
    String::from_utf8(out).unwrap()
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
fn what_is_absent_is_a_dash() {
    let names = Field::NAMES.map(|(name, _)| format!("%{name}%")).join(" ");
    let text = line(&names, &StreamState::default(), &Completion::default());
    let words: Vec<&str> = text.split(' ').collect();
    assert_eq!(words.len(), Field::NAMES.len());
    assert!(words[0].starts_with("20"));
    let rest = "0.000 - - - 0.000 0 0 HTTP/1.1 GET - - - - - - - - - - - - - - - - - - - - -";
    assert_eq!(words[1..].join(" "), rest);
}

#[test]
fn headers_and_variables_are_named_and_escaped() {
    for (format, expected) in [
        ("%request_header_user_agent%", "x \\x22y\\x22 \\xff"),
        ("%request_header_User-Agent%", "x \\x22y\\x22 \\xff"),
        ("%response_header_server%|%response_header_x%", "origin|-"),
        ("%variable_tenant%/%variable_nobody%", "blue/-"),
        ("100%% %reset_by%%process_duration%", "100% proxy1001.004"),
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
        ("%request_header_%", "unknown variable `%request_header_%` at byte 0"),
        ("%variable_%", "unknown variable `%variable_%` at byte 0"),
        ("x%path% 5%", "`%` at byte 9 has no partner; write `%name%`, or `%%` for a percent sign"),
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
    let sink = sinks.open(&LogTarget::File(dir.file("access.log"))).unwrap();
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
}
