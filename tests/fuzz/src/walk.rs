//! Host functions, called by the module of the random walk
//! (`tests/modules/walk.c`), whose choices are the input.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use sidegate_api::{
    Address, BodyDirection, BodyInterest, BuildEnv, Completion, ConnectionInfo, EndOfStream, FaultPolicy, FilterCx,
    FilterSpec, Metrics, ModuleSource, ModuleSpec, PeerText, Protocol, ReceiverPhase, ResetBy, RouteConfigSource,
    RouteFilterConfig, Status, StreamFilter, StreamFilterBuilder, StreamFilterFactory, StreamState, WorkerIndex,
};
use sidegate_generic_filter::{GenericFilter, Policy};

/// What the module's filters are called, and what they ask of bodies.
const FILTERS: [(&str, BodyInterest, BodyInterest); 5] = [
    ("heads", BodyInterest::None, BodyInterest::None),
    ("observes", BodyInterest::Observe, BodyInterest::Observe),
    ("streams", BodyInterest::Stream, BodyInterest::Stream),
    ("wholes", BodyInterest::Whole, BodyInterest::Whole),
    ("mixed", BodyInterest::Whole, BodyInterest::Stream),
];
const WORKER: WorkerIndex = WorkerIndex(0);
/// Hooks after which a stream ends: a module may wait for ever.
const MAX_HOOKS: usize = 24;

/// A stream through one filter, whose hooks call host functions as the bytes
/// say. The module watches what it gets, and ends the process if it should not
/// get it.
pub fn walked(input: &[u8]) {
    let Some((&choice, bytes)) = input.split_first() else { return };
    let at = usize::from(choice) % FILTERS.len();
    // Given to the module by a file: the folder's name is in its configuration's place.
    std::fs::write(folder().join("choices"), bytes).unwrap();
    FACTORIES.with(|factories| {
        let factory = &factories.get_or_init(build)[at];
        let Ok(mut filter) = factory.create_filter(WORKER) else { return };
        stream_through(&mut *filter, &FILTERS[at]);
    });
}

thread_local! {
    /// A worker's, and of the thread that is that worker.
    static FACTORIES: OnceCell<&'static [Arc<dyn StreamFilterFactory>]> = const { OnceCell::new() };
}

/// Never taken down: the process ends with them.
fn build() -> &'static [Arc<dyn StreamFilterFactory>] {
    let module = compile();
    let generic = Box::leak(Box::new(GenericFilter::new(Policy::default()).unwrap()));
    let env = BuildEnv {
        metrics: Metrics::new(1),
        workers: 1,
        search_dirs: Vec::new(),
        regexes: Default::default(),
        reads: Default::default(),
        plugins: None,
    };
    let factories = FILTERS.iter().map(|(name, ..)| {
        let factory = generic.build(&spec(&module, name), &env).expect("the module of the walk loads");
        factory.attach_worker(WORKER).unwrap();
        factory
    });
    Box::leak(factories.collect::<Vec<_>>().into_boxed_slice())
}

fn compile() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let module = folder().join("libwalk.so");
    let done = Command::new("cc")
        .args(["-std=gnu11", "-shared", "-fPIC", "-O1", "-g", "-Wall", "-Wextra", "-Werror"])
        .arg(format!("-DWALK_CHOICES=\"{}\"", folder().join("choices").display()))
        .arg("-I")
        .arg(tests.parent().unwrap().join("ffi-api/include"))
        .arg("-o")
        .arg(&module)
        .arg(tests.join("modules/walk.c"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    module
}

/// A folder of this process.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("sidegate-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    })
}

fn spec(file: &Path, filter: &str) -> FilterSpec {
    let module = ModuleSpec {
        source: ModuleSource::SoConfig,
        so_path: file.to_owned(),
        name: "walk".to_owned(),
        filter: filter.to_owned(),
        sha256: None,
        quarantine: None,
        slow_hook: ModuleSpec::SLOW_HOOK,
        watch: false,
        generation_timeout: None,
        plugins: Default::default(),
    };
    FilterSpec {
        filter_type: "loadso".to_owned(),
        name: filter.to_owned(),
        config: serde_json::json!({ "seed": 1 }),
        module: Some(module),
        on_fault: FaultPolicy::default(),
    }
}

