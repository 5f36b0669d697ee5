//! A `sidegate` process that need not come to serve anything.

use std::ffi::OsStr;
use std::fs::File;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::{TempDir, binary, until};

/// The process; killed when dropped.
pub struct Background {
    child: Child,
    dir: TempDir,
}

impl Background {
    /// Starts `sidegate` with `arguments`.
    pub fn sidegate(arguments: &[&OsStr]) -> Self {
        let dir = TempDir::new();
        let mut command = Command::new(binary());
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(File::create(dir.join("stderr")).unwrap());
        Background { child: command.spawn().unwrap(), dir }
    }

    /// What it wrote to standard error.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.dir.join("stderr")).unwrap()
    }

    /// Sends a signal to it.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code; `None` if a signal ended it.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        until("the end of the process", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
