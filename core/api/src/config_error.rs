//! Errors that filter factories report about their configuration.

/// A filter's configuration was refused. The configuration loader turns `path`
/// into file, line and column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterConfigError {
    /// Where, relative to the filter's entry: `config.User`,
    /// `so_config.so_path`, or empty for the entry itself. Array elements are
    /// `name[0]`.
    pub path: String,
    /// One line: what was expected and what was found.
    pub message: String,
    /// Machine-readable kind for tests and tools: `not_elf`, `hash_mismatch`…
    pub kind: &'static str,
}

impl FilterConfigError {
    /// An error of kind `config` at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        FilterConfigError { path: path.into(), message: message.into(), kind: "config" }
    }

    /// The same with another kind.
    pub fn with_kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }
}
