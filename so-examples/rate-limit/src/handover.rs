//! What survives a reload, as bytes. Another version of this module may read
//! them, and ours may read what another version wrote:
//!
//! ```text
//! 1 byte    version
//! 4 bytes   number of workers, little-endian as all numbers
//! then for each limit, the filter's own first:
//! 2 bytes   length of its name; 0 for the filter's own
//!           its name, in UTF-8
//! 8 bytes   for each worker: when its bucket will be full
//! ```

use sidegate_sdk::{bail, Fault, OrFault};

const VERSION: u8 = 1;

/// A limit's name, and when the bucket of each worker will be full.
pub type Entry<'a> = (&'a str, Vec<u64>);

pub fn write<'a>(workers: u32, entries: impl IntoIterator<Item = Entry<'a>>) -> Vec<u8> {
    let mut state = vec![VERSION];
    state.extend(workers.to_le_bytes());
    for (name, full_at) in entries {
        // Names are held to that when they are configured.
        let Ok(len) = u16::try_from(name.len()) else { continue };
        state.extend(len.to_le_bytes());
        state.extend(name.as_bytes());
        state.extend(full_at.into_iter().flat_map(u64::to_le_bytes));
    }
    state
}

/// Reads all of it or nothing.
pub fn read(state: &[u8], workers: u32) -> Result<Vec<Entry<'_>>, Fault> {
    let mut rest = state;
    let [version] = take(&mut rest)?;
    if version != VERSION {
        bail!("expected version {VERSION}, found {version}");
    }
    let theirs = u32::from_le_bytes(take(&mut rest)?);
    if theirs != workers {
        bail!("expected buckets of {workers} workers, found those of {theirs}");
    }
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let len = u16::from_le_bytes(take(&mut rest)?);
        let name = std::str::from_utf8(slice(&mut rest, len.into())?).or_fault("the name of a limit")?;
        let times = slice(&mut rest, workers as usize * 8)?.chunks_exact(8);
        entries.push((name, times.filter_map(|time| time.try_into().ok()).map(u64::from_le_bytes).collect()));
    }
    Ok(entries)
}

fn slice<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], Fault> {
    if len > rest.len() {
        bail!("expected {len} bytes more, found {}", rest.len());
    }
    let (first, others) = rest.split_at(len);
    *rest = others;
    Ok(first)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Fault> {
    Ok(slice(rest, N)?.try_into()?)
}
