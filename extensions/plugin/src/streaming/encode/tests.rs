//! What is written is what prost reads, and what prost writes is the same
//! bytes: the canonical form, which whatever other reader knows.

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use sidegate_api::{
    Method, ReceiverPhase, ResetBy, ResponseFlags, RouteConfigSource, RouteFilterConfig, StreamState, WorkerIndex,
};
use sidegate_proto::v1;

use super::*;

struct Route(Option<Arc<RouteConfig>>);

impl RouteConfigSource for Route {
    fn route_config(&self, _: usize) -> Option<&dyn RouteFilterConfig> {
        self.0.as_deref().map(|config| config as &dyn RouteFilterConfig)
    }
}

/// Lengths around which the length of a length changes.
const EDGES: [usize; 8] = [0, 1, 127, 128, 129, 16_383, 16_384, 16_385];

fn settings() -> StreamingSettings {
    StreamingSettings {
        falls_back: false,
        hooks: crate::streaming::settings::Hooks {
            phases: sidegate_api::HookSet::NONE,
            request_body: sidegate_api::BodyInterest::None,
            request_trailers: false,
            response_headers: false,
            response_body: sidegate_api::BodyInterest::None,
            response_trailers: false,
            completion: false,
        },
        // Each kind: bytes, a number, and what is not there.
        variables: vec![Variable::RequestId, Variable::BytesReceived, Variable::RouteName],
        shared: vec!["one".to_owned(), "none".to_owned()],
        window: 1 << 18,
        calls: 1,
        config: "{}".to_owned(),
    }
}

/// The same, as prost writes and reads it.
#[track_caller]
fn same<M: Message + Default + PartialEq + std::fmt::Debug>(written: &[u8], expected: &M) {
    assert_eq!(&M::decode(written).expect("prost reads it"), expected);
    assert_eq!(written, expected.encode_to_vec(), "prost writes it so");
}

fn headers_of(fields: &[(Vec<u8>, Vec<u8>)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.add(name, value).expect("room for it");
    }
    headers
}

fn to_wire(headers: &Headers) -> Vec<v1::Field> {
    let field = |(name, value): (&[u8], &[u8])| v1::Field {
        name: Bytes::copy_from_slice(name),
        value: Bytes::copy_from_slice(value),
    };
    headers.iter().map(field).collect()
}

fn variables(stream: &StreamState) -> Vec<v1::VariableValue> {
    let value =
        |variable: v1::Variable, value: String| v1::VariableValue { variable: variable.into(), value: value.into() };
    vec![
        value(v1::Variable::RequestId, stream.info.request_id.clone()),
        value(v1::Variable::BytesReceived, stream.info.bytes_received.to_string()),
    ]
}

fn shared(value: &[u8]) -> Vec<v1::SharedVariable> {
    vec![v1::SharedVariable { name: "one".to_owned(), value: Bytes::copy_from_slice(value) }]
}

/// Bytes of any length that matters.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..40),
        1 => proptest::sample::select(EDGES.to_vec()).prop_map(|length| vec![b'x'; length]),
    ]
}

