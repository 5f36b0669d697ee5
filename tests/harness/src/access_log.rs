//! The access log line that tests ask for, and its parts.

/// The format that [`ConfigBuilder`](crate::ConfigBuilder) configures.
pub const ACCESS_LOG_FORMAT: &str = "%method% %path% %response_code% %response_flag% %response_details% %request_id%";

/// One line in [`ACCESS_LOG_FORMAT`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLine {
    /// Request method, or `-`.
    pub method: String,
    /// Path, or `-`.
    pub path: String,
    /// Status; 0 if there was none.
    pub status: u16,
    /// Flags, such as `NR`.
    pub flags: Vec<String>,
    /// One word more.
    pub details: String,
    /// Request id, or `-`.
    pub request_id: String,
}

impl AccessLine {
    /// Parses a line; panics if it has another number of words, which is what
    /// an unescaped blank or line break in a logged value makes.
    #[track_caller]
    pub fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let [method, path, status, flags, details, request_id] = words[..] else {
            panic!("access log line of {} words instead of 6: {line:?}", words.len());
        };
        AccessLine {
            method: method.to_owned(),
            path: path.to_owned(),
            status: status.parse().unwrap_or(0),
            flags: flags.split(',').filter(|f| *f != "-").map(str::to_owned).collect(),
            details: details.to_owned(),
            request_id: request_id.to_owned(),
        }
    }

    /// Whether `flag` is among the flags.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f == flag)
    }
}
