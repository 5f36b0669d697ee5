//! The dynamic segment: what the loader is told about a file.

use super::View;
use crate::refusal::Reason;

/// The entries of a dynamic segment that matter here. Addresses are the
/// loader's; 0 is "not there".
#[derive(Debug, Default)]
pub(crate) struct Dynamic {
    pub(crate) strtab: u64,
    pub(crate) strsz: u64,
    pub(crate) symtab: u64,
    pub(crate) hash: u64,
    pub(crate) gnu_hash: u64,
    pub(crate) versym: u64,
    pub(crate) verneed: u64,
    pub(crate) verneed_count: u64,
    pub(crate) flags: u64,
    pub(crate) flags_1: u64,
    /// Names of libraries that are loaded along, in the string table.
    pub(crate) needed: Vec<u64>,
    /// `DT_RPATH` and `DT_RUNPATH`.
    pub(crate) run_paths: Vec<u64>,
}

const ENTRY_LEN: u64 = 16;
const MAX_NAMES: usize = 1024;

impl Dynamic {
    /// Reads entries up to the end mark.
    pub(crate) fn read(entries: View<'_>) -> Result<Self, Reason> {
        let mut dynamic = Dynamic::default();
        let mut at = 0;
        while let (Some(tag), Some(value)) = (entries.u64(at), entries.u64(at + 8)) {
            match tag {
                0 => return Ok(dynamic),
                4 => dynamic.hash = value,
                5 => dynamic.strtab = value,
                6 => dynamic.symtab = value,
                10 => dynamic.strsz = value,
                15 | 29 => dynamic.run_paths.push(value),
                30 => dynamic.flags = value,
                0x6fff_fef5 => dynamic.gnu_hash = value,
                0x6fff_fff0 => dynamic.versym = value,
                0x6fff_fffb => dynamic.flags_1 = value,
                0x6fff_fffe => dynamic.verneed = value,
                0x6fff_ffff => dynamic.verneed_count = value,
                // NEEDED, AUDIT, DEPAUDIT, AUXILIARY, FILTER: each makes the
                // loader open another file.
                1 | 0x6fff_fefc | 0x6fff_fefb | 0x7fff_fffd | 0x7fff_ffff => dynamic.needed.push(value),
                _ => {}
            }
            if dynamic.needed.len() > MAX_NAMES || dynamic.run_paths.len() > MAX_NAMES {
                return Err(Reason::Malformed { what: "its dynamic segment names too many libraries" });
            }
            at += ENTRY_LEN;
        }
        Err(Reason::Malformed { what: "its dynamic segment has no end mark" })
    }

    /// `DF_STATIC_TLS`.
    pub(crate) fn static_tls(&self) -> bool {
        self.flags & 0x10 != 0
    }

    /// `DF_1_NODELETE`.
    pub(crate) fn no_delete(&self) -> bool {
        self.flags_1 & 0x8 != 0
    }
}
