//! Listeners that come and go while others serve, over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, ready};
use std::thread;
use std::time::{Duration, Instant};

use sidegate_api::{Address, Metrics};
use sidegate_net::{
    AcceptHandle, AcceptMode, Accepted, BoundListener, ListenerConfig, ListenerId, PortSharing, ReadBuffer, RunPhase,
    Service, WorkerContext, Workers, bind, start_accepting,
};
use sidegate_overload::{ConnectionLimits, Machine, Overload, OverloadConfig};

const PATIENCE: Duration = Duration::from_secs(20);
const A: ListenerId = ListenerId(0);
const B: ListenerId = ListenerId(1);

/// Sends each byte back, with what it was last told added. An `x` is held
/// until the listener is told to stop.
struct Echo {
    worker: Rc<WorkerContext>,
    adds: std::cell::Cell<u8>,
}

impl Service for Echo {
    type Update = u8;

    fn start(worker: Rc<WorkerContext>, first: Arc<u8>) -> Rc<Self> {
        Rc::new(Echo { worker, adds: std::cell::Cell::new(*first) })
    }

    fn apply(self: &Rc<Self>, update: Arc<u8>) {
        self.adds.set(*update);
    }

    fn serve(self: &Rc<Self>, connection: Accepted) -> impl Future<Output = ()> + 'static {
        let echo = self.clone();
        async move {
            let Accepted { mut socket, listener, guard, .. } = connection;
            let deadline = echo.worker.deadlines.register();
            let mut buffer = ReadBuffer::new(echo.worker.buffers.clone());
            let (mut served, mut held) = (false, false);
            poll_fn(|cx| {
                loop {
                    if let Poll::Ready(read) = socket.poll_read(cx, &mut buffer, 1024) {
                        let Ok(1..) = read else { return Poll::Ready(()) };
                        held = buffer.filled() == b"x";
                        served = true;
                        if held {
                            continue;
                        }
                        let bytes: Vec<u8> = buffer.filled().iter().map(|byte| byte + echo.adds.get()).collect();
                        buffer.consume(bytes.len());
                        assert!(ready!(socket.poll_write(cx, &[IoSlice::new(&bytes)])).is_ok());
                        continue;
                    }
                    // As for HTTP: who was just accepted gets an answer.
                    if served && !held && listener.phase() != RunPhase::Running {
                        return Poll::Ready(());
                    }
                    let _ = deadline.poll(cx);
                    return Poll::Pending;
                }
            })
            .await;
            drop(socket);
            drop(guard);
        }
    }

    fn drain(self: &Rc<Self>) {}

    fn close_idle(self: &Rc<Self>, _: u8) -> usize {
        0
    }
}

/// Workers that run it, and what accepts for them.
struct Rig {
    workers: Workers<Echo>,
    accept: AcceptHandle,
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
}

fn config(address: &str, accept: AcceptMode) -> Arc<ListenerConfig> {
    Arc::new(ListenerConfig {
        name: address.into(),
        address: Address::parse(address).unwrap(),
        backlog: 4096,
        accept,
        idle_timeout: None,
        socket_mode: None,
    })
}

fn bound(id: ListenerId, accept: AcceptMode) -> (BoundListener, SocketAddr) {
    let listener = bind(id, config("127.0.0.1:0", accept), 2).unwrap();
    let address = listener.address.socket_addr().unwrap();
    (listener, address)
}

impl Rig {
    fn new(overload: &Overload, listeners: Vec<BoundListener>) -> Self {
        let workers = Workers::<Echo>::start(2, &Metrics::new(2), &Arc::new(0), overload, || {}).unwrap();
        let accept = start_accepting(listeners, &workers).unwrap();
        Rig { workers, accept }
    }

