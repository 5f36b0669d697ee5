//! What commands print, and what fails before or without a log.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Standard output of a command.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Why it takes no more.
    failure: Option<io::Error>,
}

/// Runs a command that prints; its exit code says whether all of it was
/// written.
pub(crate) fn printing(work: impl FnOnce(&mut Output) -> ExitCode) -> ExitCode {
    let mut output = Output::default();
    let code = work(&mut output);
    match output.failure {
        None => code,
        // Its reader has seen enough.
        Some(error) if error.kind() == ErrorKind::BrokenPipe => code,
        Some(error) => {
            complain(&format_args!("cannot write to standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

impl Output {
    /// Prints a text and the end of its line.
    pub(crate) fn print(&mut self, text: &dyn Display) {
        self.put(|| io::stdout().lock().write_all(format!("{text}\n").as_bytes()));
    }

    /// Has `write` print, which may use colours.
    pub(crate) fn put(&mut self, write: impl FnOnce() -> io::Result<()>) {
        // What comes after a piece that is missing would look whole.
        if self.failure.is_none() {
            self.failure = write().and_then(|()| io::stdout().flush()).err();
        }
    }
}

/// Prints an error to stderr. What fails before the log is open, or ends the
/// process, is said here.
pub(crate) fn complain(message: &dyn Display) {
    // There is nobody left to tell that it failed.
    let _ = io::stderr().write_all(format!("sidegate: {message}\n").as_bytes());
}
