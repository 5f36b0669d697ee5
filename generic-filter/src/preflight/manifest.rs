//! The manifest, read from the file's bytes.

use sidegate_abi::{MANIFEST_MAGIC, MANIFEST_MAX, SYMBOL_MANIFEST};

use crate::elf::{Elf, Symbol};
use crate::manifest::Manifest;
use crate::refusal::Reason;

/// Bytes before the text: magic, length, flags.
const HEADER: u64 = 16;

/// Reads the manifest that `symbol` points to.
pub(super) fn read(elf: &Elf<'_>, symbol: &Symbol<'_>) -> Result<Manifest, Reason> {
    let bad = |what: String| Reason::BadManifest { what };
    if symbol.size < HEADER {
        return Err(bad(format!("expected at least {HEADER} bytes, found {}", symbol.size)));
    }
    let data = elf.bytes(symbol.address, symbol.size);
    let data = data.ok_or(Reason::RecordNotInFile { symbol: SYMBOL_MANIFEST })?;
    if elf.is_writable(symbol.address, symbol.size) {
        return Err(bad("expected it in memory that is only read, found it in a writable segment".to_owned()));
    }
    let magic = data.bytes(0, 8).unwrap_or_default();
    if magic != MANIFEST_MAGIC {
        let (expected, found) = (MANIFEST_MAGIC.escape_ascii(), magic.escape_ascii());
        return Err(bad(format!("expected \"{expected}\" as its first bytes, found \"{found}\"")));
    }
    let (len, flags) = (data.u32(8).unwrap_or_default(), data.u32(12).unwrap_or_default());
    if flags != 0 {
        return Err(bad(format!("expected no flags, found {flags:#x}")));
    }
    if len > MANIFEST_MAX {
        return Err(bad(format!("expected at most {MANIFEST_MAX} bytes of text, found {len}")));
    }
    let text = data.bytes(HEADER, len.into());
    let text = text.ok_or_else(|| bad(format!("expected its text inside it, found one of {len} bytes")))?;
    Manifest::parse(text).map_err(bad)
}
