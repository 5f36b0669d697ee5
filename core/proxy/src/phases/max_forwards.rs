//! `Max-Forwards` of OPTIONS and TRACE: RFC 9110 section 7.6.2.

use sidegate_api::{LocalReply, Method, ResetBy, ResponseFlags};

use crate::outcome::Stop;
use crate::stream::Stream;

/// Counts this proxy. A request that may go no further is answered here.
#[inline]
pub(crate) fn count(s: &mut Stream<'_>) -> Result<(), Stop> {
    match s.state.request.method {
        Method::Options | Method::Trace => one_forward_less(s),
        _ => Ok(()),
    }
}

#[cold]
fn one_forward_less(s: &mut Stream<'_>) -> Result<(), Stop> {
    let request = &mut s.state.request;
    let Some(value) = request.headers.get(b"max-forwards") else { return Ok(()) };
    let digits = value.iter().all(u8::is_ascii_digit);
    // What is no number, or beyond all hops, is for others to judge.
    let left = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse::<u64>().ok());
    match left {
        None => Ok(()),
        Some(0) => {
            let trace = request.method == Method::Trace;
            let mut reply = LocalReply::new(if trace { 405 } else { 200 }, "max_forwards");
            // Short enough for an empty map.
            let _ = reply.headers.add(b"allow", b"OPTIONS");
            Err(Stop::reply(Box::new(reply), ResponseFlags::DIRECT_RESPONSE, ResetBy::Nobody))
        }
        Some(left) => {
            // It takes the place of one that is as long or longer.
            let _ = request.headers.set(b"max-forwards", (left - 1).to_string().as_bytes());
            Ok(())
        }
    }
}
