//! Running a command to its end, with a deadline.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::wait::pause;
use crate::{TempDir, binary};

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What a command left behind.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Standard output and error together.
    pub fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs `sidegate` with `args` to its end.
#[track_caller]
pub fn sidegate<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Outcome {
    run(Command::new(binary()).args(args))
}

/// Runs `command` to its end with what is in `file` as its standard input.
#[track_caller]
pub fn run_reading(file: &Path, command: &mut Command) -> Outcome {
    run_from(File::open(file).unwrap().into(), None, LIMIT, command)
}

/// Runs `command` to its end; a command that does not end within a minute is
/// killed and fails the test.
#[track_caller]
pub fn run(command: &mut Command) -> Outcome {
    run_within(LIMIT, command)
}

/// The same with another limit.
#[track_caller]
pub fn run_within(limit: Duration, command: &mut Command) -> Outcome {
    run_from(Stdio::null(), None, limit, command)
}

/// The same with its standard output elsewhere: that of the outcome is empty.
#[track_caller]
pub fn run_into(output: Stdio, command: &mut Command) -> Outcome {
    run_from(Stdio::null(), Some(output), LIMIT, command)
}

#[track_caller]
fn run_from(input: Stdio, output: Option<Stdio>, limit: Duration, command: &mut Command) -> Outcome {
    no_core_files();
    // Files instead of pipes: nothing to drain while we watch the clock.
    let dir = TempDir::new();
    let (out, err) = (dir.join("stdout"), dir.join("stderr"));
    let file = Stdio::from(File::create(&out).unwrap());
    command.stdin(input).stdout(output.unwrap_or(file)).stderr(File::create(&err).unwrap());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} did not end within {limit:?}");
        }
        pause();
    };
    let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    Outcome { code: status.code(), stdout: read(out), stderr: read(err) }
}

/// Processes of tests crash on purpose; their memory is of no use to anybody.
/// They inherit the limit.
pub(crate) fn no_core_files() {
    let mut limit = getrlimit(Resource::Core);
    limit.current = Some(0);
    // Without it there are core files, which is no failure of a test.
    let _ = setrlimit(Resource::Core, limit);
}
