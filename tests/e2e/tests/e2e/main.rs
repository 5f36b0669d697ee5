//! End-to-end tests: the real `sidegate` binary over real sockets, between
//! origins and clients that misbehave on purpose.
//!
//! The binary comes from `SIDEGATE_BIN`, else from the target folder; modules
//! are expected beside it. `make test` builds both first.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod admin;
mod admin_guard;
mod against;
mod architecture;
mod attacks;
mod balancing;
mod bodies;
mod builtin;
mod check;
mod check_bounds;
mod coalescing;
mod connections;
mod demo;
mod docs;
mod dumps;
mod examples;
mod exhaustion;
mod filters;
mod health;
mod health_command;
mod health_http2;
mod help;
mod http2_attacks;
mod http2_downstream;
mod http2_pairs;
mod http2_settings;
mod http2_upstream;
mod identity;
mod interim;
mod limits;
mod log_formats;
mod log_rotation;
mod logs;
mod matching;
mod metrics;
mod modules;
mod mosn;
mod new_filter;
mod output;
mod overload;
mod panics;
mod plugins;
mod pressure;
mod process;
mod reload;
mod retries;
mod routing;
mod routing_clusters;
mod routing_directories;
mod scale;
mod schema;
mod sharing;
mod slow;
mod sockets;
mod spelling;
mod storm;
mod support;
mod timeouts;
mod tls;
mod upgrades;
mod upstream_faults;
