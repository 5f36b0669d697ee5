//! TLS contexts of listeners, clusters and the cluster manager.

use super::{Object, Shape, key, quiet};

pub(crate) static TLS_CONTEXT: Object = Object::new(
    "tls_context",
    "There is no TLS yet, and clear text where TLS was asked for would be worse than no start: a context with \
     `status: true` is an error, any other is a warning.",
    &[
        key("status", Shape::Only(false), "`false`", "Whether the context counts: TLS is not there yet."),
        quiet("type"),
        quiet("server_name"),
        quiet("inspector"),
        quiet("ca_cert"),
        quiet("cert_chain"),
        quiet("private_key"),
        quiet("verify_client"),
        quiet("require_client_cert"),
        quiet("insecure_skip"),
        quiet("cipher_suites"),
        quiet("ecdh_curves"),
        quiet("min_version"),
        quiet("max_version"),
        quiet("alpn"),
        quiet("ticket"),
        quiet("fall_back"),
        quiet("extend_verify"),
        quiet("callbacks"),
        quiet("sds_source"),
    ],
);
