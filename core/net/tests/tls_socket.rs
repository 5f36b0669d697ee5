//! TLS over real sockets: reads and writes that wait, ends of each kind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use sidegate_api::Address;
use sidegate_net::{BufferPool, ReadBuffer, Socket};
use sidegate_tls::{
    ClientAuth, ClientContext, ClientSettings, Failure, Identity, Limits, Materials, NameRule, PeerName, Protocol,
    Reason, Resumption, Roots, ServerAuth, ServerContext, ServerContexts, ServerSettings, Session, Source, TicketKeys,
    TicketSecrets, Trust,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Two sessions that have not met.
fn sessions() -> (Session, Session) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["a.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let inline = |pem: String| Source::Inline(pem.into());
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let read = |_: &Path| Err(missing());
    let system_roots = || Err(missing());
    let tickets = TicketSecrets::rotated().unwrap();
    let materials =
        Materials { read: &read, system_roots: &system_roots, tickets, key_log: None, taken: Default::default() };
    let server = ServerSettings {
        identity: Identity { chain: inline(certificate.pem()), key: inline(key.serialize_pem()), ocsp: None },
        server_names: Vec::new(),
        clients: ClientAuth::None,
        protocol: Protocol::default(),
        alpn_strict: false,
        resumption: Resumption::On,
        tickets: TicketKeys::Rotated,
    };
    let trust = Trust { roots: Roots::Given(inline(certificate.pem())), ..Trust::default() };
    let client = ClientSettings {
        identity: None,
        verify: ServerAuth::Verified(trust),
        server_name: NameRule::Host,
        protocol: Protocol::default(),
        resumption: Resumption::On,
    };
    let limits = Limits::default();
    let server = Arc::new(ServerContext::new(&server, &materials).unwrap());
    let server = Session::server(Arc::new(ServerContexts::new(vec![server]).unwrap()), &limits);
    let client = ClientContext::new(&client, &materials).unwrap();
    let name = PeerName::parse("a.test").unwrap();
    (Session::client(&client, &name, &[], &limits).unwrap(), server)
}

fn socket(stream: UnixStream) -> Socket {
    stream.set_nonblocking(true).unwrap();
    Socket::from_fd(OwnedFd::from(stream), &Address::Unix("/".into())).unwrap()
}

/// Two ends of a connection that have agreed.
struct Ends {
    client: Socket,
    server: Socket,
}

impl Ends {
    async fn open() -> Ends {
        let (client, server) = UnixStream::pair().unwrap();
        let (mut client, mut server) = (socket(client), socket(server));
        let (ours, theirs) = sessions();
        client.start_tls(ours);
        server.start_tls(theirs);
        let (one, other) =
            tokio::join!(poll_fn(|cx| client.poll_handshake(cx)), poll_fn(|cx| server.poll_handshake(cx)));
        one.unwrap();
        other.unwrap();
        // The server's ticket comes behind the handshake; unread, it would make a
        // reset of a close.
        poll_fn(|cx| client.poll_readable(cx)).await.unwrap();
        assert!(now(|cx| client.is_quiet(cx)));
        Ends { client, server }
    }
}

fn test(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("in time") });
}

fn now<T>(poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
    poll(&mut Context::from_waker(Waker::noop()))
}

async fn write_all(socket: &mut Socket, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let count = poll_fn(|cx| socket.poll_write(cx, &[IoSlice::new(bytes)])).await.unwrap();
        bytes = &bytes[count..];
    }
    poll_fn(|cx| socket.poll_flush(cx)).await.unwrap();
}

fn buffer(size: usize) -> ReadBuffer {
    ReadBuffer::new(BufferPool::new(size, 1))
}

/// Reads `count` bytes, at most `size` at a time.
async fn read(socket: &mut Socket, count: usize, size: usize) -> Vec<u8> {
    let (mut got, mut buffer) = (Vec::new(), buffer(size));
    while got.len() < count {
        let read = poll_fn(|cx| socket.poll_read(cx, &mut buffer, size)).await.unwrap();
        assert!(read > 0, "an end after {} of {count}", got.len());
        got.extend_from_slice(buffer.filled());
        buffer.consume(read);
    }
    got
}

async fn read_once(socket: &mut Socket) -> io::Result<usize> {
    let mut buffer = buffer(1024);
    poll_fn(|cx| socket.poll_read(cx, &mut buffer, 1024)).await
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|place| (place * 7 + place / 251) as u8).collect()
}

#[test]
fn bytes_go_both_ways_whatever_the_readers_take() {
    test(async {
        let mut ends = Ends::open().await;
        let bytes = pattern(300_000);
        for size in [7, 1000, 16 * 1024, 64 * 1024] {
            let bytes = &bytes[..if size == 7 { 50_000 } else { bytes.len() }];
            let (got, ()) = tokio::join!(read(&mut ends.server, bytes.len(), size), write_all(&mut ends.client, bytes));
            assert!(got == bytes, "{size}");
            let (got, ()) = tokio::join!(read(&mut ends.client, bytes.len(), size), write_all(&mut ends.server, bytes));
            assert!(got == bytes, "{size}");
        }
        assert_eq!((ends.client.held(), ends.server.held()), (0, 0));
        assert_eq!(ends.client.traffic(), ends.server.traffic());
        assert_eq!(ends.client.traffic().written, 950_000);
    });
}

