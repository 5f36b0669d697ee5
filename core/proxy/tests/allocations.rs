//! What a keep-alive request allocates on its worker: nothing but what its
//! filters ask for.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sidegate_api::{
    Address, AnsweredBy, FaultPolicy, FilterFault, HeaderCase, HookSet, Http2Settings, Interests, Metrics,
    ReceiverPhase, Slashes, Spoken, StreamFilter, StreamFilterFactory, WorkerIndex,
};
use sidegate_net::{AcceptMode, ListenerConfig, ListenerId, Workers, bind, start_accepting};
use sidegate_proxy::{
    FilterEntry, Forwarding, Http1Limits, ListenerSpec, ProxyConfig, ProxyService, RouteSet, TargetBytes, Timeouts,
    Update,
};
use sidegate_router::{
    Domain, ForwardAction, HeaderOps, RouteAction, RouteConfig, RouteMatch, RouteTable, RouterConfig, VirtualHostConfig,
};
use sidegate_telemetry::{AccessLog, AccessLogFormat, DownstreamStats, FilterReplies, LogSinks, LogTarget};
use sidegate_upstream::{Cluster, ClusterConfig, HostConfig, HostRegistry};

/// Counts allocations of threads that asked for it.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: hands every call on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTED.try_with(Cell::get).unwrap_or(false) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: promised by the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A filter without state, whose factory marks its worker's thread.
#[derive(Debug)]
struct Marking;
struct Nothing;

impl StreamFilter for Nothing {}

impl StreamFilterFactory for Marking {
    fn interests(&self) -> Interests {
        Interests { phases: HookSet::phases(&ReceiverPhase::ALL), ..Interests::default() }
    }

    fn create_filter(&self, _worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        Ok(Box::new(Nothing))
    }

    fn attach_worker(&self, _worker: WorkerIndex) -> Result<(), FilterFault> {
        COUNTED.with(|counted| counted.set(true));
        Ok(())
    }
}

const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nserver: test\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello";

/// Answers every request on every connection, for as long as the test runs.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0_u8; 4096];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                    stream.write_all(RESPONSE).unwrap();
                }
            });
        }
    });
    address
}

fn old_origin() -> (Spoken, SocketAddr) {
    (Spoken::Http1, origin())
}

/// The same over HTTP/2.
fn origin_of_streams() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || answer_streams(&mut stream));
        }
    });
    address
}

fn answer_streams(stream: &mut TcpStream) {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).unwrap();
    // SETTINGS.
    stream.write_all(b"\0\0\0\x04\0\0\0\0\0").unwrap();
    loop {
        let mut frame = [0; 9];
        if stream.read_exact(&mut frame).is_err() {
            return;
        }
        let mut payload = vec![0; u32::from_be_bytes([0, frame[0], frame[1], frame[2]]) as usize];
        stream.read_exact(&mut payload).unwrap();
        let [_, _, _, kind, flags, number @ ..] = frame;
        // HEADERS with END_STREAM.
        if kind == 1 && flags & 1 == 1 {
            // `:status: 200`, and as literals `server`, `content-type` and
            // `content-length`.
            let head =
                [&[0x88, 0x0f, 39, 4][..], b"test", &[0x0f, 16, 10], b"text/plain", &[0x0f, 13, 1], b"5"].concat();
            let head = [&[0, 0, head.len() as u8, 1, 4][..], &number, &head].concat();
            let body = [&[0, 0, 5, 0, 1][..], &number, b"hello"].concat();
            stream.write_all(&[head, body].concat()).unwrap();
        }
    }
}

