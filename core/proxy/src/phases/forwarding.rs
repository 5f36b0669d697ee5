//! What the upstream is told about the client.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

use sidegate_api::{Address, HeaderLimit, Headers, ResetBy, ResponseFlags, StreamState};
use sidegate_router::ApplyError;
use sidegate_upstream::Member;

use crate::outcome::Stop;
use crate::stream::Stream;
use crate::{ForwardedFor, Forwarding, RequestIdPolicy};

thread_local! {
    /// Seed and counter of request ids; distinct per thread and process.
    static IDS: Cell<Option<(u64, u64)>> = const { Cell::new(None) };
}

/// Takes over or makes the request id. Before the filters, so that they and
/// the log see it.
pub(crate) fn identify(stream: &mut StreamState, policy: Forwarding) -> Result<(), HeaderLimit> {
    let StreamState { request, info, .. } = stream;
    let sent = request.headers.get(b"x-request-id").and_then(|id| std::str::from_utf8(id).ok());
    match (policy.request_id, sent) {
        (RequestIdPolicy::KeepOrMake | RequestIdPolicy::Pass, Some(id)) if !id.is_empty() => {
            info.request_id.push_str(id)
        }
        (RequestIdPolicy::Pass, _) => {}
        _ => {
            write_request_id(&mut info.request_id);
            request.headers.set(b"x-request-id", info.request_id.as_bytes())?;
        }
    }
    Ok(())
}

/// Applies the `x-forwarded-for` policy. After the filters, which see what
/// the client sent.
pub(crate) fn forward_client(
    stream: &mut StreamState,
    policy: Forwarding,
    scratch: &mut Vec<u8>,
) -> Result<(), HeaderLimit> {
    const NAME: &[u8] = b"x-forwarded-for";
    let StreamState { request, info, .. } = stream;
    let client = info.connection.as_deref().map_or("unknown", |c| c.remote.ip());
    match policy.forwarded_for {
        ForwardedFor::Append => {
            scratch.clear();
            for value in request.headers.get_all(NAME).filter(|v| !v.is_empty()) {
                scratch.extend_from_slice(value);
                scratch.extend_from_slice(b", ");
            }
            scratch.extend_from_slice(client.as_bytes());
            request.headers.set(NAME, scratch)?;
        }
        ForwardedFor::Replace => {
            drop_claims(&mut request.headers);
            request.headers.set(NAME, client.as_bytes())?;
        }
        ForwardedFor::Remove => {
            drop_claims(&mut request.headers);
            request.headers.remove(NAME);
        }
        ForwardedFor::Pass => {}
    }
    Ok(())
}

/// Removes what else a client that is not trusted may say of itself.
fn drop_claims(headers: &mut Headers) {
    const CLAIMS: [&[u8]; 5] =
        [b"forwarded", b"x-real-ip", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port"];
    headers.retain(|name, _| !CLAIMS.contains(&name));
}

/// Appends 32 hexadecimal digits that no other request has. They are unique,
/// not secret: two rounds of a mixing function over a random seed and a count.
fn write_request_id(out: &mut String) {
    let (seed, count) = IDS.with(|ids| {
        let (seed, count) = ids.get().unwrap_or_else(|| (RandomState::new().build_hasher().finish(), 0));
        ids.set(Some((seed, count.wrapping_add(1))));
        (seed, count)
    });
    for half in [mix(seed ^ mix(count)), mix(seed.wrapping_add(count))] {
        for shift in (0..16).rev() {
            let digit = (half >> (shift * 4)) & 15;
            out.push(char::from(b"0123456789abcdef"[digit as usize]));
        }
    }
}

/// The finalizer of SplitMix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Changes the request once as its route says; `member` may lend its name.
pub(crate) fn apply_route(s: &mut Stream<'_>, member: &Member) -> Result<(), Stop> {
    let Some(matched) = s.matched() else { return Ok(()) };
    forward_client(s.state, s.listener.config.forwarding, s.scratch)
        .map_err(|_| Stop::error(431, "too_many_headers", ResponseFlags::TOO_LARGE, ResetBy::Downstream))?;
    if s.state.request.authority.is_empty() {
        // An HTTP/1.0 client may leave Host out; upstream we speak 1.1.
        let host = member.host.text();
        s.state.request.authority.push_str(match host.address() {
            Address::Tcp(_) => host.as_str(),
            Address::Unix(_) => "localhost",
        });
    }
    matched.apply_request(s.state, member.hostname.as_deref(), s.scratch).map_err(|error| match error {
        ApplyError::DotSegment => {
            Stop::error(400, "dot_segment_after_rewrite", ResponseFlags::DOWNSTREAM_PROTOCOL, ResetBy::Downstream)
        }
        ApplyError::HeaderLimit(_) => {
            Stop::error(431, "too_many_headers", ResponseFlags::TOO_LARGE, ResetBy::Downstream)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_differ() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10_000 {
            let mut id = String::new();
            write_request_id(&mut id);
            assert_eq!(id.len(), 32);
            assert!(seen.insert(id));
        }
    }
}