#[test]
fn after_a_write_that_waits_comes_any_other() {
    test(async {
        let mut ends = Ends::open().await;
        // Until the kernel takes no more, and then none is taken.
        let (mut taken, mut rounds) = (Vec::new(), 0_u8);
        while taken.len() < 64 << 20 {
            rounds = rounds.wrapping_add(1);
            let part = vec![rounds; 40_000];
            match now(|cx| ends.client.poll_write(cx, &[IoSlice::new(&part)])) {
                Poll::Ready(count) => taken.extend_from_slice(&part[..count.unwrap()]),
                Poll::Pending => break,
            }
        }
        assert!(!ends.client.is_flushed() && ends.client.held() > 0);
        assert!(now(|cx| ends.client.poll_flush(cx)).is_pending());
        // Shorter than what waits, and of other bytes.
        let send = async {
            let count = poll_fn(|cx| ends.client.poll_write(cx, &[IoSlice::new(b"other")])).await.unwrap();
            assert_eq!(count, 5);
            poll_fn(|cx| ends.client.poll_flush(cx)).await.unwrap();
            assert!(ends.client.is_flushed());
        };
        let (got, ()) = tokio::join!(read(&mut ends.server, taken.len() + 5, 16 * 1024), send);
        taken.extend_from_slice(b"other");
        assert!(got == taken);
        assert_eq!(ends.client.held(), 0);
    });
}

#[test]
fn an_end_that_is_announced_leaves_the_other_way_open() {
    test(async {
        let mut ends = Ends::open().await;
        write_all(&mut ends.client, b"last").await;
        poll_fn(|cx| ends.client.poll_shutdown(cx)).await.unwrap();
        assert_eq!(read(&mut ends.server, 4, 100).await, b"last");
        assert_eq!(read_once(&mut ends.server).await.unwrap(), 0);
        assert!(ends.server.peer_has_ended());
        // It stays so, without a wait.
        poll_fn(|cx| ends.server.poll_readable(cx)).await.unwrap();
        assert_eq!(read_once(&mut ends.server).await.unwrap(), 0);
        assert!(!now(|cx| ends.server.is_quiet(cx)));
        write_all(&mut ends.server, b"answer").await;
        assert_eq!(read(&mut ends.client, 6, 100).await, b"answer");
    });
}

#[test]
fn a_socket_that_is_dropped_says_goodbye() {
    test(async {
        let mut ends = Ends::open().await;
        write_all(&mut ends.client, b"all").await;
        drop(ends.client);
        assert_eq!(read(&mut ends.server, 3, 100).await, b"all");
        assert_eq!(read_once(&mut ends.server).await.unwrap(), 0);
    });
}

#[test]
fn a_connection_that_is_cut_is_none_that_ends() {
    test(async {
        for cut in [true, false] {
            let mut ends = Ends::open().await;
            if cut {
                ends.client.reset_on_close();
            } else {
                // More than goes out at once: a part of it never does.
                while now(|cx| ends.client.poll_write(cx, &[IoSlice::new(&[7; 60_000])])).is_ready() {}
            }
            drop(ends.client);
            let failure = loop {
                match read_once(&mut ends.server).await {
                    Ok(0) => panic!("it looks like an end"),
                    Ok(_) => {}
                    Err(error) => break Failure::within(&error).unwrap().reason,
                }
            };
            assert_eq!(failure, Reason::Truncated, "{cut}");
            assert!(ends.server.peer_has_ended());
        }
    });
}

#[test]
fn what_is_for_the_session_alone_is_no_noise() {
    test(async {
        let mut ends = Ends::open().await;
        assert!(now(|cx| ends.client.is_quiet(cx)));
        assert!(now(|cx| ends.server.is_quiet(cx)));
        write_all(&mut ends.server, b"noise").await;
        poll_fn(|cx| ends.client.poll_readable(cx)).await.unwrap();
        assert!(!now(|cx| ends.client.is_quiet(cx)));
        assert!(!ends.client.peer_has_ended());
        // Nothing was lost of it.
        assert_eq!(read(&mut ends.client, 5, 100).await, b"noise");
        assert!(now(|cx| ends.client.is_quiet(cx)));
        drop(ends.server);
        poll_fn(|cx| ends.client.poll_readable(cx)).await.unwrap();
        assert!(!now(|cx| ends.client.is_quiet(cx)));
        assert!(ends.client.peer_has_ended());
    });
}

#[test]
fn what_has_been_decrypted_is_there_without_the_kernel() {
    test(async {
        let mut ends = Ends::open().await;
        write_all(&mut ends.client, &pattern(100)).await;
        assert_eq!(read(&mut ends.server, 10, 10).await, pattern(100)[..10]);
        assert!(now(|cx| ends.server.poll_readable(cx)).is_ready());
        assert!(ends.server.held() >= 90);
        assert_eq!(read(&mut ends.server, 90, 1000).await, pattern(100)[10..]);
        assert!(now(|cx| ends.server.poll_readable(cx)).is_pending());
        assert_eq!(ends.server.held(), 0);
    });
}

#[test]
fn a_handshake_that_is_cut_is_told_from_one_that_is_none() {
    test(async {
        for (bytes, reason) in
            [(&b""[..], Reason::Truncated), (b"\x16\x03", Reason::Truncated), (b"GET /", Reason::ClearText)]
        {
            let (client, server) = UnixStream::pair().unwrap();
            let mut server = socket(server);
            server.start_tls(sessions().1);
            io::Write::write_all(&mut &client, bytes).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            let failure = poll_fn(|cx| server.poll_handshake(cx)).await.unwrap_err();
            assert_eq!(failure.reason, reason);
            drop(server);
            let mut answer = Vec::new();
            io::Read::read_to_end(&mut &client, &mut answer).unwrap();
            assert_eq!(answer.starts_with(b"HTTP/1.1 400 "), reason == Reason::ClearText);
        }
    });
}