fn configuration(
    metrics: &Metrics,
    hosts: &HostRegistry,
    (upstream, origin): (Spoken, SocketAddr),
    access_logs: Vec<AccessLog>,
) -> Arc<Update> {
    let forward = ForwardAction { upstream_protocol: Some(upstream), ..ForwardAction::to("main") };
    let route = RouteConfig::new("all", RouteMatch::any(), RouteAction::Forward(forward));
    let host = VirtualHostConfig {
        name: "vhost".into(),
        domains: vec![Domain::Any],
        routes: vec![route],
        headers: HeaderOps::default(),
        per_filter_config: vec![],
    };
    let router = RouterConfig {
        name: "router".into(),
        virtual_hosts: vec![host],
        headers: HeaderOps::default(),
        slashes: Slashes::default(),
    };
    let config = ProxyConfig {
        listener: "test".into(),
        filters: vec![FilterEntry {
            name: "marking".into(),
            answers_as: AnsweredBy { filter: "marking".into(), module: None },
            factory: Arc::new(Marking),
            on_fault: FaultPolicy::default(),
            faults: metrics.counter("faults", &[]).unwrap(),
            replies: Arc::new(FilterReplies::new(metrics, "test", "marking")),
        }],
        access_logs,
        downstream: Spoken::Auto,
        http2: Http2Settings::downstream(),
        limits: Http1Limits::default(),
        timeouts: Timeouts::default(),
        idle_timeout: Some(Duration::from_secs(60)),
        forwarding: Forwarding::default(),
        upgrades: ProxyConfig::default_upgrades(),
        header_case: HeaderCase::default(),
        target_bytes: TargetBytes::default(),
        tls: None,
    };
    let mut cluster = ClusterConfig::new("main", vec![HostConfig::new(Address::Tcp(origin))]);
    cluster.max_requests_per_connection = None;
    let stats = DownstreamStats::new(metrics, "test").unwrap();
    let cluster = Arc::new(Cluster::new(cluster, hosts).unwrap());
    let routes = Arc::new(RouteSet::plain(Arc::new(RouteTable::new(router).unwrap())));
    let listener = ListenerSpec { config: Arc::new(config), stats, routes };
    Arc::new(Update::Batch(vec![
        Update::Cluster("main".into(), Some(cluster)),
        Update::Listener(ListenerId(0), Some(Arc::new(listener))),
    ]))
}

fn exchange(client: &mut TcpStream, times: usize) {
    let mut buffer = [0_u8; 4096];
    for _ in 0..times {
        client
            .write_all(
                b"GET /some/path?query=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n",
            )
            .unwrap();
        let mut read = 0;
        while !buffer[..read].ends_with(b"hello") {
            let count = client.read(&mut buffer[read..]).unwrap();
            assert!(count > 0, "closed");
            read += count;
        }
    }
}

/// The same over HTTP/2: a stream for each request, one after the other.
fn exchange_streams(client: &mut TcpStream, first: u32, times: u32) {
    // Indexed fields and literals that leave the table alone: `GET http`,
    // `:authority`, `:path`, `user-agent`, `accept`.
    let head = [
        &[0x82, 0x86, 0x01, 11][..],
        b"example.com",
        &[0x04, 18],
        b"/some/path?query=1",
        &[0x0f, 43, 4],
        b"test",
        &[0x0f, 4, 3],
        b"*/*",
    ]
    .concat();
    for number in first..first + times {
        let stream = (2 * number + 1).to_be_bytes();
        client.write_all(&[&[0, 0, head.len() as u8, 1, 5][..], &stream, &head].concat()).unwrap();
        loop {
            let mut frame = [0; 9];
            client.read_exact(&mut frame).unwrap();
            let mut payload = vec![0; u32::from_be_bytes([0, frame[0], frame[1], frame[2]]) as usize];
            client.read_exact(&mut payload).unwrap();
            let [.., kind, flags, _, _, _, _] = frame;
            assert_ne!(kind, 7, "goodbye");
            // DATA with END_STREAM.
            if (kind, flags) == (0, 1) {
                assert_eq!(payload, b"hello");
                break;
            }
        }
    }
}

/// A log that shows all that has to be measured for it.
fn access_log(sinks: &LogSinks) -> AccessLog {
    let format = serde_json::json!({
        "received": "%request_received_duration%",
        "local": "%upstream_local_address%",
        "original": "%original_path%",
        "line": "%start_time% %method% %target% %request_header_user-agent% %duration%",
    });
    let format = AccessLogFormat::json(format.as_object().unwrap()).unwrap();
    AccessLog::new(format, sinks.open(&LogTarget::File("/dev/null".into()), None).unwrap())
}

