//! Upstream clusters.
#![forbid(unsafe_code)]

mod config;

pub use config::{
    ClusterConfig, ClusterKind, ClusterKindError, HostConfig, HostWeight, HostWeightError, LbPolicy, LbPolicyError,
};
