//! What a format shows that nobody measures otherwise.

/// Facts of a stream that cost something and are collected only where an access
/// log shows them. A listener's needs are those of all its logs: collect them
/// with `collect()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogNeeds {
    /// When the request was read to its end: one look at the clock per stream.
    pub received: bool,
    /// Our end of the upstream connection: one system call per connection.
    pub upstream_local: bool,
    /// What was agreed on in TLS with the host: a copy per attempt.
    pub upstream_tls: bool,
    /// The host's configured name: a reference count per attempt.
    pub upstream_hostname: bool,
    /// The host's certificate: a reference count per attempt.
    pub upstream_peer: bool,
    /// Path and query before rewrites: a copy per stream.
    pub original_target: bool,
}

impl LogNeeds {
    /// What either of two needs.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        LogNeeds {
            received: self.received || other.received,
            upstream_local: self.upstream_local || other.upstream_local,
            upstream_tls: self.upstream_tls || other.upstream_tls,
            upstream_hostname: self.upstream_hostname || other.upstream_hostname,
            upstream_peer: self.upstream_peer || other.upstream_peer,
            original_target: self.original_target || other.original_target,
        }
    }
}

impl FromIterator<LogNeeds> for LogNeeds {
    fn from_iter<I: IntoIterator<Item = LogNeeds>>(needs: I) -> Self {
        needs.into_iter().fold(LogNeeds::default(), LogNeeds::or)
    }
}
