//! Dynamic symbols and the versions they want.

use std::collections::HashMap;
use std::ops::Range;

use super::{Elf, Relocations, View};
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
    /// `STT_GNU_IFUNC`: whoever looks it up runs code that says where it is.
    Resolved,
    Other,
}

/// A dynamic symbol.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) binding: Binding,
    pub(crate) kind: Kind,
    pub(crate) defined: bool,
    /// Whether its address is one of the file's, and no number.
    pub(crate) in_section: bool,
    /// Whether others than the file itself may bind to it.
    pub(crate) visible: bool,
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
/// The first of the section numbers that stand for no section.
const SHN_LORESERVE: u16 = 0xff00;
/// More than any real file has; bounds the work on a hostile one.
const MAX_REQUIREMENTS: usize = 4096;

/// The dynamic symbols, and where what was read of them lies.
#[derive(Debug)]
pub(crate) struct SymbolTable<'a> {
    /// All but the empty first.
    pub(crate) symbols: Vec<Symbol<'a>>,
    ranges: Vec<Range<u64>>,
}

impl<'a> SymbolTable<'a> {
    /// Reads every symbol that hash tables or relocations can lead to.
    pub(crate) fn read(elf: &Elf<'a>, relocations: &Relocations<'a>) -> Result<Self, Reason> {
        let (hashed, mut ranges) = hashed_symbols(elf)?;
        let count = hashed.max(relocations.symbols());
        let len = count.checked_mul(SYMBOL_LEN);
        let table = len.and_then(|len| elf.bytes(elf.dynamic.symtab, len));
        let table = table.ok_or(Reason::Malformed { what: "its dynamic symbol table is outside the file" })?;
        let strings = elf.strings()?;
        let mut versions = HashMap::new();
        for requirement in requirements(elf)? {
            versions.entry(requirement.index).or_insert(requirement.version);
        }
        let indices = match elf.dynamic.versym {
            0 => None,
            at => Some(
                elf.bytes(at, count * 2)
                    .ok_or(Reason::Malformed { what: "its symbols' versions are outside the file" })?,
            ),
        };
        let mut symbols = Vec::new();
        // Names may share their ends; more than this is no linker's work and
        // would keep us busy.
        let mut names_left = strings.len().saturating_mul(16).saturating_add(1 << 20);
        for index in 1..count {
            let at = index * SYMBOL_LEN;
            let numbers = (table.u32(at), table.u8(at + 4), table.u8(at + 5), table.u16(at + 6));
            let (Some(name), Some(info), Some(other), Some(section)) = numbers else {
                break;
            };
            let name = strings.text(name.into());
            let name = name.ok_or(Reason::Malformed { what: "a symbol's name is outside its string table" })?;
            let left = names_left.checked_sub(name.len() as u64);
            names_left = left.ok_or(Reason::Malformed { what: "its symbols' names repeat too much" })?;
            let wanted = indices.and_then(|v| v.u16(index * 2)).unwrap_or_default() & 0x7fff;
            symbols.push(Symbol {
                name,
                binding: match info >> 4 {
                    0 => Binding::Local,
                    2 => Binding::Weak,
                    10 => Binding::Unique,
                    _ => Binding::Global,
                },
                kind: match info & 0xf {
                    1 => Kind::Data,
                    2 => Kind::Function,
                    10 => Kind::Resolved,
                    _ => Kind::Other,
                },
                defined: section != 0,
                in_section: section < SHN_LORESERVE,
                // STV_DEFAULT and STV_PROTECTED.
                visible: matches!(other & 3, 0 | 3),
                address: table.u64(at + 8).unwrap_or_default(),
                size: table.u64(at + 16).unwrap_or_default(),
                version: if wanted > 1 { versions.get(&wanted).copied() } else { None },
            });
        }
        let mut range = |address: u64, len: u64| ranges.push(address..address.saturating_add(len));
        range(elf.dynamic.symtab, table.len());
        range(elf.dynamic.strtab, strings.len());
        range(elf.dynamic.versym, indices.map_or(0, View::len));
        ranges.push(elf.dynamic_range());
        Ok(SymbolTable { symbols, ranges })
    }

    /// Addresses of all that was read.
    pub(crate) fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }
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
/// Also gives where these tables lie.
fn hashed_symbols(elf: &Elf<'_>) -> Result<(u64, Vec<Range<u64>>), Reason> {
    let outside = Reason::Malformed { what: "its hash table is outside the file" };
    let mut ranges = Vec::new();
    let mut count = 0;
    if elf.dynamic.hash != 0 {
        let table = elf.bytes(elf.dynamic.hash, 8).and_then(|table| Some((table.u32(0)?, table.u32(4)?)));
        let (buckets, chains) = table.ok_or_else(|| outside.clone())?;
        let len = 8 + (u64::from(buckets) + u64::from(chains)) * 4;
        elf.bytes(elf.dynamic.hash, len).ok_or_else(|| outside.clone())?;
        ranges.push(elf.dynamic.hash..elf.dynamic.hash.saturating_add(len));
        count = u64::from(chains);
    }
    if elf.dynamic.gnu_hash != 0 {
        let table = elf.at_address(elf.dynamic.gnu_hash).and_then(gnu_hash);
        let (symbols, len) = table.ok_or(outside)?;
        ranges.push(elf.dynamic.gnu_hash..elf.dynamic.gnu_hash.saturating_add(len));
        count = count.max(symbols);
    }
    if ranges.is_empty() {
        return Err(Reason::Malformed { what: "it has no symbol hash table" });
    }
    Ok((count, ranges))
}

/// How many symbols a GNU hash table leads to, and its length.
fn gnu_hash(table: View<'_>) -> Option<(u64, u64)> {
    let (buckets, first, bloom) = (table.u32(0)?, table.u32(4)?, table.u32(8)?);
    let buckets_at = 16 + u64::from(bloom) * 8;
    let chains_at = buckets_at + u64::from(buckets) * 4;
    let mut last = 0;
    for bucket in 0..u64::from(buckets) {
        last = last.max(table.u32(buckets_at + bucket * 4)?);
    }
    if last < first {
        return Some((first.into(), chains_at));
    }
    let mut symbol = u64::from(last);
    let chain = |symbol: u64| chains_at + (symbol - u64::from(first)) * 4;
    while table.u32(chain(symbol))? & 1 == 0 {
        symbol += 1;
    }
    Some((symbol + 1, chain(symbol + 1)))
}
