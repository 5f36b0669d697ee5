//! The module record, read from the file's bytes.

use std::mem::{offset_of, size_of};

use serde::Serialize;
use sidegate_abi::{
    ABI_MAJOR, ABI_MINOR, ModuleRecord, PANIC_ABORT, PANIC_NONE, PANIC_UNWIND, RECORD_MAGIC, SYMBOL_RECORD,
};
use sidegate_api::is_hidden;

use crate::elf::{Elf, Symbol, View};
use crate::policy::{Policy, Rule};
use crate::refusal::Reason;

/// What a module says of itself.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RecordFacts {
    /// ABI it was built for.
    pub abi: String,
    /// Lowest minor of a host it can work with.
    pub min_host_minor: u16,
    /// `none`, `unwind` or `abort`.
    pub panic: String,
    /// Its name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// What it was written with.
    pub sdk: String,
    /// Version of that.
    pub sdk_version: String,
    /// Compiler.
    pub compiler: String,
    /// `abi_stable` version; empty without.
    pub abi_stable_version: String,
    /// Digest of the type layouts, in hexadecimal; empty without.
    pub layout_digest: String,
}

/// Up to here a record can be read whatever its version.
const PREFIX: u64 = offset_of!(ModuleRecord, min_host_minor) as u64;
const FULL: u64 = size_of::<ModuleRecord>() as u64;

/// Reads the record that `symbol` points to. Problems that leave the rest
/// readable go to `problems`.
pub(super) fn read(
    elf: &Elf<'_>,
    symbol: &Symbol<'_>,
    policy: &Policy,
    problems: &mut Vec<Reason>,
) -> Result<RecordFacts, Reason> {
    if symbol.size < PREFIX {
        return Err(Reason::RecordTooSmall { expected: FULL, found: symbol.size });
    }
    let record = elf.bytes(symbol.address, symbol.size);
    let record = record.ok_or(Reason::RecordNotInFile { symbol: SYMBOL_RECORD })?;
    let magic = record.bytes(0, 8).unwrap_or_default();
    if magic != RECORD_MAGIC {
        return Err(Reason::BadMagic { found: magic.escape_ascii().to_string() });
    }
    let number = |at: usize| record.u16(at as u64).unwrap_or_default();
    let major = number(offset_of!(ModuleRecord, abi_major));
    if major > ABI_MAJOR {
        return Err(Reason::AbiMajorTooNew { host: ABI_MAJOR, found: major });
    }
    if major != ABI_MAJOR {
        return Err(Reason::AbiMajorUnknown { host: ABI_MAJOR, found: major });
    }
    let said = record.u32(offset_of!(ModuleRecord, record_size) as u64).map_or(0, u64::from);
    if said < FULL || symbol.size < FULL {
        return Err(Reason::RecordTooSmall { expected: FULL, found: said.min(symbol.size) });
    }
    let min_host_minor = number(offset_of!(ModuleRecord, min_host_minor));
    if min_host_minor > ABI_MINOR {
        problems.push(Reason::HostMinorTooOld { host_major: ABI_MAJOR, host_minor: ABI_MINOR, found: min_host_minor });
    }
    let flags = record.u32(offset_of!(ModuleRecord, flags) as u64).unwrap_or_default();
    if flags != 0 {
        problems.push(Reason::RecordFlags { found: flags });
    }
    let panic = number(offset_of!(ModuleRecord, panic));
    if panic == PANIC_ABORT && policy.panic_abort == Rule::Refuse {
        problems.push(Reason::PanicAbort);
    }
    let mut text = |field: &'static str, at: usize, len: usize| {
        let text = field_text(record, at, len);
        if text.is_none() {
            problems.push(Reason::BadRecordText { field });
        }
        text.unwrap_or_default()
    };
    Ok(RecordFacts {
        abi: format!("{major}.{}", number(offset_of!(ModuleRecord, abi_minor))),
        min_host_minor,
        panic: match panic {
            PANIC_NONE => "none".to_owned(),
            PANIC_UNWIND => "unwind".to_owned(),
            PANIC_ABORT => "abort".to_owned(),
            other => format!("unknown ({other})"),
        },
        name: text("name", offset_of!(ModuleRecord, name), 64),
        version: text("version", offset_of!(ModuleRecord, version), 32),
        sdk: text("sdk", offset_of!(ModuleRecord, sdk), 32),
        sdk_version: text("sdk_version", offset_of!(ModuleRecord, sdk_version), 16),
        compiler: text("compiler", offset_of!(ModuleRecord, compiler), 64),
        abi_stable_version: text("abi_stable_version", offset_of!(ModuleRecord, abi_stable_version), 16),
        layout_digest: match record.bytes(offset_of!(ModuleRecord, layout_digest) as u64, 32) {
            Some(digest) if digest != [0; 32] => crate::text::hex(digest),
            _ => String::new(),
        },
    })
}

fn field_text(record: View<'_>, at: usize, len: usize) -> Option<String> {
    let field = record.bytes(at as u64, len as u64)?;
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    let text = std::str::from_utf8(&field[..end]).ok()?;
    (!text.contains(is_hidden)).then(|| text.to_owned())
}
