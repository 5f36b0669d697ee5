//! Where the loader writes once it has mapped a file: nothing that was judged
//! by its bytes may be changed by that.

use std::ops::Range;

use super::dynamic::Table;
use super::{Elf, View};
use crate::refusal::Reason;

const RELA_LEN: u64 = 24;
/// Does nothing, wherever it points to.
const NONE: u32 = 0;
const WORD: u64 = 8;
/// Words that one bitmap of a `DT_RELR` table stands for.
const BITMAP_WORDS: u64 = 63;
#[cfg(not(target_arch = "aarch64"))]
const COPY: u32 = 5;
#[cfg(target_arch = "aarch64")]
const COPY: u32 = 1024;
#[cfg(not(target_arch = "aarch64"))]
const TLS_DESCRIPTOR: u32 = 36;
#[cfg(target_arch = "aarch64")]
const TLS_DESCRIPTOR: u32 = 1031;

/// The symbols and places that relocations name.
#[derive(Debug)]
pub(crate) struct Relocations<'a> {
    tables: Vec<View<'a>>,
    relr: Option<View<'a>>,
    own: Vec<Range<u64>>,
}

impl<'a> Relocations<'a> {
    pub(crate) fn of(elf: &Elf<'a>) -> Result<Self, Reason> {
        let outside = Reason::Malformed { what: "a table of its relocations is outside the file" };
        let mut own = Vec::new();
        let mut view = |table: Table| match table.len {
            0 => Ok(None),
            len => {
                own.push(table.address..table.address.saturating_add(len));
                elf.bytes(table.address, len).map(Some).ok_or_else(|| outside.clone())
            }
        };
        let dynamic = &elf.dynamic;
        let (rela, jmprel, relr) = (view(dynamic.rela)?, view(dynamic.jmprel)?, view(dynamic.relr)?);
        Ok(Relocations { tables: rela.into_iter().chain(jmprel).collect(), relr, own })
    }

    /// One more than the highest number of a symbol.
    pub(crate) fn symbols(&self) -> u64 {
        self.entries().map(|entry| u64::from(entry.symbol) + 1).max().unwrap_or(0)
    }

    /// Refuses a file whose relocations change one of these ranges of
    /// addresses, or the relocations themselves, or what is no memory of the
    /// file that can be written.
    pub(crate) fn keep_away(&self, elf: &Elf<'_>, mut ranges: Vec<Range<u64>>) -> Result<(), Reason> {
        ranges.extend(self.own.iter().cloned());
        let hits = |start: u64, len: u64| {
            let end = start.saturating_add(len);
            ranges.iter().any(|range| start < range.end && range.start < end)
        };
        let changed =
            || Err(Reason::Ambiguous { what: "its relocations change what they and its symbols say".to_owned() });
        let astray = || Err(Reason::Malformed { what: "its relocations point to what is not its own to write" });
        for entry in self.entries() {
            if entry.kind == COPY {
                return Err(Reason::Malformed { what: "it has a copy relocation, which only programs have" });
            }
            let len = if entry.kind == TLS_DESCRIPTOR { 2 * WORD } else { WORD };
            if hits(entry.place, len) {
                return changed();
            }
            if entry.kind != NONE && !elf.may_relocate(entry.place, len) {
                return astray();
            }
        }
        let mut next = 0_u64;
        for word in self.relr.iter().flat_map(|table| (0..table.len() / WORD).filter_map(|at| table.u64(at * WORD))) {
            let (start, words, after) = match word & 1 {
                0 => (word, 1, word.wrapping_add(WORD)),
                _ => (next, BITMAP_WORDS, next.wrapping_add(BITMAP_WORDS * WORD)),
            };
            let is_set = |index: u64| word & 1 == 0 || word >> (index + 1) & 1 == 1;
            // Most bitmaps are nowhere near: they are passed over as a whole.
            if hits(start, words * WORD)
                && (0..words).any(|index| is_set(index) && hits(start.wrapping_add(index * WORD), WORD))
            {
                return changed();
            }
            if !elf.may_relocate(start, words * WORD)
                && (0..words).any(|index| is_set(index) && !elf.may_relocate(start.wrapping_add(index * WORD), WORD))
            {
                return astray();
            }
            next = after;
        }
        Ok(())
    }

    fn entries(&self) -> impl Iterator<Item = Entry> + use<'a, '_> {
        self.tables.iter().flat_map(|table| {
            (0..table.len() / RELA_LEN).filter_map(move |index| {
                let at = index * RELA_LEN;
                Some(Entry { place: table.u64(at)?, kind: table.u32(at + 8)?, symbol: table.u32(at + 12)? })
            })
        })
    }
}

struct Entry {
    place: u64,
    kind: u32,
    symbol: u32,
}
