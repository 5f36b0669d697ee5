//! A reader of ELF shared objects that sees what the dynamic loader will see:
//! program headers and the dynamic segment, never the section headers' view of
//! the same facts. Any bytes are safe input.

mod dynamic;
mod relocations;
mod segments;
mod symbols;
mod view;

pub(crate) use dynamic::Dynamic;
pub(crate) use relocations::Relocations;
pub(crate) use symbols::{Binding, Kind, Requirement, Symbol, SymbolTable, requirements};
pub(crate) use view::View;

use crate::refusal::Reason;
use crate::text;
use segments::Segments;

/// `e_machine` of this host.
pub(crate) const HOST_MACHINE: u16 = if cfg!(target_arch = "aarch64") { EM_AARCH64 } else { EM_X86_64 };
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
const HEADER_LEN: u64 = 64;
const SECTION_HEADER_LEN: u64 = 64;
const SHT_NOBITS: u32 = 8;
/// Bytes of the longest path (`PATH_MAX`).
const MAX_PATH: usize = 4096;

/// A shared object whose parts all lie inside the file, and that offers one
/// view of itself only.
#[derive(Debug)]
pub(crate) struct Elf<'a> {
    view: View<'a>,
    segments: Segments,
    pub(crate) dynamic: Dynamic,
}

impl<'a> Elf<'a> {
    /// Checks identity, machine, type and that no part is cut off, then reads
    /// the dynamic segment.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let view = View(bytes);
        check_identity(view)?;
        let machine = view.u16(18).unwrap_or_default();
        if machine != HOST_MACHINE {
            return Err(Reason::WrongMachine { expected: machine_name(HOST_MACHINE), found: machine_name(machine) });
        }
        match view.u16(16) {
            Some(3) => {}
            other => return Err(Reason::WrongType { found: type_name(other.unwrap_or_default()) }),
        }
        let segments = Segments::read(view)?;
        check_sections(view)?;
        let mut elf = Elf { view, segments, dynamic: Dynamic::default() };
        let at = elf.segments.dynamic;
        let entries = elf.bytes(at.address, at.file_len);
        elf.dynamic =
            Dynamic::read(entries.ok_or(Reason::Malformed { what: "its dynamic segment is outside the file" })?)?;
        Ok(elf)
    }

    /// `len` bytes at the loader's `address`, if the file has them.
    pub(crate) fn bytes(&self, address: u64, len: u64) -> Option<View<'a>> {
        self.view.view(self.segments.offset(address, len)?, len)
    }

    /// The bytes from `address` to the end of its segment's part in the file.
    pub(crate) fn at_address(&self, address: u64) -> Option<View<'a>> {
        self.bytes(address, self.segments.rest(address)?)
    }

    /// Whether the loader can write there while it relocates.
    pub(super) fn may_relocate(&self, address: u64, len: u64) -> bool {
        self.segments.may_relocate(address, len, self.dynamic.text_relocations())
    }

    /// Whether these bytes lie in memory that a module may write to.
    pub(crate) fn is_writable(&self, address: u64, len: u64) -> bool {
        self.segments.may_relocate(address, len, false)
    }

    /// Whether a function may lie there.
    pub(crate) fn is_code(&self, address: u64) -> bool {
        self.segments.is_code(address)
    }

    /// Where in the file `DF_1_NODELETE` ("never unload") is set, and what the
    /// number there is without it.
    pub(crate) fn no_delete_flag(&self) -> Option<(u64, u64)> {
        let (at, flags) = self.dynamic.no_delete_flag()?;
        Some((self.segments.dynamic.offset.checked_add(at)?, flags))
    }

    /// Whether the file has a note with this owner's name.
    pub(crate) fn has_note_of(&self, owner: &[u8]) -> bool {
        self.segments
            .notes()
            .any(|(offset, len)| self.view.view(offset, len).is_some_and(|notes| notes_have_owner(notes, owner)))
    }

    /// What is legal but opens a door to attacks, each as its refusal.
    pub(crate) fn hazards(&self) -> Vec<Reason> {
        let stack = self.segments.executable_stack().map(|found| Reason::ExecutableStack { found });
        let code = self.segments.writable_code().map(|address| Reason::WritableCode { address });
        let overlap = self.segments.overlap().map(|(first, second)| Reason::OverlappingSegments { first, second });
        let text = self.dynamic.text_relocations().then_some(Reason::TextRelocations);
        stack.into_iter().chain(code).chain(overlap).chain(text).collect()
    }

    /// The range of addresses of the dynamic segment.
    fn dynamic_range(&self) -> std::ops::Range<u64> {
        let at = self.segments.dynamic;
        at.address..at.address.saturating_add(at.file_len)
    }

    /// The dynamic string table.
    pub(crate) fn strings(&self) -> Result<View<'a>, Reason> {
        let strings = self.bytes(self.dynamic.strtab, self.dynamic.strsz);
        strings.ok_or(Reason::Malformed { what: "its dynamic string table is outside the file" })
    }

    /// Text number `at` of the dynamic string table, for people: as long as the
    /// path of a file may be.
    pub(crate) fn string(&self, at: u64) -> Result<String, Reason> {
        let name = self.strings()?.text(at);
        let name = name.ok_or(Reason::Malformed { what: "a name is outside its dynamic string table" })?;
        Ok(text::printable(name, MAX_PATH))
    }
}

