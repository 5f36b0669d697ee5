//! Protocol buffers that Sidegate speaks with plugins, compiled from the
//! `.proto` files of this folder.

#![forbid(unsafe_code)]
// Generated code has neither comments nor our lints.
#![allow(missing_docs, clippy::all, clippy::pedantic)]

/// MOSN's plugin protocol, `package proto`.
pub mod mosn {
    tonic::include_proto!("proto");
}

/// What hashicorp/go-plugin serves, `package plugin`.
pub mod go_plugin {
    tonic::include_proto!("plugin");
}

/// gRPC's health checks.
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}

/// Sidegate's own plugin protocol, `package sidegate.plugin.v1`.
pub mod v1 {
    tonic::include_proto!("sidegate.plugin.v1");
}
