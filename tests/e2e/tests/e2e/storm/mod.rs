//! Modules and configurations change many times while clients of all kinds
//! keep the proxy busy: no request fails, none is answered by anything but one
//! whole generation, and what was replaced leaves the process.

mod clients;
mod origin;
mod subject;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use clients::{Clients, Stamps};
use subject::Subject;

/// How often what changes.
#[derive(Clone, Copy)]
struct Rounds {
    modules: u32,
    configurations: u32,
}

/// Both kinds of reload, spread evenly, under load.
fn storm(rounds: Rounds) {
    let mut subject = Subject::start();
    let stamps = Stamps::new(subject.stamp());
    let stop = AtomicBool::new(false);
    let served = thread::scope(|scope| {
        // However the reloads end, the clients do too.
        let _stop = StopOnDrop(&stop);
        let clients = Clients::start(scope, subject.address(), &stamps, &stop);
        clients.wait_until_all_are_served();
        let total = rounds.modules + rounds.configurations;
        for round in 1..=total {
            let configurations = |round: u32| u64::from(round) * u64::from(rounds.configurations) / u64::from(total);
            if configurations(round) > configurations(round - 1) {
                subject.reload_configuration();
            } else {
                let next = subject.stamp() + 1;
                stamps.may_be(next);
                subject.reload_module(next);
                stamps.must_be(next);
            }
            clients.check();
        }
        stop.store(true, Ordering::Relaxed);
        clients.join()
    });
    eprintln!("served while {} modules and {} configurations: {served:?}", rounds.modules, rounds.configurations);
    assert!(served.is_complete(), "a kind of client did nothing: {served:?}");
    subject.wait_for_one_generation();
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nothing_fails_while_modules_and_configurations_change() {
    storm(Rounds { modules: 30, configurations: 20 });
}

#[test]
#[ignore = "takes minutes"]
fn nothing_fails_in_500_reloads() {
    storm(Rounds { modules: 300, configurations: 200 });
}

/// Reloads of both kinds, with a request after each; what the process holds
/// is compared between the first `warm` and the end.
fn nothing_is_left_behind(warm: u32, rounds: u32) {
    /// What the allocator may keep beside what is used.
    const SLACK: usize = 4 << 20;
    let mut subject = Subject::start();
    let reload = |subject: &mut Subject, round: u32| {
        if round.is_multiple_of(2) {
            subject.reload_module(subject.stamp() + 1);
        } else {
            subject.reload_configuration();
        }
        assert_eq!(subject.stamp_of_a_request(), subject.stamp());
    };
    (0..warm).for_each(|round| reload(&mut subject, round));
    let before = subject.wait_for_one_generation();
    (warm..rounds).for_each(|round| reload(&mut subject, round));
    let after = subject.wait_for_one_generation();
    eprintln!("after {warm} reloads {before:?}, after {rounds} {after:?}");
    assert_eq!((after.threads, after.files), (before.threads, before.files), "threads and files");
    assert!(after.sockets <= before.sockets + 2, "{} sockets, {} before", after.sockets, before.sockets);
    assert!(after.resident <= before.resident + SLACK, "{} bytes, {} before", after.resident, before.resident);
}

#[test]
fn reloads_leave_nothing_behind() {
    nothing_is_left_behind(30, 90);
}

#[test]
#[ignore = "takes minutes"]
fn two_thousand_reloads_leave_nothing_behind() {
    // Series of listeners and clusters that have gone stay for a while, up to
    // a number that is reached after some 400 reloads.
    nothing_is_left_behind(600, 2400);
}