fn fields_strategy() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    vec(("[a-z-]{1,12}".prop_map(String::into_bytes), bytes()), 0..6)
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0u64..300, Just(u64::MAX), Just(1 << 63)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn heads_are_what_prost_writes(
        fields in fields_strategy(),
        authority in "[a-z0-9.:]{0,200}",
        path in "/[a-z/]{0,200}(\\?[a-z=]{0,20})?",
        request_id in "[0-9a-f]{1,40}",
        received in number(),
        named in bytes(),
        route in proptest::option::of("\\PC{0,200}"),
        status in 200u16..600,
        phase in proptest::sample::select(ReceiverPhase::ALL.to_vec()),
        end in any::<bool>(),
        limit in any::<usize>(),
    ) {
        let mut stream = StreamState::default();
        stream.request.method = Method::Post;
        stream.request.authority = authority.clone();
        stream.request.set_target(&path);
        stream.request.headers = headers_of(&fields);
        stream.response.headers = headers_of(&fields);
        stream.response.status = status;
        stream.info.request_id = request_id;
        stream.info.bytes_received = received;
        let route_config = route.clone().unwrap_or_default();
        let route = Route(route.map(|text| Arc::new(RouteConfig(text))));
        let (settings, known) = (settings(), Known::default());
        let extras = Extras { settings: &settings, known: &known };
        let (scheme, headers) = (stream.request.scheme, to_wire(&headers_of(&fields)));
        let (variables, shared) = (variables(&stream), shared(&named));
        let mut cx = FilterCx::new(&mut stream, &route, 0, WorkerIndex(0), limit);
        cx.set_named(b"one", &named).expect("room for it");
        let mark = if end { EndOfStream::End } else { EndOfStream::More };
        let hook = Hook::RequestHeaders(phase, mark);
        same(&super::fields(&cx, hook, extras), &v1::RequestHeaders {
            phase: phase as i32,
            method: "POST".into(),
            scheme: scheme.into(),
            authority: authority.into(),
            target: path.into(),
            fields: headers.clone(),
            end_of_stream: end,
            variables: variables.clone(),
            shared_variables: shared.clone(),
            route_config: route_config.clone(),
            body_limit: limit as u64,
        });
        same(&super::fields(&cx, Hook::ResponseHeaders(mark), extras), &v1::ResponseHeaders {
            status: status.into(),
            fields: headers,
            end_of_stream: end,
            variables,
            shared_variables: shared,
            route_config,
            body_limit: limit as u64,
        });
    }

    #[test]
    fn pieces_of_bodies_are_what_prost_writes(
        data in bytes(),
        cut in any::<(proptest::sample::Index, proptest::sample::Index)>(),
        trailers in fields_strategy(),
        is_request in any::<bool>(),
        is_last in any::<bool>(),
        end in any::<bool>(),
        more in any::<bool>(),
        with_trailers in any::<bool>(),
    ) {
        let mut stream = StreamState::default();
        let direction = if is_request { BodyDirection::Request } else { BodyDirection::Response };
        let (buffer, map) = match direction {
            BodyDirection::Request => (&mut stream.request_body, &mut stream.request_trailers),
            BodyDirection::Response => (&mut stream.response_body, &mut stream.response_trailers),
        };
        buffer.append(&data);
        buffer.set_last(is_last);
        *map = headers_of(&trailers);
        let mut places = [cut.0.index(data.len() + 1), cut.1.index(data.len() + 1)];
        places.sort_unstable();
        let [from, to] = places;
        let cx = FilterCx::new(&mut stream, &Route(None), 0, WorkerIndex(0), 1 << 20)
            .with_body(direction, sidegate_api::BodyInterest::Whole);
        let mark = if end { EndOfStream::End } else { EndOfStream::More };
        let (hook, trailers_hook) = match direction {
            BodyDirection::Request => (Hook::RequestBody(mark), Hook::RequestTrailers),
            BodyDirection::Response => (Hook::ResponseBody(mark), Hook::ResponseTrailers),
        };
        let fields = to_wire(&headers_of(&trailers));
        same(&body(&cx, hook, mark, Piece { from, to, more, with_trailers }), &v1::BodyChunk {
            data: Bytes::copy_from_slice(&data[from..to]),
            more,
            last: is_last || end,
            end_of_stream: end,
            trailers: if with_trailers && !more { fields.clone() } else { Vec::new() },
        });
        let (settings, known) = (settings(), Known::default());
        let extras = Extras { settings: &settings, known: &known };
        same(&super::fields(&cx, trailers_hook, extras), &v1::Trailers { fields });
    }

    #[test]
    fn ends_are_what_prost_writes(
        status in any::<u16>(),
        set in proptest::sample::subsequence(ResponseFlags::NAMES.to_vec(), 0..=19),
        bytes in (number(), number()),
        micros in (number(), proptest::option::of(number())),
        received in number(),
    ) {
        let mut flags = ResponseFlags::default();
        set.into_iter().for_each(|(flag, _)| flags.insert(flag));
        let completed = Completion {
            status,
            flags,
            bytes_received: bytes.0,
            bytes_sent: bytes.1,
            duration: Duration::from_micros(micros.0),
            upstream_duration: micros.1.map(Duration::from_micros),
            process_duration: Duration::ZERO,
            reset_by: ResetBy::Filter,
        };
        let mut stream = StreamState::default();
        stream.info.request_id = "1".to_owned();
        stream.info.bytes_received = received;
        let variables = variables(&stream);
        let cx = FilterCx::new(&mut stream, &Route(None), 0, WorkerIndex(0), 0);
        let (settings, known) = (settings(), Known::default());
        let extras = Extras { settings: &settings, known: &known };
        same(&completion(&cx, &completed, extras), &v1::End { completion: Some(v1::Completion {
            status: status.into(),
            flags: flags.bits(),
            bytes_received: bytes.0,
            bytes_sent: bytes.1,
            duration_us: micros.0,
            // What has none has zero.
            upstream_duration_us: micros.1.map_or(0, |micros| micros.max(1)),
            reset_by: v1::ResetBy::Filter.into(),
            variables,
            shared_variables: Vec::new(),
        })});
    }

    #[test]
    fn events_are_what_prost_writes(
        events in vec((number(), any::<u32>(), bytes(), 0usize..3), 0..5),
    ) {
        let mut out = Vec::new();
        let mut expected = v1::HostMessage::default();
        for (stream, hook, data, which) in events {
            let chunk = v1::BodyChunk { data: data.into(), more: true, ..Default::default() };
            let (kind, number, inner) = match which {
                0 => (v1::event::Kind::RequestBody(chunk.clone()), 4, chunk.encode_to_vec()),
                1 => (v1::event::Kind::ResponseBody(chunk.clone()), 7, chunk.encode_to_vec()),
                // It is there, and holds nothing.
                _ => (v1::event::Kind::End(v1::End::default()), 9, Vec::new()),
            };
            event(&mut out, stream, hook, number, &inner);
            expected.events.push(v1::Event { stream, hook, kind: Some(kind) });
        }
        // A stream's number is never zero, and is written all the same.
        prop_assert_eq!(&v1::HostMessage::decode(&*out).expect("prost reads it"), &expected);
        if expected.events.iter().all(|event| event.stream != 0) {
            prop_assert_eq!(out, expected.encode_to_vec());
        }
    }
}

#[test]
fn durations_beyond_the_clock_are_as_long_as_can_be_said() {
    let completed = Completion { duration: Duration::MAX, upstream_duration: Some(Duration::MAX), ..none() };
    let mut stream = StreamState::default();
    let cx = FilterCx::new(&mut stream, &Route(None), 0, WorkerIndex(0), 0);
    let (settings, known) = (settings(), Known::default());
    let written = completion(&cx, &completed, Extras { settings: &settings, known: &known });
    let read = v1::End::decode(written).expect("prost reads it").completion.expect("it is there");
    assert_eq!((read.duration_us, read.upstream_duration_us), (u64::MAX, u64::MAX));
}

fn none() -> Completion {
    Completion {
        status: 0,
        flags: ResponseFlags::default(),
        bytes_received: 0,
        bytes_sent: 0,
        duration: Duration::ZERO,
        upstream_duration: None,
        process_duration: Duration::ZERO,
        reset_by: ResetBy::Nobody,
    }
}
