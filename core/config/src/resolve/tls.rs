//! TLS contexts: there is no TLS yet, and clear text where TLS was asked for
//! would be worse than no start.

use crate::reader::Cursor;

/// MOSN's keys of a TLS context, besides `status`.
const KEYS: &[&str] = &[
    "type",
    "server_name",
    "inspector",
    "ca_cert",
    "cert_chain",
    "private_key",
    "verify_client",
    "require_client_cert",
    "insecure_skip",
    "cipher_suites",
    "ecdh_curves",
    "min_version",
    "max_version",
    "alpn",
    "ticket",
    "fall_back",
    "extend_verify",
    "callbacks",
    "sds_source",
];

/// Accepts a context that switches TLS off (as absent and empty ones do) and
/// refuses the rest.
pub(super) fn refuse_tls(context: &Cursor<'_>) {
    let Some(mut object) = context.object() else { return };
    let status = object.get("status");
    let more = object.pass_over(KEYS);
    object.finish(&[]);
    match status.as_ref().map(|status| (status, status.bool())) {
        Some((status, Some(true))) => {
            status.unsupported("TLS is not available yet; expected `status` false or no TLS context, found true");
        }
        None | Some((_, Some(false))) if more => context.inert("TLS is off here, as `status` is not true"),
        _ => {}
    }
}

/// The same for a list of contexts.
pub(super) fn refuse_tls_set(contexts: &Cursor<'_>) {
    for context in contexts.array().unwrap_or_default() {
        refuse_tls(&context);
    }
}
