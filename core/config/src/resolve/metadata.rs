//! Metadata that subsets of hosts go by, of routes and of hosts alike.

use std::sync::Arc;

use sidegate_api::LbMetadata;

use crate::reader::Cursor;
use crate::schema;

/// Reads `{"filter_metadata": {"mosn.lb": {"key": "value"}}}`, where Envoy
/// writes `envoy.lb`. `None` if it has errors (which are reported).
pub(super) fn lb_metadata(cursor: &Cursor<'_>) -> Option<LbMetadata> {
    let mut object = cursor.object(&schema::METADATA)?;
    let of_filters = object.get("filter_metadata");
    object.finish();
    let Some(of_filters) = of_filters else { return Some(LbMetadata::default()) };
    let mut object = of_filters.object(&schema::FILTER_METADATA)?;
    let values = [object.get("envoy.lb"), object.get("mosn.lb")];
    object.finish();
    let mut pairs = Vec::new();
    for entries in values.iter().flatten().map(|values| values.map()) {
        let read = entries?.into_iter().map(|(key, value)| Some((Arc::from(key), Arc::from(value.string()?))));
        // All of them, even after one failed: each reports its own error.
        pairs.extend(read);
    }
    Some(LbMetadata::new(pairs.into_iter().collect::<Option<Vec<_>>>()?))
}
