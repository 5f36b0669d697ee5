//! Header maps.

use std::ffi::c_void;

use sidegate_abi::{
    BAD_ARGUMENT, Header, HeaderVisitor, MAP_REQUEST, MAP_REQUEST_TRAILERS, MAP_RESPONSE, MAP_RESPONSE_TRAILERS,
    NOT_FOUND, Slice, Stream, UNSUPPORTED,
};
use sidegate_api::{FilterCx, HeaderMapKind};

use super::answer;
use super::arguments::{Copied, Out, bytes};
use super::scope::{edit, shown, with, with_cx};

fn map_kind(map: u32) -> Result<HeaderMapKind, u32> {
    match map {
        MAP_REQUEST => Ok(HeaderMapKind::Request),
        MAP_REQUEST_TRAILERS => Ok(HeaderMapKind::RequestTrailers),
        MAP_RESPONSE => Ok(HeaderMapKind::Response),
        MAP_RESPONSE_TRAILERS => Ok(HeaderMapKind::ResponseTrailers),
        _ => Err(UNSUPPORTED),
    }
}

pub(super) unsafe extern "C" fn header_get(stream: *mut Stream, map: u32, name: Slice, value: *mut Slice) -> u32 {
    answer(|| {
        let out = Out::required(value)?;
        // SAFETY: the module lends `name` for the call.
        let name = Copied::lower(unsafe { bytes(name) }?);
        let found =
            with_cx(stream, |cx| Ok(Slice::from_bytes(cx.header(map_kind(map)?, name.get()).ok_or(NOT_FOUND)?)))?;
        // SAFETY: the module's place, checked above.
        unsafe { out.write(found) };
        Ok(())
    })
}

pub(super) unsafe extern "C" fn header_get_all(
    stream: *mut Stream,
    map: u32,
    name: Slice,
    values: *mut Slice,
    capacity: u64,
    count: *mut u64,
) -> u32 {
    answer(|| {
        let count = Out::required(count)?;
        let places = Out::optional(values).map(|_| values)?;
        if places.is_null() && capacity > 0 {
            return Err(BAD_ARGUMENT);
        }
        // SAFETY: the module lends `name` for the call.
        let name = Copied::lower(unsafe { bytes(name) }?);
        let total = with_cx(stream, |cx| {
            let kind = map_kind(map)?;
            let mut total = 0_u64;
            let mut put = |value: &[u8]| {
                if total < capacity {
                    // SAFETY: the module gave room for `capacity` slices.
                    unsafe { places.add(total as usize).write(Slice::from_bytes(value)) };
                }
                total += 1;
            };
            if kind == HeaderMapKind::Request && name.get() == b"host" {
                cx.header(kind, b"host").into_iter().for_each(&mut put);
            } else {
                cx.headers(kind).get_all(name.get()).for_each(&mut put);
            }
            Ok(total)
        })?;
        // SAFETY: the module's place, checked above.
        unsafe { count.write(total) };
        Ok(())
    })
}

pub(super) unsafe extern "C" fn headers_visit(
    stream: *mut Stream,
    map: u32,
    visitor: Option<HeaderVisitor>,
    user: *mut c_void,
) -> u32 {
    answer(|| {
        let visitor = visitor.ok_or(BAD_ARGUMENT)?;
        let kind = map_kind(map)?;
        with(stream, |host| {
            host.visits.set(host.visits.get() + 1);
            // SAFETY: the module's function, called as the ABI says. The
            // stream is not borrowed here, and the map cannot change while a
            // visit is counted.
            let goes_on = |header: Header| unsafe { visitor(user, &header) } == 0;
            let authority = host.with_cx(|cx| host_field(cx, kind));
            if authority.is_none_or(goes_on) {
                for index in 0.. {
                    let header = host.with_cx(|cx| cx.headers(kind).at(index).map(lend));
                    if !header.is_some_and(goes_on) {
                        break;
                    }
                }
            }
            host.visits.set(host.visits.get() - 1);
            Ok(())
        })
    })
}

fn lend((name, value): (&[u8], &[u8])) -> Header {
    Header { name: Slice::from_bytes(name), value: Slice::from_bytes(value) }
}

/// The field that is kept as the authority and not in the map. Shown first, as
/// clients send it.
fn host_field(cx: &FilterCx<'_>, kind: HeaderMapKind) -> Option<Header> {
    let host = (kind == HeaderMapKind::Request).then(|| cx.header(kind, b"host"))?;
    host.map(|value| lend((b"host", value)))
}

pub(super) unsafe extern "C" fn header_set(stream: *mut Stream, map: u32, name: Slice, value: Slice) -> u32 {
    answer(|| {
        // SAFETY: the module lends both for the call; they may lie in the map
        // itself, hence the copies.
        let (name, value) = unsafe { (Copied::of(bytes(name)?), Copied::of(bytes(value)?)) };
        let kind = map_kind(map)?;
        edit(stream, "header_set", || shown(name.get()), |cx| cx.set_header(kind, name.get(), value.get()))
    })
}

pub(super) unsafe extern "C" fn header_add(stream: *mut Stream, map: u32, name: Slice, value: Slice) -> u32 {
    answer(|| {
        // SAFETY: as in `header_set`.
        let (name, value) = unsafe { (Copied::of(bytes(name)?), Copied::of(bytes(value)?)) };
        let kind = map_kind(map)?;
        edit(stream, "header_add", || shown(name.get()), |cx| cx.add_header(kind, name.get(), value.get()))
    })
}

pub(super) unsafe extern "C" fn header_remove(stream: *mut Stream, map: u32, name: Slice, removed: *mut u64) -> u32 {
    answer(|| {
        let removed = Out::optional(removed)?;
        // SAFETY: as in `header_set`.
        let name = Copied::of(unsafe { bytes(name) }?);
        let (kind, mut count) = (map_kind(map)?, 0);
        edit(
            stream,
            "header_remove",
            || shown(name.get()),
            |cx| {
                count = cx.remove_header(kind, name.get())?;
                Ok(())
            },
        )?;
        // SAFETY: NULL or the module's place.
        unsafe { removed.write(count as u64) };
        Ok(())
    })
}
