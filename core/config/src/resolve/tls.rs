//! TLS contexts: there is no TLS yet, and clear text where TLS was asked for
//! would be worse than no start.

use crate::reader::Cursor;

/// Accepts a context that switches TLS off (as absent and empty ones do) and
/// refuses the rest.
pub(super) fn refuse_tls(context: &Cursor<'_>) {
    let Some(mut object) = context.object() else { return };
    let Some(status) = object.get("status") else { return };
    if status.bool() == Some(true) {
        status.unsupported("TLS is not available yet; expected `status` false or no TLS context, found true");
    }
}

/// The same for a list of contexts.
pub(super) fn refuse_tls_set(contexts: &Cursor<'_>) {
    for context in contexts.array().unwrap_or_default() {
        refuse_tls(&context);
    }
}
