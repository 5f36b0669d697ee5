//! Body bytes that the running hook may see.

use sidegate_abi::{BAD_ARGUMENT, BODY_REQUEST, BODY_RESPONSE, LIMIT, NOT_NOW, Slice, Stream, UNSUPPORTED};
use sidegate_api::{BodyDirection, BodyInterest};

use super::arguments::{Out, array, bytes};
use super::scope::{with, with_cx};
use super::{answer, edit_result};

fn body_direction(direction: u32) -> Result<BodyDirection, u32> {
    match direction {
        BODY_REQUEST => Ok(BodyDirection::Request),
        BODY_RESPONSE => Ok(BodyDirection::Response),
        _ => Err(UNSUPPORTED),
    }
}

pub(super) unsafe extern "C" fn body_len(stream: *mut Stream, direction: u32, len: *mut u64) -> u32 {
    answer(|| {
        let out = Out::required(len)?;
        let direction = body_direction(direction)?;
        let len = with_cx(stream, |cx| Ok(cx.body(direction).ok_or(NOT_NOW)?.len() as u64))?;
        // SAFETY: the module's place, checked above.
        unsafe { out.write(len) };
        Ok(())
    })
}

pub(super) unsafe extern "C" fn body_read(
    stream: *mut Stream,
    direction: u32,
    slices: *mut Slice,
    capacity: u64,
    count: *mut u64,
) -> u32 {
    answer(|| {
        let count = Out::required(count)?;
        let place = Out::optional(slices)?;
        if slices.is_null() && capacity > 0 {
            return Err(BAD_ARGUMENT);
        }
        let direction = body_direction(direction)?;
        let body = with_cx(stream, |cx| Ok(Slice::from_bytes(cx.body(direction).ok_or(NOT_NOW)?.as_slice())))?;
        // The host keeps the bytes in one piece.
        let pieces = u64::from(body.len > 0);
        // SAFETY: the module's places, checked above, with room for one slice.
        unsafe {
            if pieces > 0 && capacity > 0 {
                place.write(body);
            }
            count.write(pieces);
        }
        Ok(())
    })
}

pub(super) unsafe extern "C" fn body_replace(
    stream: *mut Stream,
    direction: u32,
    slices: *const Slice,
    count: u64,
) -> u32 {
    answer(|| {
        let direction = body_direction(direction)?;
        let mut all = Vec::new();
        // SAFETY: the module lends the array and what it names for the call;
        // it may be the body itself, hence the copy.
        unsafe {
            for slice in array(slices, count)? {
                append(&mut all, bytes(*slice)?)?;
            }
        }
        with_cx(stream, |cx| cx.replace_body(direction, &all).map_err(edit_result))
    })
}

pub(super) unsafe extern "C" fn body_append(stream: *mut Stream, direction: u32, more: Slice) -> u32 {
    answer(|| {
        let direction = body_direction(direction)?;
        let mut copy = Vec::new();
        // SAFETY: as in `body_replace`.
        append(&mut copy, unsafe { bytes(more) }?)?;
        with_cx(stream, |cx| cx.append_body(direction, &copy).map_err(edit_result))
    })
}

pub(super) unsafe extern "C" fn body_drain(stream: *mut Stream, direction: u32, count: u64, drained: *mut u64) -> u32 {
    answer(|| {
        let drained = Out::optional(drained)?;
        let direction = body_direction(direction)?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let removed = with_cx(stream, |cx| cx.drain_body(direction, count).map_err(edit_result))?;
        // SAFETY: NULL or the module's place.
        unsafe { drained.write(removed as u64) };
        Ok(())
    })
}

pub(super) unsafe extern "C" fn body_waive(stream: *mut Stream, direction: u32) -> u32 {
    answer(|| {
        let direction = body_direction(direction)?;
        with(stream, |host| {
            let wants = &host.core.interests;
            let declared = match direction {
                BodyDirection::Request => wants.request_body != BodyInterest::None || wants.request_trailers.wanted(),
                BodyDirection::Response => {
                    wants.response_body != BodyInterest::None || wants.response_trailers.wanted()
                }
            };
            host.with_cx(|cx| {
                if !declared || cx.is_ended() {
                    return Err(NOT_NOW);
                }
                cx.waive_body(direction);
                Ok(())
            })
        })
    })
}

/// An allocation that fails is the module's limit, not the process's end.
fn append(all: &mut Vec<u8>, bytes: &[u8]) -> Result<(), u32> {
    all.try_reserve(bytes.len()).map_err(|_| LIMIT)?;
    all.extend_from_slice(bytes);
    Ok(())
}
