//! Header maps of a stream.

use std::ffi::c_void;
use std::marker::PhantomData;

use sidegate_abi as abi;

use crate::host::{check, host_fn, lent, Host};
use crate::HostError;

/// Which of a stream's header maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub(crate) enum Map {
    Request = abi::MAP_REQUEST,
    RequestTrailers = abi::MAP_REQUEST_TRAILERS,
    Response = abi::MAP_RESPONSE,
    ResponseTrailers = abi::MAP_RESPONSE_TRAILERS,
}

/// A header map, to read. Names are compared without case. What it lends is
/// gone as soon as anything of the stream is changed, which the borrow
/// checker sees to.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # #[derive(serde::Deserialize)] struct Roles {}
/// # impl RequestFilter for Roles {
/// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
///     let headers = cx.headers();
///     assert_eq!(headers.get("User"), Some(&b"ann"[..]));
///     assert_eq!(headers.get_str("user"), Some("ann"));
///     assert!(headers.get_all("role").any(|role| role == b"admin"));
///     let names: Vec<&[u8]> = headers.iter().map(|(name, _)| name).collect();
///     assert_eq!(names, [&b"host"[..], b"user", b"role", b"role"]);
///     Ok(Status::Continue)
/// }
/// # }
/// # let host = TestHost::new::<Roles>(serde_json::json!({})).unwrap();
/// let outcome = host.request("GET", "/", &[("User", "ann"), ("Role", "dev"), ("Role", "admin")]).run();
/// assert_eq!(outcome.fault, None);
/// ```
#[derive(Clone, Copy)]
pub struct Headers<'s> {
    host: Host,
    stream: *mut abi::Stream,
    map: Map,
    _borrows_stream: PhantomData<&'s ()>,
}

impl<'s> Headers<'s> {
    /// # Safety
    /// `stream` is the stream of the running hook for all of `'s`, and the map
    /// is not changed meanwhile.
    pub(crate) unsafe fn new(host: Host, stream: *mut abi::Stream, map: Map) -> Self {
        Headers { host, stream, map, _borrows_stream: PhantomData }
    }

    /// Value of the first field `name`.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&'s [u8]> {
        let get = host_fn!(self.host, header_get).ok()?;
        let mut value = abi::Slice::EMPTY;
        let name = abi::Slice::from_bytes(name.as_ref());
        // SAFETY: in the stream's hook; the name is lent for the call.
        check(unsafe { get(self.stream, self.map as u32, name, &mut value) }).ok()?;
        // SAFETY: lent until the map changes, which `'s` excludes.
        Some(unsafe { lent(value) })
    }

    /// The same as text; `None` also if it is not UTF-8.
    pub fn get_str(&self, name: impl AsRef<[u8]>) -> Option<&'s str> {
        std::str::from_utf8(self.get(name)?).ok()
    }

    /// Whether there is a field `name`.
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.get(name).is_some()
    }

    /// Values of all fields `name`, in order.
    pub fn get_all(&self, name: impl AsRef<[u8]>) -> Values<'s> {
        let mut values =
            Values { inline: [abi::Slice::EMPTY; INLINE], spilled: Vec::new(), next: 0, count: 0, _lent: PhantomData };
        let name = abi::Slice::from_bytes(name.as_ref());
        let Ok(get_all) = host_fn!(self.host, header_get_all) else { return values };
        let mut count = 0;
        let (stream, map) = (self.stream, self.map as u32);
        // SAFETY: in the stream's hook; room for as many as we say.
        let code = unsafe { get_all(stream, map, name, values.inline.as_mut_ptr(), INLINE as u64, &mut count) };
        if code != abi::OK {
            return values;
        }
        if count > INLINE as u64 {
            values.spilled = vec![abi::Slice::EMPTY; count as usize];
            // SAFETY: as above, with the room it asked for.
            let code = unsafe { get_all(stream, map, name, values.spilled.as_mut_ptr(), count, &mut count) };
            if code != abi::OK {
                return values;
            }
            count = count.min(values.spilled.len() as u64);
        }
        values.count = count as usize;
        values
    }

    /// All fields, in order, names in lower case for HTTP.
    pub fn iter(&self) -> std::vec::IntoIter<(&'s [u8], &'s [u8])> {
        let mut fields = Vec::new();
        if let Ok(visit) = host_fn!(self.host, headers_visit) {
            let user: *mut Vec<(&'s [u8], &'s [u8])> = &mut fields;
            // SAFETY: in the stream's hook; `collect` is called with `user`
            // before this returns. If the host does not know the map, it is
            // never called.
            let _ = unsafe { visit(self.stream, self.map as u32, Some(collect), user.cast()) };
        }
        fields.into_iter()
    }
}

