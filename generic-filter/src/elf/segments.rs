//! Program headers: what the loader maps, from where in the file and with
//! which rights.
//!
//! The loader finds everything but the program headers themselves by address.
//! A reader that goes by file offsets can be shown one thing while another is
//! loaded, so here too all is read by address, and a file in which both ways
//! lead to different bytes is refused.

use super::View;
use crate::refusal::Reason;

const ENTRY_LEN: u64 = 56;
const PT_NULL: u32 = 0;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const PT_PHDR: u32 = 6;
const PT_TLS: u32 = 7;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PT_GNU_RELRO: u32 = 0x6474_e552;
const PT_GNU_PROPERTY: u32 = 0x6474_e553;
const PF_X: u32 = 1;
const PF_W: u32 = 2;

/// The program headers of a file in which offsets and addresses agree.
#[derive(Debug)]
pub(super) struct Segments {
    loads: Vec<Segment>,
    pub(super) dynamic: Segment,
    stack: Option<Segment>,
    notes: Vec<Segment>,
    page: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    kind: u32,
    flags: u32,
    pub(super) offset: u64,
    pub(super) address: u64,
    pub(super) file_len: u64,
    memory_len: u64,
    align: u64,
}

/// The largest page that a linker prepares files for.
const LARGEST_PAGE: u64 = 64 * 1024;

impl Segments {
    pub(super) fn read(view: View<'_>) -> Result<Self, Reason> {
        let all = read_table(view)?;
        let mut seen = Vec::new();
        for segment in all.iter().filter(|s| !matches!(s.kind, PT_NULL | PT_LOAD | PT_NOTE)) {
            if seen.contains(&segment.kind) {
                let what = format!("it has two program headers of type {}", type_name(segment.kind));
                return Err(Reason::Ambiguous { what });
            }
            seen.push(segment.kind);
        }
        let one = |kind| all.iter().copied().find(|s: &Segment| s.kind == kind);
        let dynamic = one(PT_DYNAMIC).ok_or(Reason::Malformed { what: "it has no dynamic segment" })?;
        let page = rustix::param::page_size() as u64;
        let loads: Vec<Segment> = all.iter().copied().filter(|s| s.kind == PT_LOAD).collect();
        check_loads(&loads, page)?;
        let notes = all.iter().copied().filter(|s: &Segment| s.kind == PT_NOTE).collect();
        let segments = Segments { loads, dynamic, stack: one(PT_GNU_STACK), notes, page };
        for kind in [PT_DYNAMIC, PT_INTERP, PT_PHDR, PT_TLS, PT_GNU_EH_FRAME, PT_GNU_RELRO, PT_GNU_PROPERTY] {
            if let Some(segment) = one(kind).filter(|s| s.file_len > 0)
                && segments.offset(segment.address, 1) != Some(segment.offset)
            {
                let (name, offset, address) = (type_name(kind), segment.offset, segment.address);
                let what =
                    format!("its {name} says offset {offset:#x}, and address {address:#x} is loaded from elsewhere");
                return Err(Reason::Ambiguous { what });
            }
        }
        if one(PT_GNU_RELRO).is_some_and(|relro| !segments.may_seal(relro)) {
            return Err(Reason::Malformed { what: "its PT_GNU_RELRO names memory that is not its own to write" });
        }
        if one(PT_TLS).is_some_and(|tls| tls.file_len > tls.memory_len) {
            return Err(Reason::Malformed { what: "its PT_TLS is longer in the file than in memory" });
        }
        Ok(segments)
    }

    /// Whether the loader, which makes these pages read-only without a look at
    /// what they are, takes rights from one writable segment only. Some linkers
    /// have them reach to the end of the largest page.
    fn may_seal(&self, relro: Segment) -> bool {
        let reach = |load: &Segment| {
            let page = if load.align.is_power_of_two() { load.align.clamp(self.page, LARGEST_PAGE) } else { self.page };
            load.end().checked_next_multiple_of(page).unwrap_or(u64::MAX)
        };
        relro.memory_len == 0
            || self
                .loads
                .iter()
                .any(|load| load.flags & PF_W != 0 && load.address <= relro.address && relro.end() <= reach(load))
    }

    /// Whether these bytes are memory of a segment, and of a writable one unless
    /// the loader makes all of them so.
    pub(super) fn may_relocate(&self, address: u64, len: u64, all_writable: bool) -> bool {
        self.loads.iter().any(|load| {
            (all_writable || load.flags & PF_W != 0)
                && load.address <= address
                && address.checked_add(len).is_some_and(|end| end <= load.end())
        })
    }

    /// Whether code lies there.
    pub(super) fn is_code(&self, address: u64) -> bool {
        self.loads.iter().any(|load| {
            load.flags & PF_X != 0 && address.checked_sub(load.address).is_some_and(|into| into < load.file_len)
        })
    }

    /// Where `len` bytes at the loader's `address` lie in the file, if they are
    /// in the file's part of one segment and no other is mapped over its pages.
    pub(super) fn offset(&self, address: u64, len: u64) -> Option<u64> {
        let end = address.checked_add(len)?;
        let mut over = self.loads.iter().filter(|s| s.memory_len > 0 && s.touches(address, end, self.page));
        let (segment, None) = (over.next()?, over.next()) else { return None };
        let into = address.checked_sub(segment.address)?;
        (into.checked_add(len)? <= segment.file_len).then(|| segment.offset.checked_add(into)).flatten()
    }