    fn end(mut self) {
        self.accept.stop();
        self.workers.set_phase(RunPhase::Stopping);
        wait(self.workers.ended());
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// What comes back for one byte; `None`: the end.
fn ask(client: &mut (impl Read + Write), byte: u8) -> Option<u8> {
    client.write_all(&[byte]).ok()?;
    answer(client)
}

fn answer(client: &mut impl Read) -> Option<u8> {
    let mut answer = [0];
    match client.read(&mut answer) {
        Ok(1) => Some(answer[0]),
        Ok(_) => None,
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::WouldBlock, "nothing came");
            None
        }
    }
}

fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn listeners_come_and_go_and_the_others_keep_what_they_have() {
    let (first, a) = bound(A, AcceptMode::Balanced);
    let rig = Rig::new(&Overload::unlimited(2), vec![first]);
    let mut of_a = connect(a);
    assert_eq!(ask(&mut of_a, b'1'), Some(b'1'));
    let (second, b) = bound(B, AcceptMode::Balanced);
    wait(rig.accept.add(second)).unwrap();
    let mut of_b: Vec<_> = (0..4).map(|_| connect(b)).collect();
    of_b.iter_mut().for_each(|client| assert_eq!(ask(client, b'2'), Some(b'2')));
    assert_eq!((rig.workers.listener_connections(A), rig.workers.listener_connections(B)), (1, 4));
    assert!(wait(rig.accept.remove(B)));
    assert!(!wait(rig.accept.remove(B)), "it is gone");
    assert!(is_refused(b));
    // No socket, but its connections are as they were.
    of_b.iter_mut().for_each(|client| assert_eq!(ask(client, b'3'), Some(b'3')));
    rig.workers.set_listener_phase(B, RunPhase::Draining);
    of_b.iter_mut().for_each(|client| assert_eq!(answer(client), None));
    wait(rig.workers.listener_idle(B));
    assert_eq!((rig.workers.listener_connections(A), rig.workers.listener_connections(B)), (1, 0));
    assert_eq!(ask(&mut of_a, b'4'), Some(b'4'));
    assert_eq!(ask(&mut connect(a), b'5'), Some(b'5'));
    rig.end();
}

