//! `header_case`, of clusters and of the `proxy` filter.

use sidegate_api::HeaderCase;

use crate::reader::Cursor;

pub(super) fn header_case(cursor: &Cursor<'_>) -> Option<HeaderCase> {
    cursor.choice(&[("lower", HeaderCase::Lower), ("title", HeaderCase::Title), ("preserve", HeaderCase::Preserve)])
}
