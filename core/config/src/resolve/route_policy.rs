//! `retry_policy`, `hash_policy` and `request_mirror_policies`.

use std::time::Duration;

use sidegate_router::{CookieError, HashCookie, HashPolicy, HeaderName, MirrorPolicy, RetryOn, RetryPolicy};

use super::names::Names;
use crate::diagnostic::{Finding, kind};
use crate::reader::Cursor;
use crate::schema;

/// Reads a `retry_policy`; `None` if it has errors (which are reported).
pub(super) fn retry_policy(cursor: &Cursor<'_>) -> Option<RetryPolicy> {
    let mut object = cursor.object(&schema::RETRY_POLICY)?;
    let on = match object.get("retry_on").and_then(|c| c.bool()) {
        Some(true) => RetryOn::Failures,
        Some(false) | None => RetryOn::Never,
    };
    let per_try_timeout = object.get("retry_timeout").and_then(|c| c.bound()).flatten();
    let retries = object.get("num_retries").and_then(|c| c.integer());
    let retries = retries.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    let mut statuses = Vec::new();
    for element in object.get("status_codes").and_then(|c| c.array()).unwrap_or_default() {
        statuses.extend(element.integer().and_then(|status| u16::try_from(status).ok()));
    }
    object.finish();
    statuses.sort_unstable();
    statuses.dedup();
    Some(RetryPolicy { on, retries: retries.unwrap_or(RetryPolicy::DEFAULT_RETRIES), per_try_timeout, statuses })
}

/// Reads a `hash_policy`; `None` if it has errors (which are reported).
pub(super) fn hash_policies(cursor: Option<Cursor<'_>>) -> Option<Vec<HashPolicy>> {
    let elements = cursor.map_or(Some(Vec::new()), |c| c.array())?;
    // All of them, even after one failed: each reports its own errors.
    let policies: Vec<_> = elements.iter().map(hash_policy).collect();
    policies.into_iter().collect()
}

fn hash_policy(cursor: &Cursor<'_>) -> Option<HashPolicy> {
    let mut object = cursor.object(&schema::HASH_POLICY)?;
    let header = object.get("header");
    let cookie = object.get("cookie");
    let source_ip = object.get("source_ip");
    object.finish();
    match (header, cookie, source_ip) {
        (Some(header), None, None) => {
            let mut object = header.object(&schema::HASH_HEADER)?;
            let key = object.required("key");
            object.finish();
            key?.parsed(HeaderName::parse_readable).map(HashPolicy::Header)
        }
        (None, Some(cookie), None) => hash_cookie(&cookie).map(HashPolicy::Cookie),
        (None, None, Some(source_ip)) => {
            source_ip.object(&schema::SOURCE_IP)?.finish();
            Some(HashPolicy::SourceIp)
        }
        _ => {
            cursor.error(Finding::mismatch(
                kind::BAD_VALUE,
                "one of `header`, `cookie` and `source_ip`",
                cursor.shown(),
            ));
            None
        }
    }
}

fn hash_cookie(cursor: &Cursor<'_>) -> Option<HashCookie> {
    let mut object = cursor.object(&schema::HASH_COOKIE)?;
    let name = object.required("name");
    let path = object.get("path");
    let ttl = object.get("ttl").map_or(Some(None), |c| c.bound());
    object.finish();
    let (name, ttl) = (name?, ttl?);
    let path_text = match &path {
        Some(path) => path.string()?,
        None => "",
    };
    HashCookie::new(name.string()?, path_text, ttl.filter(|ttl| *ttl > Duration::ZERO))
        .map_err(|problem| match (problem, path) {
            (CookieError::Path, Some(path)) => path.refuse(&problem),
            _ => name.refuse(&problem),
        })
        .ok()
}

/// Reads `request_mirror_policies`, one object in spite of its name; the inner
/// `None`: it mirrors nothing; the outer: it has errors.
pub(super) fn mirror_policy(cursor: &Cursor<'_>, clusters: &Names) -> Option<Option<MirrorPolicy>> {
    let mut object = cursor.object(&schema::MIRROR_POLICY)?;
    let cluster = object.required("cluster").and_then(|cursor| {
        let name = cursor.name()?;
        clusters.check(&cursor, "cluster", name).then_some(name)
    });
    let percent = object.get("percent").map_or(Some(0), |c| c.integer());
    let percent = percent.and_then(|percent| u8::try_from(percent).ok());
    if percent == Some(0) {
        object.cursor().inert("mirrors nothing: `percent` is absent or 0");
    }
    object.finish();
    let (cluster, percent) = (cluster?, percent?);
    Some((percent > 0).then(|| MirrorPolicy { cluster: cluster.into(), percent }))
}
