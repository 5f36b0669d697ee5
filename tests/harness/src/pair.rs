//! What both sides of the proxy speak, for tests that do not care.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::Spoken;

/// What clients speak, and what hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Clients.
    pub down: Spoken,
    /// Hosts.
    pub up: Spoken,
}

thread_local! {
    static CURRENT: Cell<Option<Pair>> = const { Cell::new(None) };
}

impl Pair {
    /// HTTP/1.1 on both sides.
    pub const PLAIN: Pair = Pair { down: Spoken::Http1, up: Spoken::Http1 };

    /// The others.
    pub const WITH_HTTP2: [Pair; 3] = [
        Pair { down: Spoken::Http2, up: Spoken::Http1 },
        Pair { down: Spoken::Http1, up: Spoken::Http2 },
        Pair { down: Spoken::Http2, up: Spoken::Http2 },
    ];

    /// Runs a test that makes requests by [`Proxy::get`](crate::Proxy::get) and
    /// its kin, [`Client`](crate::Client)s and well-behaved
    /// [`Origin`](crate::Origin)s with these protocols. Of this thread alone.
    pub fn run<T>(self, test: impl FnOnce() -> T) -> T {
        struct Former(Option<Pair>);
        impl Drop for Former {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }
        let _former = Former(CURRENT.replace(Some(self)));
        test()
    }

    /// What the running test is to speak: HTTP/1.1 if nobody said otherwise, by
    /// [`Self::run`] or by `SIDEGATE_TEST_PAIR` (`Http2/Http1`: clients, hosts)
    /// for a look at tests that are in no table.
    pub fn current() -> Pair {
        CURRENT.get().or_else(asked).unwrap_or(Pair::PLAIN)
    }

    /// Has a configuration speak so, where it does not say itself what it
    /// speaks.
    pub fn apply(self, config: &mut Value) {
        if self.down == Spoken::Http2 {
            for listener in config["servers"][0]["listeners"].as_array_mut().into_iter().flatten() {
                let proxy = &mut listener["filter_chains"][0]["filters"][0]["config"];
                if proxy["downstream_protocol"] == "Http1" {
                    proxy["downstream_protocol"] = self.down.word().into();
                }
            }
        }
        for cluster in config["cluster_manager"]["clusters"].as_array_mut().into_iter().flatten() {
            if cluster.get("upstream_protocol").is_none() && self != Pair::PLAIN {
                cluster["upstream_protocol"] = json!(self.up.word());
            }
        }
    }
}

fn asked() -> Option<Pair> {
    let text = std::env::var("SIDEGATE_TEST_PAIR").ok()?;
    let (down, up) = text.split_once('/').expect("SIDEGATE_TEST_PAIR is CLIENTS/HOSTS");
    let spoken = |word| if word == "Http2" { Spoken::Http2 } else { Spoken::Http1 };
    Some(Pair { down: spoken(down), up: spoken(up) })
}