impl<'s> IntoIterator for Headers<'s> {
    type Item = (&'s [u8], &'s [u8]);
    type IntoIter = std::vec::IntoIter<(&'s [u8], &'s [u8])>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

unsafe extern "C" fn collect(user: *mut c_void, header: *const abi::Header) -> u32 {
    // SAFETY: called by `headers_visit` with the vector of `Headers::iter`; the
    // bytes are lent until the map changes. Pushing can only abort, not unwind.
    unsafe {
        let fields = &mut *user.cast::<Vec<(&[u8], &[u8])>>();
        fields.push((lent((*header).name), lent((*header).value)));
    }
    0
}

const INLINE: usize = 8;

/// Values of the fields of one name; see [`Headers::get_all`].
///
/// ```
/// # use sidegate_sdk::Headers;
/// fn tokens<'s>(headers: &Headers<'s>) -> Vec<&'s [u8]> {
///     headers.get_all("accept").flat_map(|value| value.split(|&byte| byte == b',')).collect()
/// }
/// ```
pub struct Values<'s> {
    inline: [abi::Slice; INLINE],
    /// Used in place of `inline` if there are more.
    spilled: Vec<abi::Slice>,
    next: usize,
    count: usize,
    _lent: PhantomData<&'s ()>,
}

impl<'s> Iterator for Values<'s> {
    type Item = &'s [u8];

    fn next(&mut self) -> Option<&'s [u8]> {
        if self.next >= self.count {
            return None;
        }
        let slices: &[abi::Slice] = if self.spilled.is_empty() { &self.inline } else { &self.spilled };
        let slice = *slices.get(self.next)?;
        self.next += 1;
        // SAFETY: lent until the map changes, which `'s` excludes.
        Some(unsafe { lent(slice) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count - self.next, Some(self.count - self.next))
    }
}

/// A header map, to change. Names and values are checked by the host: a bad
/// one changes nothing.
///
/// ```
/// # use sidegate_sdk::{prelude::*, testing::TestHost};
/// # #[derive(serde::Deserialize)] struct Clean {}
/// # impl RequestFilter for Clean {
/// fn on_request_headers(&self, cx: &mut RequestHeaders<'_>) -> HookResult {
///     let mut headers = cx.headers_mut();
///     headers.set("x-team", "edge")?;
///     headers.add("via", "sidegate")?;
///     assert_eq!(headers.remove("cookie")?, 2);
///     assert_eq!(headers.add("bad name", ""), Err(HostError::BadName));
///     Ok(Status::Continue)
/// }
/// # }
/// # let host = TestHost::new::<Clean>(serde_json::json!({})).unwrap();
/// let outcome = host.request("GET", "/", &[("via", "a"), ("cookie", "b"), ("cookie", "c")]).run();
/// let fields = outcome.upstream.unwrap().headers;
/// assert_eq!(fields.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["a", "edge", "sidegate"]);
/// ```
pub struct HeadersMut<'s> {
    /// Private: its lifetime is longer than what a change leaves valid.
    map: Headers<'s>,
    _borrows_stream: PhantomData<&'s mut ()>,
}

impl<'s> HeadersMut<'s> {
    /// # Safety
    /// As [`Headers::new`], and nothing of the stream is lent during `'s`.
    pub(crate) unsafe fn new(host: Host, stream: *mut abi::Stream, map: Map) -> Self {
        // SAFETY: promised by the caller.
        HeadersMut { map: unsafe { Headers::new(host, stream, map) }, _borrows_stream: PhantomData }
    }

    /// The same map, to read.
    pub fn as_ref(&self) -> Headers<'_> {
        self.map
    }

    /// Value of the first field `name`.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.map.get(name)
    }

    /// Replaces all fields `name` by one.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), HostError> {
        let set = host_fn!(self.map.host, header_set)?;
        let (name, value) = (name.as_ref(), value.as_ref());
        let (name, value) = (abi::Slice::from_bytes(name), abi::Slice::from_bytes(value));
        // SAFETY: in the stream's hook; both are lent for the call.
        check(unsafe { set(self.map.stream, self.map.map as u32, name, value) })
    }

    /// Appends a field.
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), HostError> {
        let add = host_fn!(self.map.host, header_add)?;
        let (name, value) = (name.as_ref(), value.as_ref());
        let (name, value) = (abi::Slice::from_bytes(name), abi::Slice::from_bytes(value));
        // SAFETY: in the stream's hook; both are lent for the call.
        check(unsafe { add(self.map.stream, self.map.map as u32, name, value) })
    }

    /// Removes all fields `name` and says how many there were.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> Result<u64, HostError> {
        let remove = host_fn!(self.map.host, header_remove)?;
        let mut removed = 0;
        let name = abi::Slice::from_bytes(name.as_ref());
        // SAFETY: in the stream's hook; the name is lent for the call.
        check(unsafe { remove(self.map.stream, self.map.map as u32, name, &mut removed) })?;
        Ok(removed)
    }
}
