//! One worker's views of the configuration: with what the worker adds.

mod attached;
mod by_name;
mod cluster;
mod complaints;
mod copies;
mod filters;
mod hook_table;
mod idle_pools;
mod listener;
mod room;
mod routes;
mod settings;
mod table;

pub(crate) use attached::{Attached, Told};
pub(crate) use cluster::{ClusterSlot, ClusterView};
pub(crate) use complaints::Complaints;
pub(crate) use copies::{Copies, CopyInFlight};
pub(crate) use filters::Filters;
pub(crate) use hook_table::HookTable;
pub(crate) use listener::ListenerView;
pub(crate) use room::{Room, Waiting};
pub(crate) use routes::{RouteView, Target};
pub(crate) use settings::Settings;
pub(crate) use table::ClusterTable;

/// Whether routes are those that new streams get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Current,
    /// Others have taken their place; streams are left that began with them.
    Replaced,
}
