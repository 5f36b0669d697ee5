//! Takes access logs into the folder that `TEST_LOG_FOLDER` names: a line of
//! `taken` per line, with what the host says of it in front. What the file
//! `deed` there says is done first.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use sidegate_plugin_kit::{LogError, LogSink, WriteRequest, async_trait};

/// Looks at the file once in so long while it is to wait.
const LOOK: Duration = Duration::from_millis(5);

pub(crate) struct Obeys {
    folder: PathBuf,
}

impl Obeys {
    pub(crate) fn new() -> Self {
        Obeys { folder: std::env::var_os("TEST_LOG_FOLDER").unwrap_or_default().into() }
    }

    fn deed(&self) -> String {
        fs::read_to_string(self.folder.join("deed")).unwrap_or_default()
    }

    /// One write per batch, so that whoever reads finds it whole or not at all
    /// but for a kill in between.
    fn take(&self, batch: &WriteRequest) -> std::io::Result<()> {
        let mut text = Vec::new();
        for (number, line) in (batch.first..).zip(&batch.lines) {
            write!(text, "{} {:x} {number} {} ", batch.log, batch.run, batch.dropped)?;
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        let mut file = OpenOptions::new().append(true).create(true).open(self.folder.join("taken"))?;
        file.write_all(&text)
    }
}

#[async_trait]
impl LogSink for Obeys {
    async fn write(&self, batch: WriteRequest) -> Result<(), LogError> {
        eprintln!("[DEBUG] a batch of {} lines", batch.lines.len());
        let mut deed = self.deed();
        while deed == "wait" {
            tokio::time::sleep(LOOK).await;
            deed = self.deed();
        }
        match deed.as_str() {
            "not_now" => return Err(LogError::NotNow("it is told to wait".to_owned())),
            "never" => return Err(LogError::Never("it is told to refuse".to_owned())),
            "die" => std::process::abort(),
            "slow" => tokio::time::sleep(Duration::from_millis(50)).await,
            _ => {}
        }
        self.take(&batch).map_err(|error| LogError::NotNow(error.to_string()))
    }
}