/// Notes are padded to 4 bytes, those with properties to 8, which leaves the
/// first one readable.
fn notes_have_owner(notes: View<'_>, owner: &[u8]) -> bool {
    let mut at = 0_u64;
    while let (Some(name_len), Some(len)) = (notes.u32(at), notes.u32(at + 4)) {
        let name = notes.bytes(at + 12, name_len.into()).unwrap_or_default();
        if name.strip_suffix(b"\0").unwrap_or(name) == owner {
            return true;
        }
        let padded = |len: u32| (u64::from(len) + 3) & !3;
        at += 12 + padded(name_len) + padded(len);
    }
    false
}

fn check_identity(view: View<'_>) -> Result<(), Reason> {
    let start = view.bytes(0, view.len().min(4)).unwrap_or_default();
    if start != b"\x7fELF" {
        let found = if start.is_empty() { "an empty file".to_owned() } else { start.escape_ascii().to_string() };
        return Err(Reason::NotElf { found });
    }
    if view.len() < HEADER_LEN {
        return Err(Reason::Truncated { what: "the ELF header", needs: HEADER_LEN, has: view.len() });
    }
    match view.u8(4) {
        Some(2) => {}
        Some(1) => return Err(Reason::WrongClass { found: "a 32-bit file".to_owned() }),
        other => return Err(Reason::WrongClass { found: format!("class {}", other.unwrap_or_default()) }),
    }
    match view.u8(5) {
        Some(1) => Ok(()),
        Some(2) => Err(Reason::WrongClass { found: "a big-endian file".to_owned() }),
        other => Err(Reason::WrongClass { found: format!("byte order {}", other.unwrap_or_default()) }),
    }
}

/// Nothing of the section headers is used, but they stand at the end of a
/// file, so that a copy that was cut short is noticed by them.
fn check_sections(view: View<'_>) -> Result<(), Reason> {
    let (at, size, count) = (view.u64(40), view.u16(58), view.u16(60));
    let (at, size, count) = (at.unwrap_or_default(), size.unwrap_or_default(), count.unwrap_or_default());
    if at == 0 || u64::from(size) != SECTION_HEADER_LEN {
        return Ok(());
    }
    let len = u64::from(count) * SECTION_HEADER_LEN;
    let truncated = |what, needs| Reason::Truncated { what, needs, has: view.len() };
    let table = view.view(at, len).ok_or_else(|| truncated("the section headers", at.saturating_add(len)))?;
    for index in 0..u64::from(count) {
        let entry = index * SECTION_HEADER_LEN;
        let number = |at: u64| table.u64(entry + at).unwrap_or_default();
        let needs = number(24).saturating_add(number(32));
        if table.u32(entry + 4) != Some(SHT_NOBITS) && needs > view.len() {
            return Err(truncated("a section", needs));
        }
    }
    Ok(())
}

fn machine_name(machine: u16) -> String {
    match machine {
        EM_X86_64 => "x86-64".to_owned(),
        EM_AARCH64 => "aarch64".to_owned(),
        3 => "x86 (32-bit)".to_owned(),
        40 => "arm (32-bit)".to_owned(),
        243 => "riscv".to_owned(),
        other => format!("machine number {other}"),
    }
}

fn type_name(kind: u16) -> String {
    match kind {
        1 => "a relocatable object (.o)".to_owned(),
        2 => "an executable".to_owned(),
        4 => "a core dump".to_owned(),
        other => format!("ELF type {other}"),
    }
}
