//! An ordered header map that keeps all its bytes in one reusable buffer.

use memchr::memchr;

use crate::lower::make_lower_case;

/// Header fields in wire order. HTTP names are stored in lower case; values
/// are bytes. Clearing keeps the allocations, so a keep-alive connection
/// reuses one map for all its requests.
#[derive(Debug, Default, Clone)]
pub struct Headers {
    /// Names and values back to back; replaced values leave garbage until
    /// `compact`.
    arena: Vec<u8>,
    entries: Vec<Entry>,
    /// Names as they were received, each with a line feed behind it; empty
    /// unless somebody wants them.
    spelling: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    name: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
}

/// The map refused to grow past [`Headers::MAX_BYTES`] or
/// [`Headers::MAX_FIELDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("header map is full ({} bytes, {} fields at most)", Headers::MAX_BYTES, Headers::MAX_FIELDS)]
pub struct HeaderLimit;

impl Headers {
    /// Upper bound for all names and values together, in bytes. Codecs apply
    /// their own, usually lower, limits to what peers send.
    pub const MAX_BYTES: usize = 1 << 20;
    /// Upper bound for the number of fields.
    pub const MAX_FIELDS: usize = 4096;

    /// Fields and bytes up to which filters may fill a map. What is left is
    /// for what the proxy itself adds, so that a map which a filter filled is
    /// never blamed on a peer.
    const FILTERS_FIELDS: usize = Self::MAX_FIELDS - 256;
    const FILTERS_BYTES: usize = Self::MAX_BYTES - 128 * 1024;

    /// Room for so many fields is no waste.
    const SPARE_FIELDS: usize = 64;

    /// An empty map without allocations.
    pub const fn new() -> Self {
        Headers { arena: Vec::new(), entries: Vec::new(), spelling: Vec::new() }
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Removes all fields and keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
        self.spelling.clear();
    }

    /// Makes this map equal to `other`, in the memory it has.
    pub fn copy_from(&mut self, other: &Headers) {
        self.arena.clone_from(&other.arena);
        self.entries.clone_from(&other.entries);
        self.spelling.clone_from(&other.spelling);
    }

    /// Gives back memory that a large message left behind.
    #[inline]
    pub fn shrink(&mut self, max_bytes: usize) {
        let bytes = self.arena.capacity().max(self.spelling.capacity());
        if bytes > max_bytes || self.entries.capacity() > Self::SPARE_FIELDS {
            self.shrink_large(max_bytes);
        }
    }

    #[cold]
    fn shrink_large(&mut self, max_bytes: usize) {
        self.arena.shrink_to(max_bytes);
        self.entries.shrink_to(Self::SPARE_FIELDS);
        self.spelling.shrink_to(max_bytes);
    }

    /// Remembers how a received field's name was written. The map itself has
    /// names in lower case only.
    pub fn note_spelling(&mut self, name: &[u8]) {
        self.spelling.extend_from_slice(name);
        self.spelling.push(b'\n');
    }

    /// How `name` was written where it was received first.
    pub fn spelling_of(&self, name: &[u8]) -> Option<&[u8]> {
        self.spelling.split(|&b| b == b'\n').find(|known| known.eq_ignore_ascii_case(name))
    }

