//! Headers added and removed by routers, virtual hosts and routes.

use sidegate_router::{Append, HeaderAdd, HeaderEdits, HeaderName, HeaderOps, HeaderValueTemplate};

use crate::reader::{Cursor, ObjectReader};
use crate::schema;

/// The four keys, read from `object`.
pub(super) fn header_ops(object: &mut ObjectReader<'_>) -> HeaderOps {
    HeaderOps {
        request: HeaderEdits {
            add: additions(object.get("request_headers_to_add")),
            remove: removals(object.get("request_headers_to_remove")),
        },
        response: HeaderEdits {
            add: additions(object.get("response_headers_to_add")),
            remove: removals(object.get("response_headers_to_remove")),
        },
    }
}

fn additions(cursor: Option<Cursor<'_>>) -> Vec<HeaderAdd> {
    let elements = cursor.and_then(|c| c.array()).unwrap_or_default();
    elements.iter().filter_map(addition).collect()
}

fn addition(cursor: &Cursor<'_>) -> Option<HeaderAdd> {
    let mut object = cursor.object(&schema::HEADER_ADDITION)?;
    let header = object.required("header");
    let pair = header.and_then(|c| c.object(&schema::HEADER)).map(|mut header| {
        let name = header.required("key").and_then(|c| c.parsed(HeaderName::parse));
        let value = header.required("value").and_then(|c| c.parsed(HeaderValueTemplate::parse));
        header.finish();
        (name, value)
    });
    let append = match object.get("append").and_then(|c| c.bool()) {
        Some(false) => Append::Replace,
        Some(true) | None => Append::Keep,
    };
    object.finish();
    let (name, value) = pair?;
    Some(HeaderAdd { name: name?, value: value?, append })
}

fn removals(cursor: Option<Cursor<'_>>) -> Vec<HeaderName> {
    let elements = cursor.and_then(|c| c.array()).unwrap_or_default();
    elements.iter().filter_map(|element| element.parsed(HeaderName::parse_removable)).collect()
}
