//! The Stream layer: one request and its response, on the server's and the
//! client's side, whatever protocol carries them, and the pools of upstream
//! connections.
//!
//! ```text
//!  downstream  upstream   what the proxy sees
//!  pool                   upstream connections between requests
//!  flow  replay           a body from one side to the other
//!  h1  h2                 how each protocol does it
//!  pipe  message          a socket's bytes; words that all have in common
//! ```
//!
//! Everything here is poll functions over one carrier; the proxy composes
//! them, so that both directions of a stream move in one task without a
//! channel between them.

#![forbid(unsafe_code)]

mod downstream;
mod flow;
pub mod h1;
pub mod h2;
mod interim;
mod message;
mod pipe;
mod pool;
mod replay;
mod upstream;

pub use downstream::Downstream;
pub use flow::{At, Discard, Flow, FlowFault, Left, Nobody, Receiver, Sender, Step, Way};
pub use message::{Announced, BodyEvent, BodyFault, Data, End, Last, Reason, RequestStart, ResponseStart, Watch};
pub use pipe::{Pipe, Waiting};
pub use pool::{Connecting, Handed, HostPool, InLine, PoolLimits, SharedPool, Taken};
pub use replay::{REPLAY_BYTES, Replay};
pub use upstream::{ClientError, ClosedBy, OnClose, Upstream};

pub use sidegate_protocol::http1::{
    BodyError, Expect, Grammar, Limits, RequestError, ResponseError, Spelling, TargetBytes, Trailers, Upgrade,
    UpgradeProtocol,
};
