//! The file that a writer writes to, and when it is another one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

use super::aside::{Janitor, free_name};
use crate::{LogError, LogRotation, LogTarget};

/// An open log.
#[derive(Debug)]
pub(super) struct Output {
    target: LogTarget,
    file: File,
    rolled: Option<Rolled>,
}

/// A log that is rotated.
#[derive(Debug)]
struct Rolled {
    path: PathBuf,
    rotation: LogRotation,
    /// Bytes in the file.
    size: u64,
    /// When its hours are over.
    due: Option<SystemTime>,
    janitor: Janitor,
    /// The last rotation failed and was reported.
    failing: bool,
}

/// The last so many bytes of a batch were not written.
#[derive(Debug)]
pub(super) struct Unwritten {
    pub(super) bytes: usize,
    pub(super) error: io::Error,
}

impl Output {
    pub(super) fn open(target: LogTarget, rotation: Option<LogRotation>) -> Result<Self, LogError> {
        let file = target.open()?;
        let rolled = Rolled::of(&target, &file, rotation);
        Ok(Output { target, file, rolled })
    }

    /// Opens the target again by its name; it is rotated like this then.
    pub(super) fn reopen(&mut self, rotation: Option<LogRotation>) -> Result<(), LogError> {
        self.file = self.target.open()?;
        match &mut self.rolled {
            Some(rolled) if Some(rolled.rotation) == rotation => rolled.begin(&self.file, SystemTime::now()),
            other => *other = Rolled::of(&self.target, &self.file, rotation),
        }
        Ok(())
    }

    /// Writes whole lines, setting the file aside in between where its
    /// rotation says so. A line is never cut in two.
    pub(super) fn write(&mut self, lines: &[u8], clock: impl Fn() -> SystemTime) -> Result<(), Unwritten> {
        let mut rest = lines;
        if let Some(due) = self.rolled.as_ref().and_then(|rolled| rolled.due) {
            let now = clock();
            if now >= due {
                self.rotate(now);
            }
        }
        while !rest.is_empty() {
            let mut piece = self.rolled.as_ref().map_or(rest, |rolled| rolled.fitting(rest));
            if piece.is_empty() {
                self.rotate(clock());
                // All of it where the file could not be set aside: a log that
                // is too large is better than none.
                piece = match &self.rolled {
                    Some(rolled) if !rolled.failing => rolled.fitting(rest),
                    _ => rest,
                };
            }
            let written = write_all(&mut self.file, piece);
            let count = written.as_ref().map_or_else(|(count, _)| *count, |()| piece.len());
            if let Some(rolled) = &mut self.rolled {
                rolled.size += count as u64;
            }
            rest = &rest[count..];
            if let Err((_, error)) = written {
                return Err(Unwritten { bytes: rest.len(), error });
            }
        }
        Ok(())
    }

    /// Sets the file aside. If that fails the old one stays in use, and the
    /// next lines try again.
    fn rotate(&mut self, now: SystemTime) {
        let Some(rolled) = &mut self.rolled else { return };
        if rolled.size == 0 {
            // Nothing to set aside.
            rolled.due = rolled.rotation.boundary_after(now);
            return;
        }
        match set_aside(&self.target, &rolled.path, &self.file, now) {
            Ok(file) => {
                self.file = file;
                rolled.failing = false;
                rolled.begin(&self.file, now);
                rolled.janitor.call();
            }
            Err(error) => {
                // Once per bout: for the process log this very message is a
                // line that has to be written.
                if !std::mem::replace(&mut rolled.failing, true) {
                    tracing::error!(%error, "a log was not rotated; going on with the old file");
                }
            }
        }
    }
}

impl Rolled {
    /// `None` for what is not set aside: a pipe or a device, or a file that
    /// nobody wants to be.
    fn of(target: &LogTarget, file: &File, rotation: Option<LogRotation>) -> Option<Self> {
        let (LogTarget::File(path), Some(rotation)) = (target, rotation) else { return None };
        if !file.metadata().is_ok_and(|meta| meta.is_file()) {
            return None;
        }
        let janitor = Janitor::new(path.clone(), rotation);
        // What an earlier process left undone.
        janitor.call();
        let mut rolled = Rolled { path: path.clone(), rotation, size: 0, due: None, janitor, failing: false };
        rolled.begin(file, SystemTime::now());
        Some(rolled)
    }

    /// Takes note of a file that was just opened.
    fn begin(&mut self, file: &File, now: SystemTime) {
        let meta = file.metadata().ok();
        self.size = meta.as_ref().map_or(0, |meta| meta.len());
        // What is in it already may belong to hours that are over.
        let last_line = meta.filter(|meta| meta.len() > 0).and_then(|meta| meta.modified().ok());
        self.due = self.rotation.boundary_after(last_line.unwrap_or(now).min(now));
    }

    /// The first of these lines that fit into the file, at least one into an
    /// empty one.
    fn fitting<'a>(&self, lines: &'a [u8]) -> &'a [u8] {
        let Some(max) = self.rotation.max_bytes else { return lines };
        let room = usize::try_from(max.get().saturating_sub(self.size)).unwrap_or(usize::MAX);
        if lines.len() <= room {
            return lines;
        }
        let end = |position: usize| position + 1;
        let fitting = lines[..room].iter().rposition(|&byte| byte == b'\n').map(end);
        let first = || lines.iter().position(|&byte| byte == b'\n').map_or(lines.len(), end);
        match fitting {
            Some(count) => &lines[..count],
            None if self.size == 0 => &lines[..first()],
            None => &[],
        }
    }
}

/// Renames the file at `path`, if it is still `file`, and opens a new one.
fn set_aside(target: &LogTarget, path: &PathBuf, file: &File, now: SystemTime) -> Result<File, LogError> {
    let open = |source| LogError::Open { target: target.clone(), source };
    let ours = file.metadata().map_err(open)?;
    // Somebody else may have moved it, or removed it: then what is there now,
    // if anything, is the file to go on with.
    let is_ours = fs::metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == (ours.dev(), ours.ino()));
    if is_ours {
        let aside = free_name(path, now);
        fs::rename(path, &aside).map_err(|source| LogError::SetAside { path: path.clone(), source })?;
    }
    target.open()
}

/// Fails with the number of bytes that were written.
fn write_all(file: &mut File, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(0) => return Err((bytes.len() - rest.len(), io::ErrorKind::WriteZero.into())),
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((bytes.len() - rest.len(), error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
