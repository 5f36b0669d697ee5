//! TLS contexts: there is no TLS yet, and clear text where TLS was asked for
//! would be worse than no start.

use crate::reader::Cursor;
use crate::schema;

/// Accepts a context that switches TLS off (as absent and empty ones do) and
/// refuses the rest.
pub(super) fn refuse_tls(context: &Cursor<'_>) {
    let Some(mut object) = context.object(&schema::TLS_CONTEXT) else { return };
    let status = object.get("status");
    let more = object.has_quiet();
    object.finish();
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
