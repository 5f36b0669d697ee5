//! The dynamic segment: what the loader is told about a file.

use std::collections::BTreeSet;

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
    pub(crate) rela: Table,
    pub(crate) jmprel: Table,
    pub(crate) relr: Table,
    flags: u64,
    flags_1: u64,
    /// Offset of that number in the segment.
    flags_1_at: u64,
    has_text_relocations: bool,
    /// Names of libraries that are loaded along, in the string table.
    pub(crate) needed: Vec<u64>,
    /// `DT_RPATH` and `DT_RUNPATH`.
    pub(crate) run_paths: Vec<u64>,
}

/// A table of relocations.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Table {
    pub(crate) address: u64,
    pub(crate) len: u64,
}

const ENTRY_LEN: u64 = 16;
const MAX_NAMES: usize = 1024;
const SYMBOL_LEN: u64 = 24;
const RELA_LEN: u64 = 24;
const RELR_LEN: u64 = 8;
const DT_RELA: u64 = 7;
const DT_NEEDED: u64 = 1;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DF_1_NODELETE: u64 = 0x8;
const DT_AUDIT: u64 = 0x6fff_fefc;
const DT_DEPAUDIT: u64 = 0x6fff_fefb;
const DT_AUXILIARY: u64 = 0x7fff_fffd;
const DT_FILTER: u64 = 0x7fff_ffff;

impl Dynamic {
    /// Reads entries up to the end mark.
    pub(crate) fn read(entries: View<'_>) -> Result<Self, Reason> {
        let mut dynamic = Dynamic::default();
        let mut seen = BTreeSet::new();
        let mut at = 0;
        while let (Some(tag), Some(value)) = (entries.u64(at), entries.u64(at + 8)) {
            // Of repeated entries loaders take the last, some readers the
            // first; for these the loader takes each.
            let is_list = matches!(tag, DT_NEEDED | DT_AUXILIARY | DT_FILTER);
            if !is_list && !seen.insert(tag) {
                let what = format!("its dynamic segment has two entries with the tag {tag:#x}");
                return Err(Reason::Ambiguous { what });
            }
            // Loaders look at some bits of a tag only, so that this one could
            // mean another.
            if tag > DT_FILTER {
                return Err(Reason::Malformed { what: "its dynamic segment has a tag that nobody defines" });
            }
            if tag == 0 {
                return Ok(dynamic);
            }
            dynamic.take(tag, value)?;
            if tag == DT_FLAGS_1 {
                dynamic.flags_1_at = at + 8;
            }
            if dynamic.needed.len() > MAX_NAMES || dynamic.run_paths.len() > MAX_NAMES {
                return Err(Reason::Malformed { what: "its dynamic segment names too many libraries" });
            }
            at += ENTRY_LEN;
        }
        Err(Reason::Malformed { what: "its dynamic segment has no end mark" })
    }

    fn take(&mut self, tag: u64, value: u64) -> Result<(), Reason> {
        let sized = |right: u64| match value == right {
            true => Ok(()),
            false => {
                Err(Reason::Malformed { what: "its dynamic segment says that tables have entries of other sizes" })
            }
        };
        match tag {
            2 => self.jmprel.len = value,
            4 => self.hash = value,
            5 => self.strtab = value,
            6 => self.symtab = value,
            DT_RELA => self.rela.address = value,
            8 => self.rela.len = value,
            9 => sized(RELA_LEN)?,
            10 => self.strsz = value,
            11 => sized(SYMBOL_LEN)?,
            15 | 29 => self.run_paths.push(value),
            // REL, RELSZ, RELENT, and PLTREL with REL.
            17..=19 => {
                return Err(Reason::Malformed { what: "it has relocations of a kind that this machine has not" });
            }
            20 if value != DT_RELA => {
                return Err(Reason::Malformed { what: "it has relocations of a kind that this machine has not" });
            }
            22 => self.has_text_relocations = true,
            23 => self.jmprel.address = value,
            30 => self.flags = value,
            35 => self.relr.len = value,
            36 => self.relr.address = value,
            37 => sized(RELR_LEN)?,
            0x6fff_fef5 => self.gnu_hash = value,
            0x6fff_fff0 => self.versym = value,
            DT_FLAGS_1 => self.flags_1 = value,
            0x6fff_fffe => self.verneed = value,
            0x6fff_ffff => self.verneed_count = value,
            // Each makes the loader open another file.
            DT_NEEDED | DT_AUDIT | DT_DEPAUDIT | DT_AUXILIARY | DT_FILTER => self.needed.push(value),
            _ => {}
        }
        Ok(())
    }

    /// `DF_STATIC_TLS`.
    pub(crate) fn static_tls(&self) -> bool {
        self.flags & 0x10 != 0
    }

    /// Offset in the segment of flags with `DF_1_NODELETE`, and those flags
    /// without it.
    pub(super) fn no_delete_flag(&self) -> Option<(u64, u64)> {
        (self.flags_1 & DF_1_NODELETE != 0).then_some((self.flags_1_at, self.flags_1 & !DF_1_NODELETE))
    }

    /// `DT_TEXTREL` or `DF_TEXTREL`.
    pub(crate) fn text_relocations(&self) -> bool {
        self.has_text_relocations || self.flags & 0x4 != 0
    }
}
