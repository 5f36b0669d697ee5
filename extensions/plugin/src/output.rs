//! What a plugin writes to its standard streams. Both are read to their end
//! whatever comes, so that a plugin never waits for us, and what is kept of
//! them is bounded.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use crate::handshake::{MAX_LINE, excerpt};
use crate::log_line::LogLine;

/// Bytes of a log line; what is longer is cut.
const MAX_LOG_LINE: usize = 8 * 1024;
/// Lines that go into the log within [`WINDOW`]; what is more is counted.
const MAX_LINES: u32 = 1000;
const WINDOW: Duration = Duration::from_secs(10);

/// Why there is no first line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FirstLineError {
    #[error("it closed its standard output without a handshake")]
    Closed,
    #[error("it printed {MAX_LINE} bytes without the end of a line, beginning with {0:?}")]
    TooLong(String),
    #[error("its standard output cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// The pipe at whose other end a plugin writes.
pub(crate) fn reader(pipe: OwnedFd) -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(pipe)
}

/// Reads the first line; what follows it is of no interest.
pub(crate) async fn first_line(stdout: &mut pipe::Receiver) -> Result<Vec<u8>, FirstLineError> {
    let mut line = Vec::with_capacity(256);
    loop {
        if stdout.read_buf(&mut line).await? == 0 {
            return Err(FirstLineError::Closed);
        }
        if let Some(end) = line.iter().position(|&b| b == b'\n') {
            line.truncate(end);
            return Ok(line);
        }
        if line.len() >= MAX_LINE {
            return Err(FirstLineError::TooLong(excerpt(&line)));
        }
    }
}

/// Reads standard output to its end and throws it away: it is for the handshake
/// alone.
pub(crate) async fn discard(mut stdout: pipe::Receiver, plugin: String) {
    let mut buffer = vec![0; 16 * 1024];
    let mut told = false;
    while let Ok(1..) = stdout.read(&mut buffer).await {
        if !told {
            told = true;
            tracing::warn!(plugin, "plugin writes to its standard output after the handshake: nobody reads it");
        }
        // Others have their turn, however fast it writes.
        tokio::task::yield_now().await;
    }
}

/// Takes standard error into the log.
pub(crate) async fn log(mut stderr: pipe::Receiver, plugin: String) {
    let mut lines = Lines::new(&plugin);
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        lines.take(&buffer[..read]);
        tokio::task::yield_now().await;
    }
    lines.end();
}

/// Lines on their way into the log.
pub(crate) struct Lines<'a> {
    plugin: &'a str,
    line: Vec<u8>,
    /// The rest of a line that was too long is on its way.
    cut: bool,
    since: Instant,
    written: u32,
    dropped: u64,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(plugin: &'a str) -> Self {
        Lines { plugin, line: Vec::new(), cut: false, since: Instant::now(), written: 0, dropped: 0 }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        let mut pieces = bytes.split(|&b| b == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            if !self.cut {
                let room = MAX_LOG_LINE - self.line.len();
                self.line.extend_from_slice(&piece[..piece.len().min(room)]);
                self.cut = piece.len() > room;
            }
            if pieces.peek().is_some() {
                self.write();
            }
        }
    }

    /// A last line may have no end.
    pub(crate) fn end(mut self) {
        if !self.line.is_empty() {
            self.write();
        }
        self.tell_dropped();
    }

    fn write(&mut self) {
        if self.since.elapsed() >= WINDOW {
            self.tell_dropped();
            self.since = Instant::now();
            self.written = 0;
        }
        if self.written < MAX_LINES {
            self.written += 1;
            if self.cut {
                self.line.extend_from_slice("…".as_bytes());
            }
            LogLine::parse(&self.line).emit(self.plugin);
        } else {
            self.dropped += 1;
        }
        self.line.clear();
        self.cut = false;
    }

    fn tell_dropped(&mut self) {
        if self.dropped > 0 {
            let (plugin, lines) = (self.plugin, std::mem::take(&mut self.dropped));
            tracing::warn!(plugin, lines, "plugin wrote more to its standard error than goes into the log");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_in_length_and_number() {
        let mut lines = Lines::new("p");
        lines.take(&vec![b'a'; 3 * MAX_LOG_LINE]);
        assert_eq!(lines.line.len(), MAX_LOG_LINE);
        lines.take(b"aa\nnext");
        assert_eq!((lines.line.as_slice(), lines.cut, lines.written), (&b"next"[..], false, 1));
        for _ in 0..2 * MAX_LINES {
            lines.take(b"\n");
        }
        assert_eq!((lines.written, lines.dropped), (MAX_LINES, u64::from(MAX_LINES) + 1));
        lines.end();
    }
}
