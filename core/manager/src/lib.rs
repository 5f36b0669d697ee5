//! The one door through which what runs changes: files that are read again, the
//! admin interface, names that resolve differently.
//!
//! ```text
//!             ┌───────────── manager's thread ─────────────┐
//!  Update ───▶ queue ─▶ loader: Source reads and makes ─┐  │
//!             │  SocketPlan, ClusterPlan ◀──────────────┘  │
//!             │  steps: warm · bind · publish · accept ────┼─▶ workers, accept thread, Fronts
//!  upkeep, edits ▶ hosts ──────────────────────────────────┼─▶ workers
//!             │  Drains: what is gone ends in its time     │
//!             └──────────── Board, History, Meters ────────┘
//! ```
//!
//! A change is taken whole or not at all. What did not change stays the same
//! object, with all that is known of it.

#![forbid(unsafe_code)]

mod board;
mod certificates;
mod change;
mod clusters;
mod drain;
mod files;
mod handle;
mod history;
mod live_edit;
mod loading;
mod manager;
mod meters;
mod refused;
mod running;
pub mod sockets;
mod steps;
mod update;

pub use board::{Board, ShownListener};
pub use certificates::{CertificateFiles, MakeContexts};
pub use files::FileWatch;
pub use handle::{Answer, Applied, Ended, ManagerHandle};
pub use history::{History, KEPT, Reason, Version};
pub use live_edit::{Expected, HostDeed, HostsEdit, HostsVersion, LiveEdits, ShownCluster};
pub use manager::{Start, StartError};
pub use refused::{Finding, Refused, Why};
pub use running::{RunningListener, socket_of};
pub use update::{Changing, Fronts, ModuleWish, Origin, Source, Update, WantedListener, Whole};
