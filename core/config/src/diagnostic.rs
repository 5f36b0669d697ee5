//! What was wrong, or worth a warning, and where.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use sidegate_api::RegexBudget;

use crate::document::{FileNumber, Position};

/// One error or warning of a configuration file. `Display` is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// File as it was named.
    pub file: Arc<str>,
    /// Where in the file; `None` if the file could not be read.
    pub position: Option<Position>,
    /// `servers[0].listeners[0].address`; empty for the whole file.
    pub path: String,
    /// For tools and tests: `unknown_key`, `wrong_type`…
    pub kind: &'static str,
    /// One line.
    pub message: String,
    /// What may stand there, if that can be said.
    pub expected: Option<String>,
    /// What stands there; never a secret.
    pub found: Option<String>,
}

/// The kinds of [`Diagnostic`] that this crate makes; filters add their own.
pub mod kind {
    /// The file cannot be read.
    pub const IO: &str = "io";
    /// Not JSON or YAML.
    pub const SYNTAX: &str = "syntax";
    /// A key stands twice in one object.
    pub const DUPLICATE_KEY: &str = "duplicate_key";
    /// A key nobody knows.
    pub const UNKNOWN_KEY: &str = "unknown_key";
    /// A required key is missing.
    pub const MISSING_KEY: &str = "missing_key";
    /// A value of another JSON type.
    pub const WRONG_TYPE: &str = "wrong_type";
    /// A value of the right type that makes no sense.
    pub const BAD_VALUE: &str = "bad_value";
    /// A name that is defined nowhere.
    pub const UNDEFINED: &str = "undefined";
    /// A name or address that is defined twice.
    pub const DUPLICATE: &str = "duplicate";
    /// A filter type that nobody registered.
    pub const UNREGISTERED: &str = "unregistered";
    /// MOSN has it, we do not, and ignoring it would change what happens.
    pub const UNSUPPORTED: &str = "unsupported";
    /// A value that a running process cannot take.
    pub const NEEDS_RESTART: &str = "needs_restart";
    /// A key that has no effect (warning).
    pub const INERT: &str = "inert";
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column, .. }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        f.write_str(": ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl Diagnostic {
    /// The same for machines.
    pub fn to_json(&self) -> Value {
        json!({
            "file": &*self.file,
            "line": self.position.map(|p| p.line),
            "column": self.position.map(|p| p.column),
            "path": self.path,
            "kind": self.kind,
            "message": self.message,
            "expected": self.expected,
            "found": self.found,
        })
    }
}