/// Allocations on the worker for so many requests, which `exchange` sends:
/// on a connection, behind so many, so many.
fn allocations(
    requests: usize,
    access_logs: Vec<AccessLog>,
    origin: (Spoken, SocketAddr),
    exchange: fn(&mut TcpStream, usize, usize),
) -> u64 {
    /// There is one count.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let metrics = Metrics::new(1);
    let hosts = HostRegistry::new(metrics.clone());
    let first = configuration(&metrics, &hosts, origin, access_logs);
    let workers =
        Workers::<ProxyService>::start(1, &metrics, &first, &sidegate_overload::Overload::unlimited(1), || {}).unwrap();
    let listener = ListenerConfig {
        name: "test".into(),
        address: Address::parse("127.0.0.1:0").unwrap(),
        backlog: 16,
        accept: AcceptMode::Balanced,
        socket_mode: None,
        idle_timeout: None,
    };
    let bound = bind(ListenerId(0), Arc::new(listener), 1).unwrap();
    let address = bound.address.socket_addr().unwrap();
    let _accepting = start_accepting(vec![bound], &workers).unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let start = ALLOCATIONS.load(Ordering::Relaxed);
    exchange(&mut client, 0, 100);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    assert!(before > start, "the worker is not counted");
    exchange(&mut client, 100, requests);
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

#[test]
fn a_keep_alive_request_allocates_nothing_on_its_worker() {
    const REQUESTS: usize = 2000;
    let sinks = LogSinks::new(Metrics::new(1));
    for access_logs in [vec![], vec![access_log(&sinks)]] {
        let logs = access_logs.len();
        let allocations = allocations(REQUESTS, access_logs, old_origin(), |client, _, times| exchange(client, times));
        // The upkeep of the worker (ticks, the date of a new second) may
        // allocate now and then, and a log's buffer grows with a burst; a
        // request may not.
        assert!(allocations < REQUESTS as u64 / 20, "{allocations} for {REQUESTS} requests and {logs} logs");
    }
}

/// What a stream of HTTP/2 allocates, by name. In the crate: two for the
/// request's map of fields, and one for each value that is not in the
/// compression's table, of which this request has two. Here: the stream's task
/// and the future in it; two for the response's map, the memory of its values
/// and the count of who uses it; the piece of its body.
const PER_STREAM: u64 = 2 + 2 + 2 + 4 + 1;

#[test]
fn a_stream_allocates_what_is_named() {
    const REQUESTS: usize = 1000;
    let exchange = |client: &mut TcpStream, behind: usize, times: usize| {
        if behind == 0 {
            client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
        }
        exchange_streams(client, behind as u32, times as u32);
    };
    let allocations = allocations(REQUESTS, vec![], old_origin(), exchange);
    let bound = PER_STREAM * REQUESTS as u64;
    assert!(allocations <= bound + REQUESTS as u64 / 20, "{allocations} for {REQUESTS} streams");
}

/// What a request over HTTP/2 to a host allocates, by name. In the crate: two
/// for the response's map of fields, one for each of its values that is not in
/// the compression's table, of which this one has three, and copies of
/// authority and path. Here: two for the request's map, the memory of all its
/// values and the count of who uses it, and the place on the connection.
const PER_REQUEST: u64 = 2 + 3 + 2 + 2 + 2 + 1;

#[test]
fn a_request_over_http2_to_a_host_allocates_what_is_named() {
    const REQUESTS: usize = 1000;
    let origin = (Spoken::Http2, origin_of_streams());
    let allocations = allocations(REQUESTS, vec![], origin, |client, _, times| exchange(client, times));
    let bound = PER_REQUEST * REQUESTS as u64;
    assert!(allocations <= bound + REQUESTS as u64 / 20, "{allocations} for {REQUESTS} requests");
}
