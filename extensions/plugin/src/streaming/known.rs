//! What a session has learnt of its plugin, for workers to read.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use sidegate_api::{BodyDirection, ReceiverPhase, Variable};
use sidegate_proto::v1;

use super::hook::Hook;

/// Which protocol a plugin speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Speaks {
    /// It was not asked yet.
    Unknown = 0,
    Own = 1,
    /// It does not serve ours.
    Mosn = 2,
}

#[derive(Debug, Default)]
pub(crate) struct Known {
    speaks: AtomicU8,
    /// A bit for each variable's number that it asks for.
    variables: AtomicU64,
    /// A bit for each hook that it does not want.
    unwanted: AtomicU32,
}

impl Known {
    pub(crate) fn speaks(&self) -> Speaks {
        match self.speaks.load(Ordering::Acquire) {
            1 => Speaks::Own,
            2 => Speaks::Mosn,
            _ => Speaks::Unknown,
        }
    }

    pub(crate) fn forget(&self) {
        self.speaks.store(Speaks::Unknown as u8, Ordering::Release);
    }

    pub(crate) fn no_own(&self) {
        self.speaks.store(Speaks::Mosn as u8, Ordering::Release);
    }

    /// It serves our protocol, and said this of itself.
    pub(crate) fn described(&self, description: &v1::DescribeResponse) {
        // A variable that is not known here has no value.
        let known = description.variables.iter().filter_map(|number| u32::try_from(*number).ok());
        let bits = known.filter(|number| Variable::from_number(*number).is_some() && *number < 64);
        self.variables.store(bits.fold(0, |all, number| all | 1 << number), Ordering::Relaxed);
        let unwanted = description.hooks.as_ref().map_or(0, unwanted);
        self.unwanted.store(unwanted, Ordering::Relaxed);
        self.speaks.store(Speaks::Own as u8, Ordering::Release);
    }

    pub(crate) fn wants(&self, hook: Hook) -> bool {
        let number = match hook {
            Hook::RequestHeaders(phase, _) => phase as u32,
            other => u32::from(other.number()),
        };
        self.unwanted.load(Ordering::Relaxed) & 1 << number == 0
    }

    pub(crate) fn asks_for(&self, variable: Variable) -> bool {
        let number = variable as u32;
        number < 64 && self.variables.load(Ordering::Relaxed) & 1 << number != 0
    }

    pub(crate) fn asks_for_any(&self) -> bool {
        self.variables.load(Ordering::Relaxed) != 0
    }
}

/// Phases have bits 1 to 3, other hooks those of their fields' numbers.
fn unwanted(hooks: &v1::Hooks) -> u32 {
    let body = |direction| match direction {
        BodyDirection::Request => hooks.request_body() != v1::BodyMode::None,
        BodyDirection::Response => hooks.response_body() != v1::BodyMode::None,
    };
    let all = [
        (ReceiverPhase::BeforeRoute as u32, hooks.request_before_route),
        (ReceiverPhase::AfterRoute as u32, hooks.request_after_route),
        (ReceiverPhase::AfterChooseHost as u32, hooks.request_after_choose_host),
        (4, body(BodyDirection::Request)),
        (5, hooks.request_trailers),
        (6, hooks.response_headers),
        (7, body(BodyDirection::Response)),
        (8, hooks.response_trailers),
    ];
    all.iter().filter(|(_, wanted)| !wanted).fold(0, |bits, (at, _)| bits | 1 << at)
}
