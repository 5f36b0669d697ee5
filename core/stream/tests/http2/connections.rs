//! How connections live and end.

use std::time::{Duration, Instant};

use sidegate_stream::h2::Http2Settings;
use sidegate_stream::{BodyFault, ClientError};

use crate::kit::*;

const ENHANCE_YOUR_CALM: u32 = 11;

#[test]
fn goodbye_ends_what_was_not_looked_at_and_lets_the_rest_go_on() {
    run(async {
        let port = Port::new().await;
        let (connection, log) = open(&port.address(), &Http2Settings::upstream()).await;
        let mut host = accept(&port).await;
        let mut first = connection.stream(None).unwrap();
        let mut second = connection.stream(None).unwrap();
        get(&mut first);
        get(&mut second);
        let (id, _) = (host.request().await, host.request().await);
        let mut third = connection.stream(None).unwrap();
        host.goodbye(id, ENHANCE_YOUR_CALM).await;
        assert!(matches!(next_head(&mut second).await, Err(ClientError::NotProcessed)));
        assert!(connection.is_leaving() && connection.stream(None).is_none());
        // Its place was taken before.
        get(&mut third);
        assert!(matches!(next_head(&mut third).await, Err(ClientError::NotProcessed)));
        host.answer(id, b"x").await;
        assert_eq!(whole(&mut first).await, b"x");
        drop((first, second, third));
        while host.next().await.is_some() {}
        settle().await;
        let log = log.borrow();
        assert_eq!(log.iter().filter(|what| *what == "GoAway").count(), 1, "{log:?}");
        assert_eq!(log.iter().filter(|what| *what == "NotProcessed").count(), 2, "{log:?}");
        assert!(log.last().unwrap().starts_with("closed by"), "{log:?}");
    });
}

async fn accept(port: &Port) -> RawHost {
    RawHost::new(port.accept().await).await.greet(&[]).await
}

#[test]
fn a_host_that_goes_away_ends_its_streams() {
    run(async {
        let (connection, mut host) = Port::new().await.pair().await;
        let mut first = connection.stream(None).unwrap();
        let mut second = connection.stream(None).unwrap();
        get(&mut first);
        get(&mut second);
        let (id, _) = (host.request().await, host.request().await);
        host.send(HEADERS, END_HEADERS, id, OK).await;
        next_head(&mut first).await.unwrap();
        drop(host);
        assert!(matches!(next_head(&mut second).await, Err(ClientError::ClosedBeforeResponse | ClientError::Io(_))));
        assert!(matches!(body(&mut first).await, Err(BodyFault::Closed | BodyFault::Io(_))));
        settle().await;
        assert!(connection.stream(None).is_none());
    });
}

#[test]
fn what_is_no_http2_is_refused() {
    run(async {
        let (connection, mut host) = Port::new().await.pair().await;
        let mut stream = connection.stream(None).unwrap();
        get(&mut stream);
        let id = host.request().await;
        // A window of nothing: an error of the stream. A frame on stream 0
        // that needs one: an error of the connection.
        host.send(HEADERS, END_HEADERS, id, &field("connection", "close")).await;
        let error = next_head(&mut stream).await.unwrap_err();
        assert_eq!(error.to_string(), "response refused: http2_protocol_error");
        assert!(!connection.is_leaving());
        let mut stream = connection.stream(None).unwrap();
        get(&mut stream);
        host.send(DATA, 0, 0, b"x").await;
        let error = next_head(&mut stream).await.unwrap_err();
        assert_eq!(error.to_string(), "response refused: http2_protocol_error");
        settle().await;
        assert!(connection.stream(None).is_none());
    });
}

