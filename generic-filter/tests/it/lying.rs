//! Files that show one thing and load another, and what is legal in a file but
//! opens a door: real modules, changed byte by byte.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sidegate_generic_filter::{Policy, Preflight, Refusal, Rule, inspect};

use crate::support::{compile, scratch};

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_NOTE: u32 = 4;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PT_GNU_RELRO: u32 = 0x6474_e552;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;

/// The bytes of a module and what may be changed in them.
struct Patched {
    bytes: Vec<u8>,
}

impl Patched {
    fn new(options: &[&str]) -> Self {
        Patched { bytes: fs::read(compile("record", options)).unwrap() }
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    fn set_u64(&mut self, at: usize, value: u64) {
        self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn set_u32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Places of the program headers of this type.
    fn headers(&self, kind: u32) -> Vec<usize> {
        let start = usize::try_from(self.u64(32)).unwrap();
        let count = usize::from(u16::from_le_bytes(self.bytes[56..58].try_into().unwrap()));
        (0..count).map(|index| start + index * 56).filter(|&at| self.u32(at) == kind).collect()
    }

    fn header(&self, kind: u32) -> usize {
        self.headers(kind)[0]
    }

    /// Places of the entries of the dynamic segment with this tag.
    fn entries(&self, tag: u64) -> Vec<usize> {
        let header = self.header(PT_DYNAMIC);
        let (start, len) = (self.u64(header + 8) as usize, self.u64(header + 32) as usize);
        (start..start + len).step_by(16).filter(|&at| self.u64(at) == tag).collect()
    }

    fn entry(&self, tag: u64) -> usize {
        self.entries(tag)[0]
    }

    /// Where an address lies in the file.
    fn offset(&self, address: u64) -> usize {
        let load = self
            .headers(PT_LOAD)
            .into_iter()
            .find(|&at| (self.u64(at + 16)..self.u64(at + 16) + self.u64(at + 32)).contains(&address));
        let load = load.unwrap();
        (self.u64(load + 8) + address - self.u64(load + 16)) as usize
    }

    /// Makes the header at `at` one of a readable segment.
    fn set_load(&mut self, at: usize, offset: u64, address: u64, len: u64) {
        self.set_u32(at, PT_LOAD);
        self.set_u32(at + 4, 4);
        for (field, value) in [(8, offset), (16, address), (24, address), (32, len), (40, len), (48, 0x1000)] {
            self.set_u64(at + field, value);
        }
    }

    /// Segments stand in the order of their addresses.
    fn sort_loads(&mut self) {
        let places = self.headers(PT_LOAD);
        let mut loads: Vec<_> = places.iter().map(|&at| self.bytes[at..at + 56].to_vec()).collect();
        loads.sort_by_key(|load| u64::from_le_bytes(load[16..24].try_into().unwrap()));
        for (at, load) in places.into_iter().zip(loads) {
            self.bytes[at..at + 56].copy_from_slice(&load);
        }
    }

    fn save(&self) -> PathBuf {
        let file = scratch("patched.so");
        fs::write(&file, &self.bytes).unwrap();
        file
    }
}

#[track_caller]
fn refused(file: &Path, kind: &str, word: &str) {
    let refusals = Preflight::open(file, None, &Policy::default()).expect_err("expected a refusal");
    let texts: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
    assert_eq!(refusals.iter().map(Refusal::kind).collect::<Vec<_>>(), [kind], "{texts:?}");
    assert!(texts[0].contains(word), "no `{word}` in {texts:?}");
}

/// Refused by default, taken under this policy.
#[track_caller]
fn needs(file: &Path, policy: &Policy, kind: &str, word: &str) {
    refused(file, kind, word);
    if let Err(refusals) = Preflight::open(file, None, policy) {
        panic!("{}", refusals[0]);
    }
}

#[test]
fn a_dynamic_segment_is_where_the_loader_finds_it() {
    // A second dynamic segment, without the first one's libraries, at the end
    // of the file: offset says the one, address the other.
    let mut file = Patched::new(&["-DCALL_MATH", "-lm"]);
    let header = file.header(PT_DYNAMIC);
    let (at, len) = (file.u64(header + 8) as usize, file.u64(header + 32) as usize);
    let mut copy = file.bytes[at..at + len].to_vec();
    copy[..16].copy_from_slice(&[0; 16]);
    let end = file.bytes.len().next_multiple_of(8);
    file.bytes.resize(end, 0);
    file.bytes.extend(copy);
    file.set_u64(header + 8, end as u64);
    refused(&file.save(), "ambiguous", "PT_DYNAMIC");
}

#[test]
fn headers_of_which_there_is_one_are_there_once() {
    for kind in [PT_DYNAMIC, PT_GNU_STACK, PT_GNU_RELRO] {
        let mut file = Patched::new(&[]);
        let (from, to) = (file.header(kind), file.header(PT_NOTE));
        file.bytes.copy_within(from..from + 56, to);
        refused(&file.save(), "ambiguous", "two program headers");
    }
    // Notes may be many.
    let mut file = Patched::new(&[]);
    let (from, to) = (file.header(PT_NOTE), file.header(PT_GNU_EH_FRAME));
    file.bytes.copy_within(from..from + 56, to);
    assert!(Preflight::open(&file.save(), None, &Policy::default()).is_ok());
}

#[test]
fn entries_of_which_loaders_take_the_last_are_there_once() {
    // DT_SYMTAB, DT_STRTAB, DT_STRSZ, DT_GNU_HASH, DT_VERSYM, DT_FLAGS: each
    // stands a second time in place of an entry nobody needs.
    for tag in [5, 6, 10, 0x6fff_fef5, 0x6fff_fff0] {
        let mut file = Patched::new(&["-DCALL_MATH", "-lm"]);
        let (from, to) = (file.entry(tag), file.entry(0x6fff_fff9));
        file.bytes.copy_within(from..from + 16, to);
        refused(&file.save(), "ambiguous", &format!("{tag:#x}"));
    }
    // Libraries may be many.
    let mut file = Patched::new(&["-DCALL_MATH", "-lm"]);
    let (from, to) = (file.entry(1), file.entry(0x6fff_fff9));
    file.bytes.copy_within(from..from + 16, to);
    assert!(Preflight::open(&file.save(), None, &Policy::default()).is_ok());
    // The loader looks at 31 bits of a tag: this one means DT_FILTER to it.
    let mut file = Patched::new(&[]);
    let at = file.entry(0x6fff_fff9);
    file.set_u64(at, 0x1_7fff_ffff);
    refused(&file.save(), "malformed", "nobody defines");
}

#[test]
fn every_symbol_that_can_be_reached_is_seen() {
    // The hash table says that there is one symbol; relocations use the others.
    let mut file = Patched::new(&["-DCALL_NOBODY", "-Wl,--hash-style=both"]);
    let hash = file.offset(file.u64(file.entry(4) + 8));
    file.set_u32(hash + 4, 1);
    refused(&file.save(), "undefined_symbols", "nobody_defines_that");
}

#[test]
fn the_record_is_what_will_be_in_memory() {
    // A relocation of the loader's that lands inside the record, and one that
    // lands in the symbols.
    for target in ["record", "symbols", "relocations"] {
        let mut file = Patched::new(&["-Wl,-z,nopack-relative-relocs"]);
        let record = file.bytes.windows(8).position(|w| w == b"SIDEGATE").unwrap() as u64;
        let place = match target {
            "record" => record + 16,
            "symbols" => file.u64(file.entry(6) + 8) + 24,
            _ => file.u64(file.entry(7) + 8),
        };
        let rela = file.offset(file.u64(file.entry(7) + 8));
        file.set_u64(rela, place);
        refused(&file.save(), "ambiguous", "relocations change");
    }
}

#[test]
fn packed_relocations_are_followed() {
    let mut file = Patched::new(&["-Wl,-z,pack-relative-relocs"]);
    let Some(&entry) = file.entries(36).first() else {
        // This linker does not pack.
        return;
    };
    assert!(Preflight::open(&file.save(), None, &Policy::default()).is_ok());
    let record = file.bytes.windows(8).position(|w| w == b"SIDEGATE").unwrap() as u64;
    let table = file.offset(file.u64(entry + 8));
    file.set_u64(table, record);
    refused(&file.save(), "ambiguous", "relocations change");
}

#[test]
fn the_loader_writes_and_seals_only_what_is_the_modules_own() {
    const RELA: u64 = 7;
    const PT_TLS: u32 = 7;
    let plain = || Patched::new(&[]);
    // A guard against the test: this is what linkers make.
    assert!(Preflight::open(&plain().save(), None, &Policy::default()).is_ok());

    let far = 0x90_0000;
    let code = |file: &Patched| {
        let load = file.headers(PT_LOAD).into_iter().find(|&at| file.u32(at + 4) & 1 != 0).unwrap();
        file.u64(load + 16)
    };
    for place in [0, far, u64::MAX - 3, code(&plain())] {
        let mut file = plain();
        let first = file.offset(file.u64(file.entry(RELA) + 8));
        file.set_u64(first, place);
        refused(&file.save(), "malformed", "not its own to write");
    }

    for len in [0x10_0000, u64::MAX] {
        let mut file = plain();
        let at = file.header(PT_GNU_RELRO);
        file.set_u64(at + 40, len);
        refused(&file.save(), "malformed", "PT_GNU_RELRO");
    }
    let mut file = plain();
    let (at, text) = (file.header(PT_GNU_RELRO), code(&file));
    let in_file = file.offset(text) as u64;
    for (field, value) in [(8, in_file), (16, text), (24, text)] {
        file.set_u64(at + field, value);
    }
    refused(&file.save(), "malformed", "PT_GNU_RELRO");

    let mut file = plain();
    let (tls, note) = (file.header(PT_GNU_EH_FRAME), file.header(PT_NOTE));
    file.bytes.copy_within(note..note + 56, tls);
    file.set_u32(tls, PT_TLS);
    file.set_u64(tls + 40, 1);
    refused(&file.save(), "malformed", "PT_TLS");
}

#[test]
fn a_segment_over_another_hides_nothing() {
    // One more segment, over the page of the record: memory will not hold what
    // the record's own segment has in the file.
    let mut file = Patched::new(&[]);
    let record = file.bytes.windows(8).position(|w| w == b"SIDEGATE").unwrap() as u64 & !0xfff;
    let stolen = file.header(PT_GNU_EH_FRAME);
    file.set_load(stolen, 0, record, 0x400);
    file.sort_loads();
    let refusals = Preflight::open(&file.save(), None, &Policy::default()).expect_err("expected a refusal");
    let kinds: Vec<_> = refusals.iter().map(Refusal::kind).collect();
    assert_eq!(kinds, ["record_not_in_file", "overlapping_segments"]);
    // With permission too: nobody can tell from the file what will be there.
    let policy = Policy { overlapping_segments: Rule::Permit, ..Policy::default() };
    let refusals = Preflight::open(&file.save(), None, &policy).expect_err("expected a refusal");
    assert_eq!(refusals.iter().map(Refusal::kind).collect::<Vec<_>>(), ["record_not_in_file"]);
}

#[test]
fn segments_that_share_a_page_need_permission() {
    let mut file = Patched::new(&[]);
    // A segment that only has memory, behind the last one.
    let last = *file.headers(PT_LOAD).last().unwrap();
    let end = file.u64(last + 16) + file.u64(last + 40);
    assert_ne!(end % 0x1000, 0);
    let stolen = file.header(PT_GNU_EH_FRAME);
    file.set_load(stolen, end, end, 0);
    file.set_u64(stolen + 40, 8);
    let policy = Policy { overlapping_segments: Rule::Permit, ..Policy::default() };
    needs(&file.save(), &policy, "overlapping_segments", "on one page");
}

#[test]
fn an_executable_stack_needs_permission() {
    let policy = Policy { executable_stack: Rule::Permit, ..Policy::default() };
    needs(&compile("record", &["-Wl,-z,execstack"]), &policy, "executable_stack", "flag for execution");
    let mut file = Patched::new(&[]);
    let stack = file.header(PT_GNU_STACK);
    file.set_u32(stack, 0);
    needs(&file.save(), &policy, "executable_stack", "no PT_GNU_STACK");
}

#[test]
fn memory_that_is_writable_and_executable_needs_permission() {
    let policy = Policy { writable_code: Rule::Permit, ..Policy::default() };
    for load in 0..4 {
        let mut file = Patched::new(&[]);
        let header = file.headers(PT_LOAD)[load];
        file.set_u32(header + 4, 7);
        needs(&file.save(), &policy, "writable_code", "writable and executable");
    }
}

#[test]
fn text_relocations_need_permission() {
    let policy = Policy { text_relocations: Rule::Permit, ..Policy::default() };
    // DT_TEXTREL, and DF_TEXTREL in DT_FLAGS.
    for (tag, value) in [(22, 0), (30, 4)] {
        let mut file = Patched::new(&["-DCALL_MATH", "-lm"]);
        let at = file.entry(0x6fff_fff9);
        file.set_u64(at, tag);
        file.set_u64(at + 8, value);
        needs(&file.save(), &policy, "text_relocations", "DT_TEXTREL");
    }
}

#[test]
fn a_go_plugin_is_refused_as_what_it_is() {
    // As Go 1.20 and later, and as earlier ones name the tables of packages.
    for mark in ["go:link.pkghashbytes.main", "go.link.pkghashbytes.main", "go:plugin.tabs"] {
        let source = scratch("plugin.c");
        fs::write(&source, format!("const char mark[8] __asm__(\"\\\"{mark}\\\"\") = \"x\";")).unwrap();
        let library = source.with_file_name("plugin.so");
        let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        assert!(made.unwrap().success());
        refused(&library, "go_plugin", "Go plugin (-buildmode=plugin)");
    }
}

#[test]
fn folders_that_everybody_writes_to_need_a_digest() {
    let module = compile("record", &[]);
    let folder = module.parent().unwrap().join("open");
    let inner = folder.join("inner");
    fs::create_dir_all(&inner).unwrap();
    let inside = inner.join("m.so");
    fs::copy(&module, &inside).unwrap();
    let link = module.with_file_name("link.so");
    std::os::unix::fs::symlink("open/inner/m.so", &link).unwrap();
    let mode = |folder: &Path, mode| fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    let policy = Policy { writable_directory: Rule::Permit, ..Policy::default() };
    let digest = Preflight::open(&inside, None, &policy).unwrap().sha256;
    for writable in [&folder, &inner] {
        mode(writable, 0o777);
        for path in [&inside, &link, &inner.join("../inner/./m.so")] {
            needs(path, &policy, "writable_directory", "0777");
            refused(path, "writable_directory", &writable.display().to_string());
            assert!(Preflight::open(path, Some(digest), &Policy::default()).is_ok());
        }
        mode(writable, 0o1777);
        assert!(Preflight::open(&link, None, &Policy::default()).is_ok());
        mode(writable, 0o755);
    }
    // The file's own folders count, not those beside them.
    mode(&folder, 0o777);
    assert!(Preflight::open(&module, None, &Policy::default()).is_ok());
}

#[test]
fn calls_that_make_and_end_processes_are_told() {
    assert_eq!(inspect(&compile("record", &[])).process_calls, [""; 0]);
    let inspection = inspect(&compile("record", &["-DCALL_PROCESSES"]));
    assert!(inspection.is_ok());
    assert_eq!(inspection.process_calls, ["_exit", "execv", "exit", "fork", "posix_spawn", "system"]);
    let text = inspection.to_string();
    assert!(text.contains("process calls   _exit, execv, exit, fork, posix_spawn, system"), "{text}");
    assert_eq!(inspection.to_json()["process_calls"][3], "fork");
}
