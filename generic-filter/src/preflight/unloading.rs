//! What keeps a module in the process once it was loaded.

use crate::elf::{Binding, Elf, Symbol};
use crate::text;

/// Why it could not be unloaded; nothing if it could.
pub(super) fn prevented_by(elf: &Elf<'_>, symbols: &[Symbol<'_>], go_runtime: bool) -> Vec<String> {
    let mut why = Vec::new();
    if go_runtime {
        why.push("it brings the Go runtime, which never leaves a process and is there once".to_owned());
    }
    if let Some(unique) = symbols.iter().find(|s| s.defined && s.binding == Binding::Unique) {
        let name = text::printable(unique.name, 100);
        why.push(format!("it has unique symbols such as {name} (STB_GNU_UNIQUE; build with -fno-gnu-unique)"));
    }
    if elf.dynamic.static_tls() {
        why.push("it takes static thread-local storage, which is scarce (DF_STATIC_TLS)".to_owned());
    }
    if symbols.iter().any(|s| !s.defined && s.name == b"on_exit") {
        why.push("it imports on_exit, whose functions the C library calls even after unloading".to_owned());
    }
    why
}

/// Whether a Go runtime is in it: the linker's note, or what `cgo` exports.
pub(super) fn has_go_runtime(elf: &Elf<'_>, symbols: &[Symbol<'_>]) -> bool {
    const OF_CGO: [&[u8]; 4] = [b"_cgo_topofstack", b"_cgo_panic", b"crosscall2", b"x_cgo_init"];
    elf.has_note_of(b"Go") || symbols.iter().any(|s| s.defined && OF_CGO.contains(&s.name))
}