/// A configuration that was refused: the first errors, in file order.
/// `Display` is one line per error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// At least one, at most [`MAX_SHOWN`].
    pub errors: Vec<Diagnostic>,
    /// How many more there are.
    pub errors_omitted: usize,
    /// What was worth a warning besides.
    pub warnings: Vec<Diagnostic>,
    /// How many more there are.
    pub warnings_omitted: usize,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        if self.errors_omitted > 0 {
            write!(f, "\nand {} more errors", self.errors_omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl ConfigErrors {
    /// For results that are missing although nothing was reported: a bug here,
    /// and no reason to go on or to panic.
    pub(crate) fn unexplained(path: &std::path::Path) -> ConfigErrors {
        let report = Report::new(&path.display().to_string());
        let finding = Finding::said(kind::IO, "refused, and no reason was given");
        let error = report.place(None, "", finding);
        ConfigErrors { errors: vec![error], errors_omitted: 0, warnings: Vec::new(), warnings_omitted: 0 }
    }

    /// The errors for machines.
    pub fn to_json(&self) -> Value {
        self.errors.iter().map(Diagnostic::to_json).collect()
    }
}

/// How many errors, and how many warnings, are shown: the first of a file are
/// those to mend, and a file of one kind of mistake has as many as lines.
pub const MAX_SHOWN: usize = 100;

/// How many are kept, to show the first of them by place.
const MAX_KEPT: usize = 10_000;

/// The first of many findings, in file order.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub shown: Vec<Diagnostic>,
    pub omitted: usize,
}

impl Findings {
    fn of(mut all: Vec<Diagnostic>, omitted: usize) -> Findings {
        all.sort_by_key(|d| d.position);
        let omitted = omitted + all.len().saturating_sub(MAX_SHOWN);
        all.truncate(MAX_SHOWN);
        Findings { shown: all, omitted }
    }
}

/// Collects diagnostics of a configuration, so that reading goes on after an error.
#[derive(Debug)]
pub(crate) struct Report {
    /// By number; at least one.
    files: Vec<Arc<str>>,
    errors: RefCell<Vec<Diagnostic>>,
    warnings: RefCell<Vec<Diagnostic>>,
    /// Errors and warnings that are counted only.
    omitted: Cell<(usize, usize)>,
    /// What is left for regular expressions.
    regexes: RegexBudget,
    /// Keys that readers asked for: table and key.
    #[cfg(test)]
    read: RefCell<std::collections::BTreeSet<(&'static str, &'static str)>>,
}

/// What a diagnostic says, without where.
#[derive(Debug, Default)]
pub(crate) struct Finding {
    pub kind: &'static str,
    pub message: String,
    pub expected: Option<String>,
    pub found: Option<String>,
}

impl Finding {
    /// A sentence that says it all.
    pub fn said(kind: &'static str, message: impl Into<String>) -> Finding {
        Finding { kind, message: message.into(), ..Finding::default() }
    }

    /// `expected …, found …`
    pub fn mismatch(kind: &'static str, expected: impl Into<String>, found: impl Into<String>) -> Finding {
        let (expected, found) = (expected.into(), found.into());
        Finding {
            kind,
            message: format!("expected {expected}, found {found}"),
            expected: Some(expected),
            found: Some(found),
        }
    }
}

impl Report {
    pub fn new(file: &str) -> Report {
        Report::of(vec![file.into()])
    }

    /// A report on all of these files.
    pub fn of(files: Vec<Arc<str>>) -> Report {
        Report {
            files,
            errors: RefCell::default(),
            warnings: RefCell::default(),
            omitted: Cell::default(),
            regexes: RegexBudget::default(),
            #[cfg(test)]
            read: RefCell::default(),
        }
    }

    /// With this account for regular expressions.
    pub fn with_regexes(self, regexes: RegexBudget) -> Report {
        Report { regexes, ..self }
    }

    /// What is left for regular expressions.
    pub fn regexes(&self) -> &RegexBudget {
        &self.regexes
    }

    /// One more file.
    pub fn add_file(&mut self, name: &str) -> FileNumber {
        self.files.push(name.into());
        FileNumber(u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX))
    }

    pub fn into_files(self) -> Vec<Arc<str>> {
        self.files
    }

    /// An error of a file as a whole, or at a place in it.
    pub fn error_in(&self, file: FileNumber, position: Option<Position>, path: &str, finding: Finding) {
        let error = Diagnostic { file: self.name(file), ..self.place(position, path, finding) };
        self.add_error(error);
    }

    pub fn error(&self, position: Option<Position>, path: &str, finding: Finding) {
        self.add_error(self.place(position, path, finding));
    }

    fn add_error(&self, error: Diagnostic) {
        let (errors, warnings) = self.omitted.get();
        let has_room = self.errors.borrow().len() < MAX_KEPT;
        match has_room {
            true => self.errors.borrow_mut().push(error),
            false => self.omitted.set((errors + 1, warnings)),
        }
    }

    pub fn warning(&self, position: Option<Position>, path: &str, finding: Finding) {
        let (errors, warnings) = self.omitted.get();
        let has_room = self.warnings.borrow().len() < MAX_KEPT;
        match has_room {
            true => self.warnings.borrow_mut().push(self.place(position, path, finding)),
            false => self.omitted.set((errors, warnings + 1)),
        }
    }

    #[cfg(test)]
    pub fn note_read(&self, table: &'static str, key: &'static str) {
        self.read.borrow_mut().insert((table, key));
    }

    #[cfg(test)]
    pub fn was_read(&self, table: &'static str, key: &'static str) -> bool {
        self.read.borrow().contains(&(table, key))
    }

    pub fn has_errors(&self) -> bool {
        self.error_count() > 0
    }

    pub fn error_count(&self) -> usize {
        self.errors.borrow().len() + self.omitted.get().0
    }

    /// Errors and warnings so far.
    pub fn finding_count(&self) -> usize {
        self.error_count() + self.warnings.borrow().len() + self.omitted.get().1
    }

    /// `config.json:3:7`
    pub fn name_place(&self, position: Position) -> String {
        format!("{}:{}:{}", self.name(position.file), position.line, position.column)
    }

    fn name(&self, file: FileNumber) -> Arc<str> {
        self.files.get(file.0 as usize).cloned().unwrap_or_else(|| "?".into())
    }

    pub fn place(&self, position: Option<Position>, path: &str, finding: Finding) -> Diagnostic {
        let Finding { kind, message, expected, found } = finding;
        // Messages of filters may hold line breaks, and one error is one line.
        let message = message.replace(['\n', '\r'], " ");
        let file = self.name(position.map_or_else(FileNumber::default, |position| position.file));
        Diagnostic { file, position, path: path.to_owned(), kind, message, expected, found }
    }

    /// The warnings, or the errors if there are any.
    pub fn finish(self) -> Result<Findings, ConfigErrors> {
        let (errors_omitted, warnings_omitted) = self.omitted.get();
        let errors = Findings::of(self.errors.into_inner(), errors_omitted);
        let warnings = Findings::of(self.warnings.into_inner(), warnings_omitted);
        match errors.shown.is_empty() {
            true => Ok(warnings),
            false => {
                let (errors, errors_omitted) = (errors.shown, errors.omitted);
                let (warnings, warnings_omitted) = (warnings.shown, warnings.omitted);
                Err(ConfigErrors { errors, errors_omitted, warnings, warnings_omitted })
            }
        }
    }
}
