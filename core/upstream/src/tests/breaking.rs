//! Circuit breakers.

use std::num::NonZeroU32;
use std::task::{Context, Poll, Waker};

use super::*;

fn limited(max: u32) -> ClusterConfig {
    let limit = NonZeroU32::new(max);
    let retries = limit.map(RetryLimit::Fixed).unwrap_or_default();
    let breakers = BreakerConfig { max_connections: limit, max_pending_requests: limit, max_requests: limit, retries };
    ClusterConfig { breakers, ..config(LbPolicy::Random, &[1]) }
}

type Take = fn(&Cluster) -> Result<Box<dyn std::any::Any>, Overflow>;

fn boxed<T: 'static>(taken: T) -> Box<dyn std::any::Any> {
    Box::new(taken)
}

const ALL: [(Resource, Take); 4] = [
    (Resource::Connection, |cluster| match cluster.breakers().connection() {
        Ok(permit) => Ok(boxed(permit)),
        Err(_) => Err(Overflow(Resource::Connection)),
    }),
    (Resource::Pending, |cluster| cluster.breakers().pending().map(boxed)),
    (Resource::Request, |cluster| cluster.breakers().request().map(boxed)),
    (Resource::Retry, |cluster| cluster.retry().map(boxed)),
];

#[test]
fn so_many_and_not_one_more() {
    let cluster = Cluster::new(limited(2), &HostRegistry::new(Metrics::new(1))).unwrap();
    let breakers = cluster.breakers();
    for (resource, take) in ALL {
        let first = take(&cluster).unwrap();
        let _second = take(&cluster).unwrap();
        assert_eq!(take(&cluster).unwrap_err(), Overflow(resource));
        assert_eq!(breakers.in_use(resource), 2);
        drop(first);
        let _third = take(&cluster).unwrap();
        assert!(take(&cluster).is_err());
    }
    assert_eq!(Overflow(Resource::Retry).to_string(), "max_retries of the cluster is reached");
    assert!(ALL.iter().all(|(resource, _)| breakers.in_use(*resource) == 0));
    assert_eq!(breakers.waiting(), 0);
}

#[test]
fn retries_have_a_share_of_the_requests() {
    let cluster = cluster(LbPolicy::Random, &[1]);
    let mut few: Vec<_> = (0..3).map(|_| cluster.retry().unwrap()).collect();
    assert!(cluster.retry().is_err());
    few.iter_mut().for_each(RetryPermit::sent);
    // 20 % of 20 are 4.
    (0..20).for_each(|_| cluster.metrics().request_active.inc());
    let more = cluster.retry().unwrap();
    assert!(cluster.retry().is_err());
    // One that is between two attempts is in progress, too: of 25.
    (0..4).for_each(|_| cluster.metrics().request_active.inc());
    let another = cluster.retry().unwrap();
    drop((few, more, another));
    assert!(cluster.retry().is_ok());
}

#[test]
fn without_a_limit_nothing_is_counted() {
    let cluster = cluster(LbPolicy::Random, &[1]);
    let permits: Vec<Permit> = (0..1000).map(|_| cluster.breakers().request().unwrap()).collect();
    assert_eq!(cluster.breakers().in_use(Resource::Request), 0);
    drop(permits);
}

#[test]
fn what_is_in_use_outlives_its_snapshot() {
    let registry = HostRegistry::new(Metrics::new(1));
    let old = Cluster::new(limited(3), &registry).unwrap();
    let held = [old.breakers().request().unwrap(), old.breakers().request().unwrap()];
    let new = Cluster::new(limited(2), &registry).unwrap();
    drop(old);
    assert!(new.breakers().request().is_err());
    drop(held);
    assert!(new.breakers().request().is_ok());
}

#[test]
fn the_limit_holds_between_threads() {
    let cluster = Arc::new(Cluster::new(limited(8), &HostRegistry::new(Metrics::new(1))).unwrap());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let cluster = cluster.clone();
            std::thread::spawn(move || {
                for _ in 0..2000 {
                    let permits: Vec<_> = (0..4).filter_map(|_| cluster.breakers().request().ok()).collect();
                    assert!(cluster.breakers().in_use(Resource::Request) <= 8);
                    drop(permits);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(cluster.breakers().in_use(Resource::Request), 0);
}

fn poll(place: &mut Place) -> Poll<Permit> {
    place.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn who_waits_longest_gets_the_connection_that_ends() {
    let cluster = Cluster::new(limited(1), &HostRegistry::new(Metrics::new(1))).unwrap();
    let breakers = cluster.breakers();
    let held = breakers.connection().unwrap();
    let mut places: Vec<_> = (0..3).map(|_| breakers.connection().unwrap_err()).collect();
    assert_eq!(breakers.waiting(), 3);
    assert!(places.iter_mut().all(|place| poll(place).is_pending()));
    drop(held);
    // Handed over at once: nobody can come in between.
    assert_eq!((breakers.waiting(), breakers.in_use(Resource::Connection)), (2, 1));
    let mut late = breakers.connection().unwrap_err();
    let Poll::Ready(first) = poll(&mut places[0]) else { panic!("the first waits on") };
    assert!(poll(&mut places[1]).is_pending());
    // One leaves the queue; another was given its turn and leaves without it.
    drop(places.remove(1));
    drop(first);
    assert_eq!(breakers.waiting(), 1);
    drop(places);
    assert!(matches!(poll(&mut late), Poll::Ready(_)));
    drop(late);
    assert_eq!((breakers.waiting(), breakers.in_use(Resource::Connection)), (0, 0));
    assert!(breakers.connection().is_ok());
}

#[test]
fn room_is_made_while_somebody_waits() {
    let cluster = Cluster::new(limited(2), &HostRegistry::new(Metrics::new(1))).unwrap();
    let breakers = cluster.breakers();
    let mut pooled: Vec<_> = (0..2).map(|_| breakers.connection().unwrap()).collect();
    breakers.make_room(|| panic!("nobody waits"));
    let mut place = breakers.connection().unwrap_err();
    let mut asked = 0;
    breakers.make_room(|| {
        asked += 1;
        pooled.pop().is_some()
    });
    assert_eq!((asked, pooled.len()), (1, 1));
    assert!(matches!(poll(&mut place), Poll::Ready(_)));
}

/// As many tasks as there are connections wait on several threads, and all get
/// their turn, however they meet.
#[test]
fn nobody_is_forgotten_between_threads() {
    let cluster = Arc::new(Cluster::new(limited(2), &HostRegistry::new(Metrics::new(1))).unwrap());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let cluster = cluster.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    for _ in 0..3000 {
                        let permit = match cluster.breakers().connection() {
                            Ok(permit) => permit,
                            Err(mut place) => std::future::poll_fn(|cx| place.poll(cx)).await,
                        };
                        assert!(cluster.breakers().in_use(Resource::Connection) <= 2);
                        drop(permit);
                    }
                });
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!((cluster.breakers().waiting(), cluster.breakers().in_use(Resource::Connection)), (0, 0));
}
