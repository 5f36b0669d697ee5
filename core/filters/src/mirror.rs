//! `mirror`: says how copies of a request are sent, where its route mirrors.

use std::num::NonZeroU32;
use std::sync::Arc;

use sidegate_api::{
    BuildEnv, EndOfStream, FilterCx, FilterFault, HookSet, Interests, MirrorFan, MirrorHosts, ReceiverPhase, Status,
    StreamFilter, StreamFilterFactory, WorkerIndex,
};

use crate::builtin::Definition;
use crate::settings::{Object, Shape, Table, key};

/// `type: mirror`
pub(crate) struct Mirror;

static MIRROR: Table = Table::new(
    "Says how copies of requests are sent on routes with `request_mirror_policies`, which say where to and how often. \
     Without this filter such a route sends one copy.",
    &[
        key("amplification", Shape::Integer(0, 100), "1", "Copies of each request; 0 is the default."),
        key(
            "broadcast",
            Shape::Bool,
            "`false`",
            "Whether each healthy host of the cluster gets the request, whatever `amplification` says, and nobody else \
             does: the answer is an empty 200.",
        ),
    ],
);

#[derive(Debug)]
struct Factory(MirrorFan);

struct Filter(MirrorFan);

impl Definition for Mirror {
    type Settings = MirrorFan;

    const TABLE: &'static Table = &MIRROR;

    fn read(config: &Object<'_>, _env: &BuildEnv) -> MirrorFan {
        let copies = config.get("amplification").and_then(|s| s.integer()).and_then(|n| u32::try_from(n).ok());
        let broadcast = config.get("broadcast").and_then(|s| s.bool()).unwrap_or_default();
        MirrorFan {
            copies: copies.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN),
            hosts: if broadcast { MirrorHosts::All } else { MirrorHosts::Chosen },
        }
    }

    fn factory(settings: MirrorFan, _name: &str, _env: &BuildEnv) -> Arc<dyn StreamFilterFactory> {
        Arc::new(Factory(settings))
    }
}

impl StreamFilterFactory for Factory {
    fn interests(&self) -> Interests {
        Interests { phases: HookSet::phases(&[ReceiverPhase::AfterRoute]), ..Interests::default() }
    }

    fn create_filter(&self, _worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        Ok(Box::new(Filter(self.0)))
    }
}

impl StreamFilter for Filter {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, _phase: ReceiverPhase, _end: EndOfStream) -> Status {
        cx.fan_mirror(self.0);
        Status::Continue
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Bench, Outcome, errors};

    #[test]
    fn settings_reach_the_stream() {
        for (config, copies, hosts) in [
            (json!({}), 1, MirrorHosts::Chosen),
            (json!({"amplification": 0}), 1, MirrorHosts::Chosen),
            (json!({"amplification": 3, "broadcast": false}), 3, MirrorHosts::Chosen),
            (json!({"broadcast": true}), 1, MirrorHosts::All),
        ] {
            let mut bench = Bench::new::<Mirror>(config);
            assert_eq!(bench.request(), Outcome::Continue);
            let fan = bench.stream.mirror.unwrap();
            assert_eq!((fan.copies.get(), fan.hosts), (copies, hosts));
        }
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            errors::<Mirror>(json!({"amplification": 101, "broadcast": 1})),
            [
                "config.amplification: expected an integer from 0 to 100, found 101",
                "config.broadcast: expected true or false, found 1"
            ]
        );
    }
}