/// Nothing is configured by route.
struct NoRoutes;

impl RouteConfigSource for NoRoutes {
    fn route_config(&self, _: usize) -> Option<&dyn RouteFilterConfig> {
        None
    }
}

#[derive(Clone, Copy)]
enum Part {
    RequestHead,
    RequestBody,
    RequestTrailers,
    ResponseHead,
    ResponseBody,
    ResponseTrailers,
}

const PARTS: [Part; 6] = [
    Part::RequestHead,
    Part::RequestBody,
    Part::RequestTrailers,
    Part::ResponseHead,
    Part::ResponseBody,
    Part::ResponseTrailers,
];

fn stream_through(filter: &mut dyn StreamFilter, of: &(&str, BodyInterest, BodyInterest)) {
    let mut stream = stream();
    let mut faulted = false;
    let mut hooks = 0;
    'parts: for part in PARTS {
        if matches!(part, Part::ResponseHead) {
            stream.response.status = 200;
            let _ = stream.response.headers.add(b"x-answer", b"1");
        }
        let mut status = run(filter, &mut stream, of, part, Hook::First);
        loop {
            hooks += 1;
            match status {
                Status::Continue | Status::RematchRoute | Status::RechooseHost => break,
                Status::Pending if hooks < MAX_HOOKS => status = run(filter, &mut stream, of, part, Hook::Resumed),
                Status::Fault(_) => {
                    faulted = true;
                    break 'parts;
                }
                _ => break 'parts,
            }
        }
    }
    if !faulted {
        let completion = Completion { status: 200, reset_by: ResetBy::Nobody, ..Completion::default() };
        let mut cx = FilterCx::new(&mut stream, &NoRoutes, 0, WORKER, 4096).after_end();
        filter.on_complete(&mut cx, &completion);
    }
}

#[derive(Clone, Copy)]
enum Hook {
    First,
    Resumed,
}

fn run(
    filter: &mut dyn StreamFilter,
    stream: &mut StreamState,
    (_, request, response): &(&str, BodyInterest, BodyInterest),
    part: Part,
    hook: Hook,
) -> Status {
    let (direction, interest) = match part {
        Part::RequestHead | Part::RequestBody | Part::RequestTrailers => (BodyDirection::Request, *request),
        Part::ResponseHead | Part::ResponseBody | Part::ResponseTrailers => (BodyDirection::Response, *response),
    };
    let cx = FilterCx::new(stream, &NoRoutes, 0, WORKER, 4096).with_trailers_of(direction);
    let mut cx = match part {
        Part::RequestBody | Part::ResponseBody => cx.with_body(direction, interest),
        _ => cx,
    };
    match (hook, part) {
        (Hook::Resumed, _) => filter.on_resume(&mut cx),
        (_, Part::RequestHead) => filter.on_request_headers(&mut cx, ReceiverPhase::BeforeRoute, EndOfStream::More),
        (_, Part::RequestBody) => filter.on_request_body(&mut cx, EndOfStream::More),
        (_, Part::RequestTrailers) => filter.on_request_trailers(&mut cx),
        (_, Part::ResponseHead) => filter.on_response_headers(&mut cx, EndOfStream::More),
        (_, Part::ResponseBody) => filter.on_response_body(&mut cx, EndOfStream::More),
        (_, Part::ResponseTrailers) => filter.on_response_trailers(&mut cx),
    }
}

fn stream() -> StreamState {
    let mut stream = StreamState::default();
    stream.request.authority.push_str("example.com");
    stream.request.set_target("/path?query");
    for (name, value) in [("user-agent", "test"), ("x-walk", "one"), ("x-walk", "two")] {
        stream.request.headers.add(name.as_bytes(), value.as_bytes()).unwrap();
    }
    stream.request_body.append(b"request body");
    stream.response_body.append(b"response body");
    stream.request_trailers.add(b"x-trailer", b"request").unwrap();
    stream.response_trailers.add(b"x-trailer", b"response").unwrap();
    let local = Address::parse("127.0.0.1:80").unwrap();
    stream.info.connection = Some(Rc::new(ConnectionInfo {
        id: 7,
        listener: "listener".into(),
        remote: PeerText::new(local.clone()),
        local: PeerText::new(local),
        protocol: Protocol::Http11,
        tls: None,
    }));
    stream
}
