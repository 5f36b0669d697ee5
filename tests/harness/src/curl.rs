//! A client that we did not write.

use std::process::Command;

use crate::run;

/// What curl got.
#[derive(Debug)]
pub struct CurlAnswer {
    /// Status of the response; 0 if there was none.
    pub status: u16,
    /// Its body.
    pub body: String,
    /// curl's own exit code.
    pub code: i32,
}

/// Runs curl with `args`; the last is the URL.
#[track_caller]
pub fn curl(args: &[&str]) -> CurlAnswer {
    const MARK: &str = "\n--status:";
    let outcome = run(Command::new("curl")
        // No user settings, no proxy from the environment, no progress bar.
        .args(["-q", "--noproxy", "*", "-sS", "--max-time", "15", "-w", "\n--status:%{http_code}"])
        .args(args));
    let (body, status) =
        outcome.stdout.rsplit_once(MARK).unwrap_or_else(|| panic!("curl {args:?} printed no status: {outcome:?}"));
    CurlAnswer { status: status.trim().parse().unwrap_or(0), body: body.to_owned(), code: outcome.code.unwrap_or(-1) }
}
