//! Dynamic symbols and the versions they want.

use super::{Elf, View};
use crate::refusal::Reason;

/// Who sees a symbol, and how it is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    Local,
    Global,
    Weak,
    /// `STB_GNU_UNIQUE`: one for the whole process, never unloaded.
    Unique,
}

/// What a symbol is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Function,
    Other,
}

/// A dynamic symbol.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) binding: Binding,
    pub(crate) kind: Kind,
    pub(crate) defined: bool,
    pub(crate) address: u64,
    pub(crate) size: u64,
    /// Version it is bound to, where one was recorded.
    pub(crate) version: Option<&'a [u8]>,
}

/// One version that the file wants of a library.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Requirement<'a> {
    pub(crate) version: &'a [u8],
    index: u16,
    pub(crate) weak: bool,
}

const SYMBOL_LEN: u64 = 24;
/// More than any real file has; bounds the work on a hostile one.
const MAX_REQUIREMENTS: usize = 4096;

/// All dynamic symbols but the empty first.
pub(crate) fn symbols<'a>(elf: &Elf<'a>) -> Result<Vec<Symbol<'a>>, Reason> {
    let outside = Reason::Malformed { what: "its dynamic symbol table is outside the file" };
    let count = symbol_count(elf)?;
    let table = count.checked_mul(SYMBOL_LEN).and_then(|len| {
        let at = elf.offset(elf.dynamic.symtab, len)?;
        elf.view.view(at, len)
    });
    let table = table.ok_or(outside)?;
    let strings = elf.strings()?;
    let requirements = requirements(elf)?;
    let versions = if elf.dynamic.versym == 0 { None } else { elf.at_address(elf.dynamic.versym) };
    let mut found = Vec::new();
    for index in 1..count {
        let at = index * SYMBOL_LEN;
        let (Some(name), Some(info), Some(section)) = (table.u32(at), table.u8(at + 4), table.u16(at + 6)) else {
            break;
        };
        let name = strings.text(name.into());
        let name = name.ok_or(Reason::Malformed { what: "a symbol's name is outside its string table" })?;
        let wanted = versions.and_then(|v| v.u16(index * 2)).unwrap_or_default() & 0x7fff;
        let version = requirements.iter().find(|r| wanted > 1 && r.index == wanted).map(|r| r.version);
        found.push(Symbol {
            name,
            binding: match info >> 4 {
                0 => Binding::Local,
                2 => Binding::Weak,
                10 => Binding::Unique,
                _ => Binding::Global,
            },
            kind: match info & 0xf {
                1 => Kind::Data,
                2 | 10 => Kind::Function,
                _ => Kind::Other,
            },
            defined: section != 0,
            address: table.u64(at + 8).unwrap_or_default(),
            size: table.u64(at + 16).unwrap_or_default(),
            version,
        });
    }
    Ok(found)
}

/// The versions the file wants, over all libraries.
pub(crate) fn requirements<'a>(elf: &Elf<'a>) -> Result<Vec<Requirement<'a>>, Reason> {
    let mut found = Vec::new();
    if elf.dynamic.verneed == 0 || elf.dynamic.verneed_count == 0 {
        return Ok(found);
    }
    let bad = || Reason::Malformed { what: "its version requirements are not readable" };
    let strings = elf.strings()?;
    let table = elf.at_address(elf.dynamic.verneed).ok_or_else(bad)?;
    let mut library = 0_u64;
    for _ in 0..elf.dynamic.verneed_count {
        let count = table.u16(library + 2).ok_or_else(bad)?;
        let mut at = library + u64::from(table.u32(library + 8).ok_or_else(bad)?);
        for _ in 0..count {
            let entry = (table.u16(at + 4), table.u16(at + 6), table.u32(at + 8), table.u32(at + 12));
            let (Some(flags), Some(index), Some(name), Some(next)) = entry else {
                return Err(bad());
            };
            let version = strings.text(name.into()).ok_or_else(bad)?;
            found.push(Requirement { version, index: index & 0x7fff, weak: flags & 2 != 0 });
            if found.len() > MAX_REQUIREMENTS {
                return Err(bad());
            }
            if next == 0 {
                break;
            }
            at += u64::from(next);
        }
        let next = table.u32(library + 12).ok_or_else(bad)?;
        if next == 0 {
            break;
        }
        library += u64::from(next);
    }
    Ok(found)
}

/// The file does not say how many symbols there are; the hash tables imply it.
fn symbol_count(elf: &Elf<'_>) -> Result<u64, Reason> {
    if elf.dynamic.hash != 0 {
        let chains = elf.at_address(elf.dynamic.hash).and_then(|table| table.u32(4));
        return chains.map(u64::from).ok_or(Reason::Malformed { what: "its hash table is outside the file" });
    }
    let table = (elf.dynamic.gnu_hash != 0).then(|| elf.at_address(elf.dynamic.gnu_hash)).flatten();
    let count = table.and_then(gnu_symbol_count);
    count.ok_or(Reason::Malformed { what: "it has no readable symbol hash table" })
}

fn gnu_symbol_count(table: View<'_>) -> Option<u64> {
    let (buckets, first, bloom) = (table.u32(0)?, table.u32(4)?, table.u32(8)?);
    let buckets_at = 16 + u64::from(bloom) * 8;
    let chains_at = buckets_at + u64::from(buckets) * 4;
    let mut last = 0;
    for bucket in 0..u64::from(buckets) {
        last = last.max(table.u32(buckets_at + bucket * 4)?);
    }
    if last < first {
        return Some(first.into());
    }
    let mut symbol = u64::from(last);
    while table.u32(chains_at + (symbol - u64::from(first)) * 4)? & 1 == 0 {
        symbol += 1;
    }
    Some(symbol + 1)
}
