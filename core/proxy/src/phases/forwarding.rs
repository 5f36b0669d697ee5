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
    let field = request.headers.get(b"x-request-id");
    let sent = field.and_then(|id| std::str::from_utf8(id).ok());
    match (policy.request_id, sent) {
        (RequestIdPolicy::KeepOrMake | RequestIdPolicy::Pass, Some(id)) if !id.is_empty() => {
            info.request_id.push_str(id)
        }
        (RequestIdPolicy::Pass, _) => {}
        _ => {
            let presence = if field.is_none() { Presence::Absent } else { Presence::Present };
            write_request_id(&mut info.request_id);
            put(&mut request.headers, b"x-request-id", info.request_id.as_bytes(), presence)?;
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
            let mut presence = Presence::Absent;
            for value in request.headers.get_all(NAME) {
                presence = Presence::Present;
                if !value.is_empty() {
                    scratch.extend_from_slice(value);
                    scratch.extend_from_slice(b", ");
                }
            }
            scratch.extend_from_slice(client.as_bytes());
            put(&mut request.headers, NAME, scratch, presence)?;
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

/// Whether a field was found in a head.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Absent,
    Present,
}

/// Puts a field that was looked for into a head: one that is not there need not
/// be looked for again.
#[inline]
fn put(headers: &mut Headers, name: &[u8], value: &[u8], presence: Presence) -> Result<(), HeaderLimit> {
    match presence {
        Presence::Absent => headers.add(name, value),
        Presence::Present => headers.set(name, value),
    }
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
    let mut digits = [0; 32];
    let halves = [mix(seed ^ mix(count)), mix(seed.wrapping_add(count))];
    let words = halves.iter().flat_map(|half| [(half >> 32) as u32, *half as u32]);
    for (eight, word) in digits.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *eight = hexadecimal(word);
    }
    // They are ASCII.
    out.push_str(std::str::from_utf8(&digits).unwrap_or_default());
}

/// The digits of `word`, all eight at once: one per byte of a register.
fn hexadecimal(word: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut nibbles = u64::from(word);
    nibbles = (nibbles | nibbles << 16) & 0x0000_ffff_0000_ffff;
    nibbles = (nibbles | nibbles << 8) & 0x00ff_00ff_00ff_00ff;
    nibbles = (nibbles | nibbles << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // Six more than nine leave the nibble.
    let letters = ((nibbles + 6 * ONES) >> 4) & ONES;
    let to_letter = u64::from(b'a' - b'0' - 10);
    (nibbles + u64::from(b'0') * ONES + letters * to_letter).to_be_bytes()
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
    fn digits_are_those_of_the_number() {
        for word in [0, 1, 9, 10, 15, 16, 0x0123_4567, 0x89ab_cdef, 0xa0b1_c2d3, u32::MAX] {
            assert_eq!(std::str::from_utf8(&hexadecimal(word)).unwrap(), format!("{word:08x}"));
        }
    }

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
