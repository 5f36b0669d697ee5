//! What a request counts as.

use std::borrow::Cow;

use sidegate_api::{FilterCx, HeaderMapKind};

use crate::query::argument;

/// What of a request names the resource that it uses.
#[derive(Debug)]
pub(super) enum Resource {
    Path,
    /// Path and query.
    Target,
    Query,
    /// The first value of this argument of the query.
    Argument(Box<str>),
    /// Name in lower case.
    Header(Box<[u8]>),
}

impl Resource {
    /// The resource of this request; `None` if it has none, and nothing limits
    /// it.
    pub(super) fn of<'c>(&self, cx: &'c FilterCx<'_>) -> Option<Cow<'c, str>> {
        let request = &cx.stream().request;
        let found = match self {
            Resource::Path => request.path(),
            Resource::Target => request.target(),
            Resource::Query => request.query()?,
            Resource::Argument(name) => return argument(request.query()?, name),
            // What is no text is no resource of a file's either.
            Resource::Header(name) => std::str::from_utf8(cx.header(HeaderMapKind::Request, name)?).ok()?,
        };
        (!found.is_empty()).then_some(Cow::Borrowed(found))
    }
}
