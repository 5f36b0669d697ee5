//! Checking what modules pass.

use sidegate_abi::{BAD_ARGUMENT, Header, Slice};

/// No process has that much memory: such a length is a mistake.
const MAX_BYTES: usize = 1 << 46;

/// The bytes that a module lends.
///
/// # Safety
/// If `slice` is neither NULL nor empty nor longer than an object can be, it
/// must point to that many bytes that stay unchanged for `'a`.
pub(super) unsafe fn bytes<'a>(slice: Slice) -> Result<&'a [u8], u32> {
    if slice.len == 0 {
        return Ok(&[]);
    }
    let len = length::<u8>(slice.ptr, slice.len)?;
    // SAFETY: checked as far as it can be; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(slice.ptr, len) })
}

/// An array that a module lends.
///
/// # Safety
/// As [`bytes`], for `count` elements.
pub(super) unsafe fn array<'a, T>(first: *const T, count: u64) -> Result<&'a [T], u32> {
    if count == 0 {
        return Ok(&[]);
    }
    let len = length(first, count)?;
    // SAFETY: checked as far as it can be; the rest is the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(first, len) })
}

/// Name and value of a field that a module lends.
///
/// # Safety
/// As [`bytes`], for both.
pub(super) unsafe fn field<'a>(header: &Header) -> Result<(&'a [u8], &'a [u8]), u32> {
    // SAFETY: the caller's promise.
    unsafe { Ok((bytes(header.name)?, bytes(header.value)?)) }
}

fn length<T>(first: *const T, count: u64) -> Result<usize, u32> {
    let len = usize::try_from(count).map_err(|_| BAD_ARGUMENT)?;
    let size = len.checked_mul(size_of::<T>()).filter(|&size| size <= MAX_BYTES);
    if first.is_null() || !first.is_aligned() || size.is_none() {
        return Err(BAD_ARGUMENT);
    }
    Ok(len)
}

/// A place that a module wants something written to.
pub(super) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Refuses NULL and unaligned places before anything is done.
    pub(super) fn required(place: *mut T) -> Result<Self, u32> {
        if place.is_null() { Err(BAD_ARGUMENT) } else { Self::optional(place) }
    }

    /// The same where NULL means that the value is not wanted.
    pub(super) fn optional(place: *mut T) -> Result<Self, u32> {
        if place.is_aligned() { Ok(Out(place)) } else { Err(BAD_ARGUMENT) }
    }

    /// Writes.
    ///
    /// # Safety
    /// The place must be NULL or writable.
    pub(super) unsafe fn write(self, value: T) {
        if !self.0.is_null() {
            // SAFETY: not NULL, aligned, writable by the caller's promise.
            unsafe { self.0.write(value) }
        }
    }
}

/// A copy of short bytes without allocation: what a module passes may be
/// memory that the host lent it and is about to change.
pub(super) struct Copied {
    inline: [u8; 256],
    heap: Vec<u8>,
    len: usize,
}

impl Copied {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut copied = Copied { inline: [0; 256], heap: Vec::new(), len: bytes.len() };
        match copied.inline.get_mut(..bytes.len()) {
            Some(place) => place.copy_from_slice(bytes),
            None => copied.heap = bytes.to_vec(),
        }
        copied
    }

    /// The same in lower case.
    pub(super) fn lower(bytes: &[u8]) -> Self {
        let mut copied = Copied::of(bytes);
        copied.inline.make_ascii_lowercase();
        copied.heap.make_ascii_lowercase();
        copied
    }

    pub(super) fn get(&self) -> &[u8] {
        self.inline.get(..self.len).unwrap_or(&self.heap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_impossible_lengths_are_refused() {
        let slice = |ptr, len| Slice { ptr, len };
        let one = [1_u8];
        // SAFETY: what is not refused is empty or real.
        unsafe {
            assert_eq!(bytes(Slice::EMPTY), Ok(&[][..]));
            assert_eq!(bytes(slice(one.as_ptr(), 0)), Ok(&[][..]));
            assert_eq!(bytes(slice(one.as_ptr(), 1)), Ok(&one[..]));
            assert_eq!(bytes(slice(std::ptr::null(), 1)), Err(BAD_ARGUMENT));
            for len in [u64::MAX, i64::MAX as u64 + 1, i64::MAX as u64] {
                assert_eq!(bytes(slice(one.as_ptr(), len)), Err(BAD_ARGUMENT));
            }
            assert_eq!(array::<Slice>(std::ptr::without_provenance(4), 1).map(<[_]>::len), Err(BAD_ARGUMENT));
            assert_eq!(array::<Slice>(std::ptr::dangling(), 1 << 60).map(<[_]>::len), Err(BAD_ARGUMENT));
        }
    }

    #[test]
    fn copies_keep_short_and_long_bytes() {
        for len in [0, 1, 255, 256, 257, 1000] {
            let bytes = vec![b'A'; len];
            assert_eq!(Copied::of(&bytes).get(), bytes);
            assert_eq!(Copied::lower(&bytes).get(), vec![b'a'; len]);
        }
    }
}
