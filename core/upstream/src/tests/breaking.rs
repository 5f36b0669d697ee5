//! Circuit breakers.

use std::num::NonZeroU32;

use super::*;

fn limited(max: u32) -> ClusterConfig {
    let limit = NonZeroU32::new(max);
    let breakers =
        BreakerConfig { max_connections: limit, max_pending_requests: limit, max_requests: limit, max_retries: limit };
    ClusterConfig { breakers, ..config(LbPolicy::Random, &[1]) }
}

type Take = fn(&Breakers) -> Result<Permit, Overflow>;

const ALL: [(Resource, Take); 4] = [
    (Resource::Connection, Breakers::connection),
    (Resource::Pending, Breakers::pending),
    (Resource::Request, Breakers::request),
    (Resource::Retry, Breakers::retry),
];

#[test]
fn so_many_and_not_one_more() {
    let cluster = Cluster::new(limited(2), &HostRegistry::new(Metrics::new(1))).unwrap();
    let breakers = cluster.breakers();
    for (resource, take) in ALL {
        let first = take(breakers).unwrap();
        let _second = take(breakers).unwrap();
        assert_eq!(take(breakers).unwrap_err(), Overflow(resource));
        assert_eq!(breakers.in_use(resource), 2);
        drop(first);
        let _third = take(breakers).unwrap();
        assert!(take(breakers).is_err());
    }
    assert_eq!(Overflow(Resource::Retry).to_string(), "max_retries of the cluster is reached");
    assert!(ALL.iter().all(|(resource, _)| breakers.in_use(*resource) == 0));
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

#[test]
fn room_is_made_once_for_a_connection_that_was_refused() {
    let cluster = Cluster::new(limited(1), &HostRegistry::new(Metrics::new(1))).unwrap();
    let breakers = cluster.breakers();
    let asked = |closes| {
        let mut asked = false;
        breakers.make_room(|| {
            asked = true;
            closes
        });
        asked
    };
    let _permit = breakers.connection().unwrap();
    assert!(!asked(true));
    assert!(breakers.connection().is_err());
    assert!(asked(false) && asked(true) && !asked(true));
}
