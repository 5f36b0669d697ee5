//! Log files that were set aside: their names, and clearing them up.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use flate2::write::GzEncoder;

use crate::timestamp::{parse_stamp, write_stamp};
use crate::{LogCompression, LogRotation};

/// A name beside `log` that nothing has: its own, a dot and the time.
pub(super) fn free_name(log: &Path, mut now: SystemTime) -> PathBuf {
    loop {
        let mut stamp = Vec::with_capacity(32);
        stamp.push(b'.');
        write_stamp(&mut stamp, now);
        let mut name = log.as_os_str().to_owned();
        name.push(String::from_utf8_lossy(&stamp).as_ref());
        let mut compressed = name.clone();
        compressed.push(GZ);
        let (name, compressed) = (PathBuf::from(name), PathBuf::from(compressed));
        if fs::symlink_metadata(&name).is_err() && fs::symlink_metadata(compressed).is_err() {
            return name;
        }
        now += Duration::from_micros(1);
    }
}

const GZ: &str = ".gz";
const PARTIAL: &str = ".gz.partial";

/// Clears up beside one log, one round at a time, on a thread of its own: to
/// compress a large file takes seconds, in which the log's writer has lines to
/// write.
#[derive(Debug, Clone)]
pub(super) struct Janitor {
    log: PathBuf,
    rotation: LogRotation,
    work: Arc<Mutex<Work>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    None,
    Running,
    /// Something came up meanwhile: another round has to follow.
    Again,
}

impl Janitor {
    pub(super) fn new(log: PathBuf, rotation: LogRotation) -> Self {
        Janitor { log, rotation, work: Arc::new(Mutex::new(Work::None)) }
    }

    /// Starts a round, or one more after the one that runs.
    pub(super) fn call(&self) {
        {
            let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
            let was = std::mem::replace(&mut *work, Work::Running);
            if was != Work::None {
                *work = Work::Again;
                return;
            }
        }
        let this = self.clone();
        let spawned = thread::Builder::new().name("log-janitor".to_owned()).spawn(move || this.run());
        if let Err(error) = spawned {
            *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Work::None;
            tracing::error!(log = %self.log.display(), %error, "cannot clear up old logs");
        }
    }

    fn run(&self) {
        loop {
            if let Err(error) = clear_up(&self.log, &self.rotation, SystemTime::now()) {
                tracing::error!(log = %self.log.display(), %error, "cannot clear up old logs");
            }
            let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
            match *work {
                Work::Again => *work = Work::Running,
                _ => {
                    *work = Work::None;
                    return;
                }
            }
        }
    }
}

/// Removes what is too old or too much and compresses the rest. Goes on after
/// an error and tells the first.
fn clear_up(log: &Path, rotation: &LogRotation, now: SystemTime) -> io::Result<()> {
    let mut outcome = Ok(());
    let mut note = |result: io::Result<()>| {
        // Somebody else may clear up too.
        if let Err(error) = result
            && error.kind() != io::ErrorKind::NotFound
            && outcome.is_ok()
        {
            outcome = Err(error);
        }
    };
    let mut files = set_aside(log)?;
    files.sort_unstable_by_key(|file| std::cmp::Reverse(file.time));
    let keep = rotation.keep.map_or(usize::MAX, |keep| keep.get() as usize);
    let oldest = rotation.max_age.and_then(|age| now.checked_sub(age));
    let mut kept = 0;
    let mut last = None;
    for file in files {
        if file.form == Form::Partial {
            note(fs::remove_file(&file.path));
            continue;
        }
        // A file and what it is compressed to count as one.
        if last != Some(file.time) {
            kept += 1;
            last = Some(file.time);
        }
        let is_surplus = kept > keep || oldest.is_some_and(|oldest| file.time < oldest);
        if is_surplus {
            note(fs::remove_file(&file.path));
        } else if file.form == Form::Plain && rotation.compression == LogCompression::Gzip {
            note(compress(&file.path));
        }
    }
    outcome
}

struct Aside {
    path: PathBuf,
    time: SystemTime,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Compressed,
    /// Compression was interrupted, or is going on.
    Partial,
}

/// The files beside `log` whose names [`free_name`] or [`compress`] made.
fn set_aside(log: &Path) -> io::Result<Vec<Aside>> {
    let Some(name) = log.file_name() else { return Ok(Vec::new()) };
    let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Some((time, form)) = parse_name(&entry.file_name(), name)
            && entry.file_type().is_ok_and(|kind| kind.is_file())
        {
            files.push(Aside { path: entry.path(), time, form });
        }
    }
    Ok(files)
}