    /// Value of the first field called `name`; `name` must be lower case.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.entries.iter().find(|e| self.is_named(e, name)).map(|e| self.value_of(e))
    }

    /// Values of all fields called `name` (lower case), in order.
    pub fn get_all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.entries.iter().filter(move |e| self.is_named(e, name)).map(|e| self.value_of(e))
    }

    /// Whether a field called `name` (lower case) exists.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.entries.iter().any(|e| self.is_named(e, name))
    }

    /// All fields in order, as `(name, value)`.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + '_ {
        self.entries.iter().map(|e| (self.name_of(e), self.value_of(e)))
    }

    /// Field number `index` in order.
    pub fn at(&self, index: usize) -> Option<(&[u8], &[u8])> {
        self.entries.get(index).map(|e| (self.name_of(e), self.value_of(e)))
    }

    /// Appends a field; the name is stored in lower case. Neither name nor
    /// value is validated here: codecs validate what they read and
    /// [`FilterCx`](crate::FilterCx) validates what filters write.
    pub fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeaderLimit> {
        self.reserve(name.len() + value.len())?;
        if self.entries.len() >= Self::MAX_FIELDS {
            return Err(HeaderLimit);
        }
        let entry = self.store(name, value);
        self.entries.push(entry);
        Ok(())
    }

    /// Appends `more` to the value of the last field, if there is one.
    pub fn extend_last(&mut self, more: &[u8]) -> Result<(), HeaderLimit> {
        let Some(last) = self.entries.last() else { return Ok(()) };
        self.reserve(more.len() + last.value_len as usize)?;
        if let Some(last) = self.entries.last_mut() {
            let start = last.value as usize;
            let end = start + last.value_len as usize;
            if end != self.arena.len() {
                last.value = self.arena.len() as u32;
                self.arena.extend_from_within(start..end);
            }
            self.arena.extend_from_slice(more);
            // `reserve` bounds the arena by MAX_BYTES, so lengths fit in 32 bits.
            last.value_len += more.len() as u32;
        }
        Ok(())
    }

    /// Replaces all fields called `name` by one, at the place of the first, or
    /// appends it. The name is stored in lower case.
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeaderLimit> {
        let Some(first) = self.position(name) else {
            return self.add(name, value);
        };
        self.reserve(name.len() + value.len())?;
        // `reserve` may have compacted the arena but keeps the entries' order.
        let entry = self.store(name, value);
        self.entries[first] = entry;
        let mut index = first + 1;
        while index < self.entries.len() {
            if self.eq_ignore_case(index, name) {
                self.entries.remove(index);
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    /// [`Headers::add`] within what filters may fill.
    pub(crate) fn add_by_filter(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeaderLimit> {
        if self.entries.len() >= Self::FILTERS_FIELDS {
            return Err(HeaderLimit);
        }
        self.filters_bytes(name.len() + value.len())?;
        self.add(name, value)
    }

    /// [`Headers::set`] within what filters may fill.
    pub(crate) fn set_by_filter(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeaderLimit> {
        if self.entries.len() >= Self::FILTERS_FIELDS && self.position(name).is_none() {
            return Err(HeaderLimit);
        }
        self.filters_bytes(name.len() + value.len())?;
        self.set(name, value)
    }

    /// Whether a filter may have filled it so far.
    pub(crate) fn is_filters_share(&self) -> bool {
        self.entries.len() <= Self::FILTERS_FIELDS && self.filters_bytes(0).is_ok()
    }

    /// Counting is only worth it once garbage and fields together are many.
    fn filters_bytes(&self, more: usize) -> Result<(), HeaderLimit> {
        let fits = self.arena.len() + more <= Self::FILTERS_BYTES || self.byte_len() + more <= Self::FILTERS_BYTES;
        if fits { Ok(()) } else { Err(HeaderLimit) }
    }

    /// Removes all fields called `name` (any case) and says how many.
    pub fn remove(&mut self, name: &[u8]) -> usize {
        let before = self.entries.len();
        let arena = &self.arena;
        self.entries.retain(|e| !slice(arena, e.name, e.name_len).eq_ignore_ascii_case(name));
        before - self.entries.len()
    }

    /// Keeps the fields for which `keep(name, value)` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        let arena = &self.arena;
        self.entries.retain(|e| keep(slice(arena, e.name, e.name_len), slice(arena, e.value, e.value_len)));
    }

    /// Bytes that names and values take, without separators.
    pub fn byte_len(&self) -> usize {
        self.entries.iter().map(|e| e.name_len as usize + e.value_len as usize).sum()
    }

    /// Whether any of the values of `name` (lower case) contains `token` in
    /// its comma-separated list, without regard to case.
    pub fn has_token(&self, name: &[u8], token: &[u8]) -> bool {
        self.get_all(name).any(|value| {
            let mut rest = value;
            loop {
                let (item, next) = match memchr(b',', rest) {
                    Some(at) => (&rest[..at], Some(&rest[at + 1..])),
                    None => (rest, None),
                };
                if item.trim_ascii().eq_ignore_ascii_case(token) {
                    return true;
                }
                match next {
                    Some(next) => rest = next,
                    None => return false,
                }
            }
        })
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        (0..self.entries.len()).find(|&index| self.eq_ignore_case(index, name))
    }

    fn eq_ignore_case(&self, index: usize, name: &[u8]) -> bool {
        let entry = &self.entries[index];
        entry.name_len as usize == name.len() && self.name_of(entry).eq_ignore_ascii_case(name)
    }

    fn is_named(&self, entry: &Entry, name: &[u8]) -> bool {
        entry.name_len as usize == name.len() && self.name_of(entry) == name
    }

    fn name_of(&self, entry: &Entry) -> &[u8] {
        slice(&self.arena, entry.name, entry.name_len)
    }

    fn value_of(&self, entry: &Entry) -> &[u8] {
        slice(&self.arena, entry.value, entry.value_len)
    }

    fn store(&mut self, name: &[u8], value: &[u8]) -> Entry {
        let at = self.arena.len();
        self.arena.reserve(name.len() + value.len());
        self.arena.extend_from_slice(name);
        make_lower_case(&mut self.arena[at..]);
        self.arena.extend_from_slice(value);
        // `reserve` bounds the arena by MAX_BYTES, so offsets fit in 32 bits.
        Entry {
            name: at as u32,
            name_len: name.len() as u32,
            value: (at + name.len()) as u32,
            value_len: value.len() as u32,
        }
    }

    fn reserve(&mut self, more: usize) -> Result<(), HeaderLimit> {
        if self.arena.len() + more > Self::MAX_BYTES {
            self.compact();
            if self.arena.len() + more > Self::MAX_BYTES {
                return Err(HeaderLimit);
            }
        }
        Ok(())
    }

    fn compact(&mut self) {
        let mut arena = Vec::with_capacity(self.byte_len());
        for entry in &mut self.entries {
            let name = slice(&self.arena, entry.name, entry.name_len);
            let value = slice(&self.arena, entry.value, entry.value_len);
            entry.name = arena.len() as u32;
            arena.extend_from_slice(name);
            entry.value = arena.len() as u32;
            arena.extend_from_slice(value);
        }
        self.arena = arena;
    }
}

fn slice(arena: &[u8], at: u32, len: u32) -> &[u8] {
    &arena[at as usize..at as usize + len as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &Headers) -> Vec<(String, String)> {
        headers
            .iter()
            .map(|(n, v)| (String::from_utf8_lossy(n).into_owned(), String::from_utf8_lossy(v).into_owned()))
            .collect()
    }

    #[test]
    fn set_replaces_all_equal_names_at_the_first_place() {
        let mut headers = Headers::new();
        for (n, v) in [("A", "1"), ("b", "2"), ("a", "3"), ("c", "4")] {
            headers.add(n.as_bytes(), v.as_bytes()).unwrap();
        }
        headers.set(b"A", b"9").unwrap();
        assert_eq!(names(&headers), [("a", "9"), ("b", "2"), ("c", "4")].map(|(n, v)| (n.into(), v.into())));
        assert_eq!(headers.remove(b"B"), 1);
        assert_eq!(headers.get(b"b"), None);
    }

    #[test]
    fn get_all_keeps_order() {
        let mut headers = Headers::new();
        headers.add(b"x", b"1").unwrap();
        headers.add(b"y", b"2").unwrap();
        headers.add(b"x", b"3").unwrap();
        assert_eq!(headers.get_all(b"x").collect::<Vec<_>>(), [b"1", b"3"]);
    }

    #[test]
    fn the_last_value_grows_wherever_it_lies() {
        let mut headers = Headers::new();
        headers.extend_last(b"nobody's").unwrap();
        headers.add(b"a", b"1").unwrap();
        headers.add(b"cookie", b"x=1").unwrap();
        headers.extend_last(b"; y=2").unwrap();
        headers.add(b"gone", b"g").unwrap();
        headers.remove(b"gone");
        headers.extend_last(b"; z=3").unwrap();
        headers.set(b"a", b"2").unwrap();
        headers.extend_last(b"").unwrap();
        let expected = [("a", "2"), ("cookie", "x=1; y=2; z=3")];
        assert_eq!(names(&headers), expected.map(|(n, v)| (n.into(), v.into())));
        assert_eq!(headers.extend_last(&vec![b'v'; Headers::MAX_BYTES]), Err(HeaderLimit));
        assert_eq!(headers.get(b"cookie"), Some(&b"x=1; y=2; z=3"[..]));
    }

    #[test]
    fn tokens_are_found_in_lists_without_case() {
        let mut headers = Headers::new();
        headers.add(b"connection", b"Foo , Close").unwrap();
        assert!(headers.has_token(b"connection", b"close"));
        assert!(!headers.has_token(b"connection", b"clos"));
    }

    #[test]
    fn filters_leave_room_for_what_the_proxy_adds() {
        let mut headers = Headers::new();
        let mut added = 0;
        while headers.add_by_filter(b"a", b"1").is_ok() {
            added += 1;
        }
        assert_eq!(added, Headers::FILTERS_FIELDS);
        assert_eq!(headers.set_by_filter(b"b", b"1"), Err(HeaderLimit));
        assert_eq!(headers.set_by_filter(b"a", b"2"), Ok(()));
        assert_eq!(headers.len(), 1);
        let long = vec![b'v'; Headers::FILTERS_BYTES - 10];
        assert_eq!(headers.set_by_filter(b"a", &long), Ok(()));
        assert_eq!(headers.add_by_filter(b"b", &[b'v'; 20]), Err(HeaderLimit));
        assert!(headers.is_filters_share());
        assert_eq!(headers.add(b"b", &[b'v'; 20]), Ok(()));
        assert!(!headers.is_filters_share());
    }

    #[test]
    fn rewriting_one_value_for_ever_does_not_grow_the_map() {
        let mut headers = Headers::new();
        let value = vec![b'v'; 1000];
        for _ in 0..5000 {
            headers.set(b"x", &value).unwrap();
        }
        assert_eq!(headers.len(), 1);
        assert_eq!(headers.set(b"x", &vec![b'v'; Headers::MAX_BYTES]), Err(HeaderLimit));
        assert_eq!(headers.get(b"x"), Some(value.as_slice()));
    }
}