#[test]
fn the_hosts_bound_on_streams_is_kept_as_it_changes() {
    run(async {
        const MAX_CONCURRENT_STREAMS: u16 = 3;
        let (connection, host) = Port::new().await.pair_with(&Http2Settings::upstream()).await;
        let mut host = host.greet(&[(MAX_CONCURRENT_STREAMS, 2)]).await;
        while host.next_of(&[SETTINGS]).await.flags == 0 {}
        let streams = [connection.stream(None).unwrap(), connection.stream(None).unwrap()];
        assert!(connection.stream(None).is_none());
        let mut host = host.greet(&[(MAX_CONCURRENT_STREAMS, 3)]).await;
        host.next_of(&[SETTINGS]).await;
        let third = connection.stream(None).unwrap();
        assert!(connection.stream(None).is_none());
        drop((third, streams));
        assert!(connection.stream(None).is_some());
        let ours = Http2Settings { max_concurrent_streams: 1, ..Http2Settings::upstream() };
        let (connection, _host) = Port::new().await.pair_with(&ours).await;
        let _stream = connection.stream(None).unwrap();
        assert!(connection.stream(None).is_none());
    });
}

#[test]
fn a_dead_host_is_found_by_a_ping_and_a_living_one_is_kept() {
    run(async {
        let port = Port::new().await;
        let (connection, log) = open(&port.address(), &keepalive(60)).await;
        let mut host = accept(&port).await;
        let mut stream = connection.stream(None).unwrap();
        get(&mut stream);
        // Three pings are answered, each after a silence.
        for _ in 0..3 {
            let ping = host.next_of(&[PING]).await;
            assert_eq!(ping.flags, 0);
            host.send(PING, 1, 0, &ping.payload).await;
        }
        assert!(!connection.is_leaving());
        let asked = Instant::now();
        let error = next_head(&mut stream).await.unwrap_err();
        assert!(matches!(&error, ClientError::Io(error) if error.kind() == std::io::ErrorKind::TimedOut), "{error:?}");
        assert!(asked.elapsed() >= Duration::from_millis(60));
        settle().await;
        assert_eq!(*log.borrow(), ["PingTimedOut", "closed by Us"]);
    });
}

#[test]
fn bytes_that_come_take_the_place_of_a_ping() {
    run(async {
        let port = Port::new().await;
        let (connection, host) = port.pair_with(&keepalive(200)).await;
        let mut host = host.greet(&[]).await;
        let mut stream = connection.stream(None).unwrap();
        get(&mut stream);
        let id = host.request().await;
        host.send(HEADERS, END_HEADERS, id, OK).await;
        next_head(&mut stream).await.unwrap();
        let reading = tokio::task::spawn_local(async move { body(&mut stream).await });
        // For longer than a silence and a ping without an answer.
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(700) {
            host.send(DATA, 0, id, b"x").await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        host.send(DATA, END_STREAM, id, b"").await;
        reading.await.unwrap().unwrap();
        assert!(!connection.is_leaving());
        // From here on it is silent.
        host.next_of(&[PING]).await;
    });
}

#[test]
fn a_closed_connection_says_goodbye_once_its_streams_are_done() {
    run(async {
        let port = Port::new().await;
        let (connection, log) = open(&port.address(), &Http2Settings::upstream()).await;
        let mut host = accept(&port).await;
        let mut stream = connection.stream(None).unwrap();
        connection.close();
        assert!(connection.stream(None).is_none());
        get(&mut stream);
        let id = host.request().await;
        host.answer(id, b"x").await;
        assert_eq!(whole(&mut stream).await, b"x");
        drop(stream);
        assert_eq!(host.next_of(&[GOAWAY]).await.payload[4..8], [0; 4]);
        assert_eq!(host.next().await, None);
        settle().await;
        assert_eq!(*log.borrow(), ["closed by Us"]);
    });
}

#[test]
fn a_host_that_sends_too_much_that_means_nothing_is_cut() {
    run(async {
        let port = Port::new().await;
        let (connection, log) = open(&port.address(), &Http2Settings::upstream()).await;
        let mut host = accept(&port).await;
        let mut stream = connection.stream(None).unwrap();
        get(&mut stream);
        for _ in 0..1000 {
            if host.try_send(PING, 0, 0, &[0; 8]).await.is_err() {
                break;
            }
        }
        let error = next_head(&mut stream).await.unwrap_err();
        assert_eq!(error.to_string(), "response refused: http2_protocol_error");
        settle().await;
        assert_eq!(*log.borrow(), ["Flood(Ping)", "closed by Us"]);
    });
}