fn parse_name(file: &OsString, log: &std::ffi::OsStr) -> Option<(SystemTime, Form)> {
    let rest = file.as_encoded_bytes().strip_prefix(log.as_encoded_bytes())?.strip_prefix(b".")?;
    let rest = std::str::from_utf8(rest).ok()?;
    let (stamp, form) = if let Some(stamp) = rest.strip_suffix(PARTIAL) {
        (stamp, Form::Partial)
    } else if let Some(stamp) = rest.strip_suffix(GZ) {
        (stamp, Form::Compressed)
    } else {
        (rest, Form::Plain)
    };
    Some((parse_stamp(stamp)?, form))
}

/// The compressed file appears whole or not at all, and only then the other
/// goes: whenever the process ends, no line is lost.
fn compress(file: &Path) -> io::Result<()> {
    let with = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let (partial, compressed) = (with(PARTIAL), with(GZ));
    let mut from = File::open(file)?;
    let to = File::create(&partial)?;
    to.set_permissions(from.metadata()?.permissions())?;
    let mut encoder = GzEncoder::new(to, flate2::Compression::default());
    io::copy(&mut from, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(&partial, &compressed)?;
    fs::remove_file(file)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::num::NonZeroU32;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::test_dir::TestDir;

    const DAY: Duration = Duration::from_secs(86_400);

    fn now() -> SystemTime {
        UNIX_EPOCH + DAY * 20_000
    }

    /// `log` and files set aside so many days ago.
    fn make(dir: &TestDir, days: &[u32]) -> PathBuf {
        let log = dir.file("a.log");
        fs::write(&log, "now\n").unwrap();
        for days in days {
            fs::write(free_name(&log, now() - DAY * *days), format!("{days}\n")).unwrap();
        }
        log
    }

    /// What lies there, by the days in it; compressed files with `z`.
    fn found(dir: &TestDir) -> Vec<String> {
        let mut found: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let bytes = fs::read(&path).unwrap();
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
                if path.to_str().unwrap().ends_with(".gz") {
                    let mut content = Vec::new();
                    flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut content).unwrap();
                    format!("{}z", text(&content))
                } else {
                    text(&bytes)
                }
            })
            .collect();
        found.sort();
        found
    }

    #[test]
    fn old_and_surplus_files_go_and_strangers_stay() {
        let dir = TestDir::new("aside-clear");
        let log = make(&dir, &[1, 2, 3, 4, 5]);
        for stranger in ["a.log.1", "a.log.2024-11-21", "b.log.2024-11-21T00-00-00.000000Z", "a.log."] {
            fs::write(dir.file(stranger), "stranger\n").unwrap();
        }
        fs::create_dir(dir.file("a.log.2000-01-01T00-00-00.000000Z")).unwrap();
        let rotation = LogRotation { max_age: Some(DAY * 4), ..LogRotation::default() };
        clear_up(&log, &rotation, now()).unwrap();
        fs::remove_dir(dir.file("a.log.2000-01-01T00-00-00.000000Z")).unwrap();
        assert_eq!(found(&dir), ["1", "2", "3", "4", "now", "stranger", "stranger", "stranger", "stranger"]);
        let rotation = LogRotation { keep: NonZeroU32::new(2), ..LogRotation::default() };
        clear_up(&log, &rotation, now()).unwrap();
        assert_eq!(found(&dir)[..3], ["1", "2", "now"]);
    }

    #[test]
    fn what_is_kept_is_compressed_once() {
        let dir = TestDir::new("aside-compress");
        let log = make(&dir, &[1, 2, 3]);
        let mut partial = free_name(&log, now() - DAY * 2).into_os_string();
        partial.push(PARTIAL);
        fs::write(&partial, "left behind").unwrap();
        let rotation =
            LogRotation { keep: NonZeroU32::new(2), compression: LogCompression::Gzip, ..LogRotation::default() };
        for _ in 0..2 {
            clear_up(&log, &rotation, now()).unwrap();
            assert_eq!(found(&dir), ["1z", "2z", "now"]);
        }
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        assert!(clear_up(Path::new("/nonexistent-folder/a.log"), &LogRotation::default(), now()).is_err());
    }
}