    /// The bytes from `address` to the end of its segment's part in the file.
    pub(super) fn rest(&self, address: u64) -> Option<u64> {
        let inside = |s: &&Segment| address.checked_sub(s.address).is_some_and(|into| into < s.file_len);
        let segment = self.loads.iter().find(inside)?;
        Some(segment.file_len - (address - segment.address))
    }

    /// Offsets and lengths of the notes.
    pub(super) fn notes(&self) -> impl Iterator<Item = (u64, u64)> {
        self.notes.iter().map(|note| (note.offset, note.file_len))
    }

    /// Why code could lie on the stack, if it could.
    pub(super) fn executable_stack(&self) -> Option<&'static str> {
        match self.stack {
            None => Some("no PT_GNU_STACK, which asks for one"),
            Some(stack) if stack.flags & PF_X != 0 => Some("PT_GNU_STACK with the flag for execution"),
            Some(_) => None,
        }
    }

    /// The address of a segment that is both writable and executable.
    pub(super) fn writable_code(&self) -> Option<u64> {
        self.loads.iter().find(|s| s.flags & (PF_W | PF_X) == PF_W | PF_X).map(|s| s.address)
    }

    /// Addresses of two segments that share a page.
    pub(super) fn overlap(&self) -> Option<(u64, u64)> {
        let mut before: Option<&Segment> = None;
        for segment in self.loads.iter().filter(|s| s.memory_len > 0) {
            if let Some(first) = before
                && segment.touches(first.address, first.end(), self.page)
            {
                return Some((first.address, segment.address));
            }
            // One inside another must not hide what the outer one reaches.
            before = before.filter(|first| first.end() > segment.end()).or(Some(segment));
        }
        None
    }
}

impl Segment {
    fn end(&self) -> u64 {
        self.address.saturating_add(self.memory_len)
    }

    /// Whether any page of it holds an address of this range, whose own pages
    /// are mapped as a whole as well.
    fn touches(&self, start: u64, end: u64, page: u64) -> bool {
        let down = |address: u64| address & !(page - 1);
        let up = |address: u64| address.saturating_add(page - 1) & !(page - 1);
        down(self.address) < up(end) && down(start) < up(self.end())
    }
}

fn read_table(view: View<'_>) -> Result<Vec<Segment>, Reason> {
    let (at, size, count) = (view.u64(32), view.u16(54), view.u16(56));
    let (at, size, count) = (at.unwrap_or_default(), size.unwrap_or_default(), count.unwrap_or_default());
    if u64::from(size) != ENTRY_LEN || count == 0 {
        return Err(Reason::Malformed { what: "it has no program headers of the expected size" });
    }
    let needs = at.saturating_add(u64::from(count) * ENTRY_LEN);
    let table = view.view(at, u64::from(count) * ENTRY_LEN);
    let table = table.ok_or(Reason::Truncated { what: "the program headers", needs, has: view.len() })?;
    let mut segments = Vec::with_capacity(count.into());
    for index in 0..u64::from(count) {
        let entry = index * ENTRY_LEN;
        let number = |at: u64| table.u64(entry + at).unwrap_or_default();
        let segment = Segment {
            kind: table.u32(entry).unwrap_or_default(),
            flags: table.u32(entry + 4).unwrap_or_default(),
            offset: number(8),
            address: number(16),
            file_len: number(32),
            memory_len: number(40),
            align: number(48),
        };
        let needs = segment.offset.saturating_add(segment.file_len);
        if matches!(segment.kind, PT_LOAD | PT_DYNAMIC) && needs > view.len() {
            return Err(Reason::Truncated { what: "a segment", needs, has: view.len() });
        }
        segments.push(segment);
    }
    Ok(segments)
}

/// What the loader takes for granted.
fn check_loads(loads: &[Segment], page: u64) -> Result<(), Reason> {
    let wrong = |what| Err(Reason::Malformed { what });
    for segment in loads {
        if segment.file_len > segment.memory_len {
            return wrong("a segment is longer in the file than in memory");
        }
        if segment.address.checked_add(segment.memory_len).is_none_or(|end| end > u64::MAX - page) {
            return wrong("a segment does not fit into memory");
        }
        if segment.address % page != segment.offset % page {
            return wrong("a segment's offset and address do not fit on pages");
        }
    }
    if !loads.is_sorted_by_key(|segment| segment.address) {
        return wrong("its segments are not in the order of their addresses");
    }
    Ok(())
}

fn type_name(kind: u32) -> String {
    match kind {
        PT_DYNAMIC => "PT_DYNAMIC".to_owned(),
        PT_INTERP => "PT_INTERP".to_owned(),
        PT_PHDR => "PT_PHDR".to_owned(),
        PT_TLS => "PT_TLS".to_owned(),
        PT_GNU_EH_FRAME => "PT_GNU_EH_FRAME".to_owned(),
        PT_GNU_STACK => "PT_GNU_STACK".to_owned(),
        PT_GNU_RELRO => "PT_GNU_RELRO".to_owned(),
        PT_GNU_PROPERTY => "PT_GNU_PROPERTY".to_owned(),
        other => format!("{other:#x}"),
    }
}