#[test]
fn a_number_accepts_once_and_its_address_is_free_again() {
    let (first, a) = bound(A, AcceptMode::Balanced);
    let rig = Rig::new(&Overload::unlimited(2), vec![first]);
    let (again, _) = bound(A, AcceptMode::Balanced);
    assert_eq!(wait(rig.accept.add(again)).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(wait(rig.accept.remove(A)));
    let moved = bind(B, config(&a.to_string(), AcceptMode::Balanced), 2).unwrap();
    wait(rig.accept.add(moved)).unwrap();
    assert_eq!(ask(&mut connect(a), b'1'), Some(b'1'));
    rig.end();
}

#[test]
fn a_listener_that_stops_is_cut_and_nobody_else() {
    let ((first, a), (second, b)) = (bound(A, AcceptMode::Balanced), bound(B, AcceptMode::Balanced));
    let rig = Rig::new(&Overload::unlimited(2), vec![first, second]);
    let mut held: Vec<_> = (0..4).map(|_| connect(b)).collect();
    for client in &mut held {
        assert_eq!(ask(client, b'1'), Some(b'1'));
        client.write_all(b"x").unwrap();
    }
    let mut of_a = connect(a);
    assert_eq!(ask(&mut of_a, b'1'), Some(b'1'));
    of_a.write_all(b"x").unwrap();
    wait(rig.accept.remove(B));
    rig.workers.set_listener_phase(B, RunPhase::Draining);
    assert_eq!(rig.workers.listener_connections(B), 4, "streams may finish");
    rig.workers.set_listener_phase(B, RunPhase::Stopping);
    held.iter_mut().for_each(|client| assert_eq!(answer(client), None));
    wait(rig.workers.listener_idle(B));
    assert_eq!(rig.workers.listener_connections(A), 1);
    rig.end();
}

/// A closed gate keeps clients in the system's queue.
#[test]
fn who_waits_in_the_queue_when_a_listener_goes_is_served() {
    let limits = OverloadConfig {
        connections: ConnectionLimits { total: Some(1), per_listener: None, per_client: None },
        ..OverloadConfig::unlimited()
    };
    let overload = Overload::new(&limits, &Machine::default(), 2, &Metrics::new(2)).unwrap();
    for accept in [AcceptMode::Balanced, AcceptMode::ReusePort(PortSharing::Alone)] {
        let (first, a) = bound(A, accept);
        let rig = Rig::new(&overload, vec![first]);
        let mut inside = connect(a);
        assert_eq!(ask(&mut inside, b'1'), Some(b'1'));
        let mut waiting: Vec<_> = (0..100).map(|_| connect(a)).collect();
        waiting.iter_mut().for_each(|client| client.write_all(b"2").unwrap());
        assert_eq!(rig.workers.listener_connections(A), 1);
        wait(rig.accept.remove(A));
        assert_eq!(rig.workers.listener_connections(A), 101, "all of them are on their way");
        waiting.iter_mut().for_each(|client| assert_eq!(answer(client), Some(b'2')));
        rig.end();
    }
}

/// Clients that connect as fast as they can: each of them is served or refused.
fn lose_none<C: Read + Write>(rig: Rig, id: ListenerId, connect: impl Fn() -> std::io::Result<C> + Sync) {
    let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut refused = 0;
                    while refused == 0 || !over.load(Ordering::Relaxed) {
                        match connect() {
                            Ok(mut client) => {
                                assert_eq!(ask(&mut client, b'1'), Some(b'1'), "a connection was lost");
                                served.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => {
                                let gone = [ErrorKind::ConnectionRefused, ErrorKind::NotFound];
                                assert!(gone.contains(&error.kind()), "{error}");
                                refused += 1;
                                thread::sleep(Duration::from_millis(1));
                            }
                        }
                    }
                })
            })
            .collect();
        let start = Instant::now();
        while served.load(Ordering::Relaxed) < 500 {
            assert!(start.elapsed() < PATIENCE, "too few were served");
            thread::sleep(Duration::from_millis(1));
        }
        assert!(wait(rig.accept.remove(id)));
        over.store(true, Ordering::Relaxed);
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    rig.end();
}

#[test]
fn none_is_lost_of_those_that_connect_while_a_listener_goes() {
    for accept in [AcceptMode::Balanced, AcceptMode::ReusePort(PortSharing::Alone)] {
        let (first, a) = bound(A, accept);
        let rig = Rig::new(&Overload::unlimited(2), vec![first]);
        lose_none(rig, A, || {
            let client = TcpStream::connect(a)?;
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            // A reset at the end leaves no port behind in TIME_WAIT.
            socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            Ok(client)
        });
    }
}

#[test]
fn the_same_over_a_unix_socket_whose_file_goes_too() {
    let directory = std::env::temp_dir().join(format!("sidegate-net-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("socket");
    for _ in 0..10 {
        let listener = bind(A, config(&format!("unix:{}", path.display()), AcceptMode::Balanced), 2).unwrap();
        let rig = Rig::new(&Overload::unlimited(2), vec![listener]);
        lose_none(rig, A, || {
            let client = UnixStream::connect(&path)?;
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            Ok(client)
        });
        assert!(!path.exists());
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn an_update_is_taken_before_what_arrives_after_it() {
    let (first, a) = bound(A, AcceptMode::Balanced);
    let rig = Rig::new(&Overload::unlimited(2), vec![first]);
    let mut kept: Vec<_> = (0..4).map(|_| connect(a)).collect();
    for adds in 1..20 {
        assert!(wait(rig.workers.publish(Arc::new(adds)).taken(PATIENCE)));
        kept.iter_mut().for_each(|client| assert_eq!(ask(client, b'0'), Some(b'0' + adds)));
    }
    rig.end();
}
