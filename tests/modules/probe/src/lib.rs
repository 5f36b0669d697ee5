//! Filters for end-to-end tests, each about one part of the ABI as the SDK
//! has it. Several in one module on purpose.
//!
//! | filter | what it does |
//! |---|---|
//! | `edit` | changes heads, bodies and trailers of both directions |
//! | `tag` | appends its configured tag to `x-tags`, and to `x-tags` of the response |
//! | `share` | sets and shows variables that filters share |
//! | `wait` | waits in the hook that `x-wait-in` names, as `x-wait` says |
//! | `state` | replies which worker it is on, and that worker's count |
//! | `route` | shows the route's settings |
//! | `limits` | asks for too much and replies with what it was answered |
//! | `refuse` | replies as `x-reply` says, and answers `x-then`, in the hook `x-in` |
//! | `account` | logs how each stream ended |
//! | `peer` | shows who a client of TLS is |

#![forbid(unsafe_code)]

mod account;
mod edit;
mod limits;
mod peer;
mod refuse;
mod route;
mod share;
mod state;
mod tag;
mod wait;

sidegate_sdk::export! {
    "edit" => edit::Edit,
    "tag" => tag::Tag,
    "share" => share::Share,
    "wait" => wait::Wait,
    "state" => state::State,
    "route" => route::Route,
    "limits" => limits::Limits,
    "refuse" => refuse::Refuse,
    "account" => account::Account,
    "peer" => peer::Peer,
}
