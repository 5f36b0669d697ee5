//! Reading little-endian numbers out of bytes that may be anything.

/// Bytes of a file. Every access is checked: a place outside answers `None`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a>(pub(crate) &'a [u8]);

impl<'a> View<'a> {
    pub(crate) fn len(self) -> u64 {
        self.0.len() as u64
    }

    pub(crate) fn bytes(self, at: u64, len: u64) -> Option<&'a [u8]> {
        let start = usize::try_from(at).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        self.0.get(start..end)
    }

    pub(crate) fn view(self, at: u64, len: u64) -> Option<View<'a>> {
        self.bytes(at, len).map(View)
    }

    pub(crate) fn u8(self, at: u64) -> Option<u8> {
        self.0.get(usize::try_from(at).ok()?).copied()
    }

    pub(crate) fn u16(self, at: u64) -> Option<u16> {
        Some(u16::from_le_bytes(self.array(at)?))
    }

    pub(crate) fn u32(self, at: u64) -> Option<u32> {
        Some(u32::from_le_bytes(self.array(at)?))
    }

    pub(crate) fn u64(self, at: u64) -> Option<u64> {
        Some(u64::from_le_bytes(self.array(at)?))
    }

    /// The NUL-terminated text at `at`; `None` if it does not end inside.
    pub(crate) fn text(self, at: u64) -> Option<&'a [u8]> {
        let rest = self.0.get(usize::try_from(at).ok()?..)?;
        rest.iter().position(|&b| b == 0).map(|end| &rest[..end])
    }

    fn array<const N: usize>(self, at: u64) -> Option<[u8; N]> {
        self.bytes(at, N as u64)?.try_into().ok()
    }
}
