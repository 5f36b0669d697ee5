//! Types that the tables are made of.

/// Borrowed bytes. `(NULL, 0)` is empty; not NUL-terminated. Frozen.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug, Clone, Copy)]
pub struct Slice {
    /// First byte; may be NULL if `len` is 0.
    pub ptr: *const u8,
    /// Number of bytes.
    pub len: u64,
}

impl Slice {
    /// The empty slice.
    pub const EMPTY: Slice = Slice { ptr: core::ptr::null(), len: 0 };

    /// Lends `bytes`.
    pub const fn from_bytes(bytes: &[u8]) -> Slice {
        Slice { ptr: bytes.as_ptr(), len: bytes.len() as u64 }
    }
}

/// A header field: name and value. Frozen.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// Name; lower case for HTTP when it comes from the host.
    pub name: Slice,
    /// Value.
    pub value: Slice,
}

/// A stream, as the host hands it to hooks. Opaque; valid for that hook only.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct Stream {
    _opaque: [u8; 0],
}

/// The host's record of one generation of one module, for log and metrics.
/// Opaque; valid until the process ends, on any thread.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct Module {
    _opaque: [u8; 0],
}

/// A reference-counted handle that resumes one `PENDING`. Opaque; any thread.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct Resume {
    _opaque: [u8; 0],
}

/// Where `export_state` writes to. Opaque; valid during that call, on its
/// thread.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct StateOut {
    _opaque: [u8; 0],
}

/// Where a module writes why it refused a configuration. The buffers belong to
/// the host; the module writes at most the capacities and sets the lengths.
#[repr(C)]
#[cfg_attr(feature = "abi_stable", derive(abi_stable::StableAbi))]
#[derive(Debug)]
pub struct ErrorOut {
    /// Length of this struct in bytes.
    pub size: u64,
    /// One line of UTF-8: what was expected and what was found.
    pub message: *mut u8,
    /// Bytes that fit.
    pub message_capacity: u64,
    /// Bytes written; 0 when called.
    pub message_len: u64,
    /// Where in the configuration, as `key.key[0]`; may stay empty.
    pub path: *mut u8,
    /// Bytes that fit.
    pub path_capacity: u64,
    /// Bytes written; 0 when called.
    pub path_len: u64,
}
