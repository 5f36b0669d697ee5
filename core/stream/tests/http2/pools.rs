//! Pools of connections that many streams share.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use sidegate_stream::h2::{ClientStream, Http2Settings};
use sidegate_stream::{Connecting, InLine, PoolLimits, SharedPool, Taken};

use crate::kit::*;

const LIMITS: PoolLimits = PoolLimits { idle_timeout: None, max_requests: None };

fn settings(streams: u32) -> Http2Settings {
    Http2Settings { max_concurrent_streams: streams, ..Http2Settings::upstream() }
}

fn connect(pool: &Rc<SharedPool>) -> Connecting {
    match pool.take() {
        Taken::Connect(connecting) => connecting,
        other => panic!("{other:?}"),
    }
}

fn wait(pool: &Rc<SharedPool>) -> InLine {
    match pool.take() {
        Taken::Wait(waiting) => waiting,
        other => panic!("{other:?}"),
    }
}

fn ready(pool: &Rc<SharedPool>) -> ClientStream {
    match pool.take() {
        Taken::Ready(stream) => stream,
        other => panic!("{other:?}"),
    }
}

async fn turn(waiting: &InLine) -> Result<Taken, ErrorKind> {
    poll_fn(|cx| waiting.poll(cx)).await
}

fn is_pending(waiting: &InLine) -> bool {
    waiting.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// A pool with one connection of so many streams, the stream of who made it and
/// its host.
async fn filled(port: &Port, streams: u32, limits: PoolLimits) -> (Rc<SharedPool>, ClientStream, RawHost) {
    let pool = SharedPool::new(limits);
    let (connection, host) = port.pair_with(&settings(streams)).await;
    let stream = connect(&pool).made(connection).unwrap();
    (pool, stream, host.greet(&[]).await)
}

/// Others of the cluster have their turn: nobody gets a place for a while, and
/// what has run out of streams goes although somebody waits for it.
#[test]
fn a_pool_that_gives_way_goes_on_or_loses_its_connection() {
    run(async {
        let port = Port::new().await;
        let (pool, stream, _host) = filled(&port, 10, LIMITS).await;
        pool.give_way(Duration::from_millis(50));
        let connecting = connect(&pool);
        let waiting = wait(&pool);
        assert!(!pool.drop_one() && is_pending(&waiting), "the connection has a stream");
        let spared = poll_fn(|cx| connecting.poll_spared(cx)).await;
        drop((connecting, spared));
        assert!(matches!(turn(&waiting).await, Ok(Taken::Ready(_))));
        drop((waiting, stream));
        pool.give_way(Duration::from_secs(3600));
        let connecting = connect(&pool);
        assert!(pool.drop_one() && pool.connections() == 0);
        // Who has made another one need not give way with it.
        let (connection, _host) = port.pair_with(&settings(10)).await;
        let made = connecting.made(connection).unwrap();
        drop((ready(&pool), made));
    });
}

#[test]
fn one_connects_and_the_others_wait_for_it() {
    run(async {
        let port = Port::new().await;
        let pool = SharedPool::new(LIMITS);
        let first = connect(&pool);
        let others = [wait(&pool), wait(&pool), wait(&pool)];
        assert!(others.iter().all(is_pending));
        let (connection, _host) = port.pair_with(&settings(3)).await;
        let made = first.made(connection.clone()).unwrap();
        let [a, b, c] = others;
        let places = tokio::task::spawn_local(async move { [turn(&a).await, turn(&b).await].map(Result::unwrap) });
        let places = places.await.unwrap();
        assert!(matches!(&places, [Taken::Ready(_), Taken::Ready(_)]), "{places:?}");
        assert_eq!(connection.streams(), 3);
        // It is full: the third one makes another.
        assert!(matches!(turn(&c).await, Ok(Taken::Connect(_))));
        drop((made, places));
        assert_eq!(connection.streams(), 0);
    });
}

#[test]
fn a_second_connection_comes_when_one_is_full_and_the_first_is_filled_first() {
    run(async {
        let port = Port::new().await;
        let (pool, first, _host) = filled(&port, 2, LIMITS).await;
        let second = ready(&pool);
        let (other, _other_host) = port.pair_with(&settings(2)).await;
        let third = connect(&pool).made(other.clone()).unwrap();
        assert_eq!((pool.connections(), other.streams()), (2, 1));
        drop(first);
        let again = ready(&pool);
        assert_eq!(other.streams(), 1, "the first one had room");
        drop((second, third, again));
        assert_eq!(pool.idle(), 2);
    });
}

#[test]
fn who_waits_gets_a_place_that_comes_up_and_newcomers_stand_behind() {
    run(async {
        let port = Port::new().await;
        let (pool, first, _host) = filled(&port, 1, LIMITS).await;
        let connector = connect(&pool);
        let (a, b) = (wait(&pool), wait(&pool));
        assert!(is_pending(&a) && is_pending(&b));
        drop(first);
        let c = wait(&pool);
        assert!(is_pending(&b) && is_pending(&c));
        let Ok(Taken::Ready(place)) = turn(&a).await else { panic!() };
        // Who may not connect yet takes what comes up.
        let spared = poll_fn(|cx| Poll::Ready(connector.poll_spared(cx))).await;
        assert!(spared.is_pending());
        drop((place, b));
        let Poll::Ready(place) = poll_fn(|cx| Poll::Ready(connector.poll_spared(cx))).await else { panic!() };
        drop(connector);
        assert!(matches!(turn(&c).await, Ok(Taken::Connect(_))));
        drop(place);
    });
}

#[test]
fn a_line_is_served_before_newcomers_come() {
    run(async {
        let port = Port::new().await;
        let pool = SharedPool::new(LIMITS);
        let first = connect(&pool);
        let line: Vec<_> = (0..50).map(|_| wait(&pool)).collect();
        assert!(line.iter().all(is_pending));
        let (connection, _host) = port.pair_with(&settings(100)).await;
        let made = first.made(connection.clone()).unwrap();
        // Nobody of the line has run since.
        let newcomer = ready(&pool);
        assert_eq!(connection.streams(), 52);
        // Who leaves without a look at what it got gives it back.
        drop(line);
        assert_eq!(connection.streams(), 2);
        drop((made, newcomer));
    });
}

#[test]
fn who_gives_up_connecting_leaves_it_to_the_next_and_who_fails_to_nobody() {
    run(async {
        let pool = SharedPool::new(LIMITS);
        let first = connect(&pool);
        let (a, b, c) = (wait(&pool), wait(&pool), wait(&pool));
        assert!(is_pending(&a));
        drop(first);
        let Ok(Taken::Connect(second)) = turn(&a).await else { panic!() };
        assert!(is_pending(&b) && is_pending(&c));
        second.failed(ErrorKind::ConnectionRefused);
        assert_eq!(turn(&b).await.unwrap_err(), ErrorKind::ConnectionRefused);
        assert_eq!(turn(&c).await.unwrap_err(), ErrorKind::ConnectionRefused);
        drop(connect(&pool));
    });
}

#[test]
fn connections_end_after_their_last_request_and_when_they_idle() {
    run(async {
        let port = Port::new().await;
        let limits = PoolLimits { max_requests: NonZeroU32::new(2), ..LIMITS };
        let (pool, first, mut host) = filled(&port, 10, limits).await;
        let second = ready(&pool);
        let connecting = connect(&pool);
        assert_eq!(pool.connections(), 0, "its two requests are given");
        drop((first, second));
        host.next_of(&[GOAWAY]).await;
        drop(connecting);

        let limits = PoolLimits { idle_timeout: Some(Duration::from_secs(60)), ..LIMITS };
        let (pool, stream, mut host) = filled(&port, 10, limits).await;
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        pool.sweep(later(0));
        pool.sweep(later(100));
        assert_eq!(pool.connections(), 1, "it has a stream");
        drop(stream);
        pool.sweep(later(100));
        drop(ready(&pool));
        pool.sweep(later(161));
        pool.sweep(later(220));
        assert_eq!((pool.connections(), pool.oldest()), (1, Some(later(161))), "a request came in between");
        pool.sweep(later(221));
        assert_eq!(pool.connections(), 0);
        host.next_of(&[GOAWAY]).await;
    });
}

#[test]
fn what_the_host_closed_is_not_given_out() {
    run(async {
        let port = Port::new().await;
        let (pool, stream, mut host) = filled(&port, 10, LIMITS).await;
        drop(stream);
        host.goodbye(0, 0).await;
        drop(host);
        while pool.connections() > 0 {
            tokio::task::yield_now().await;
        }
        let (connection, host) = port.pair_with(&settings(1)).await;
        drop(connect(&pool).made(connection).unwrap());
        drop(host);
        while let Taken::Ready(stream) = pool.take() {
            drop(stream);
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn a_closed_pool_keeps_nothing_and_what_is_on_its_way_ends_in_order() {
    run(async {
        let port = Port::new().await;
        let (pool, mut stream, mut host) = filled(&port, 10, LIMITS).await;
        get(&mut stream);
        let id = host.request().await;
        pool.close();
        assert_eq!(pool.connections(), 0);
        host.answer(id, b"x").await;
        assert_eq!(whole(&mut stream).await, b"x");
        drop(stream);
        host.next_of(&[GOAWAY]).await;
        let (connection, host) = port.pair_with(&settings(1)).await;
        let late = connect(&pool).made(connection.clone()).unwrap();
        assert!(connection.is_leaving() && pool.connections() == 0);
        drop((late, host));
    });
}

#[test]
fn idle_connections_give_way() {
    run(async {
        let port = Port::new().await;
        let (pool, stream, mut host) = filled(&port, 10, LIMITS).await;
        assert!(!pool.drop_one(), "it is in use");
        drop(stream);
        assert!(pool.drop_one() && !pool.drop_one());
        while host.next().await.is_some() {}
        let (pool, stream, mut host) = filled(&port, 10, LIMITS).await;
        drop(stream);
        assert!(pool.reset_one());
        while host.next().await.is_some() {}
        assert_eq!(pool.connections(), 0);
    });
}
