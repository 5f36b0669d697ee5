//! Why a change was not made.

use std::fmt;

use serde_json::{Map, Value, json};

/// A change that was not made; everything is as before.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// In a word.
    pub why: Why,
    /// At least one.
    pub errors: Vec<Finding>,
    /// How many more there were.
    pub errors_omitted: usize,
    /// Findings that are no errors, as JSON.
    pub warnings: Vec<Value>,
    /// How many more there were.
    pub warnings_omitted: usize,
}

/// The kind of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The configuration, or a module of it, is not acceptable.
    Configuration,
    /// It would be, but changes what cannot change while the process runs.
    NeedsRestart,
    /// Something of the system cannot be had: a port, a file, a thread.
    Environment,
    /// Another change is being made.
    Busy,
    /// The process is about to end.
    Draining,
    /// Modules cannot be loaded now: an earlier one does not return.
    Hung,
    /// What is named is not there.
    NotFound,
    /// There is no configuration to go back to.
    NothingBefore,
    /// It was meant for what is not so any more.
    Stale,
    /// What is to be added is there.
    Exists,
    /// It comes from elsewhere and is not edited.
    NotEditable,
    /// The files changed while they were read; they are read again.
    Superseded,
}

/// One reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// One line for people.
    pub text: String,
    /// The same for tools.
    pub json: Value,
}

impl Why {
    /// One word, for metrics and tools.
    pub fn name(self) -> &'static str {
        match self {
            Why::Configuration => "configuration",
            Why::NeedsRestart => "needs_restart",
            Why::Environment => "environment",
            Why::Busy => "busy",
            Why::Draining => "draining",
            Why::Hung => "module_control_hung",
            Why::NotFound => "not_found",
            Why::NothingBefore => "nothing_before",
            Why::Stale => "stale",
            Why::Exists => "exists",
            Why::NotEditable => "not_editable",
            Why::Superseded => "superseded",
        }
    }
}

impl Finding {
    /// A sentence of this kind.
    pub fn said(kind: &str, text: impl Into<String>) -> Self {
        let text = text.into();
        Finding { json: json!({ "message": text, "kind": kind }), text }
    }
}

impl Refused {
    /// For one reason.
    pub fn because(why: Why, text: impl Into<String>) -> Self {
        Self::for_reasons(why, vec![Finding::said(why.name(), text)])
    }

    /// For these reasons.
    pub fn for_reasons(why: Why, errors: Vec<Finding>) -> Self {
        Refused { why, errors, errors_omitted: 0, warnings: Vec::new(), warnings_omitted: 0 }
    }

    /// As `check --format json` says it, and the kind of the refusal.
    pub fn to_json(&self) -> Map<String, Value> {
        let errors: Vec<Value> = self.errors.iter().map(|error| error.json.clone()).collect();
        let body = json!({
            "ok": false,
            "refused": self.why.name(),
            "errors": errors,
            "warnings": self.warnings,
            "omitted": { "errors": self.errors_omitted, "warnings": self.warnings_omitted },
        });
        match body {
            Value::Object(body) => body,
            _ => Map::new(),
        }
    }
}

/// All reasons, one a line.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{}", error.text)?;
        }
        match self.errors_omitted {
            0 => Ok(()),
            more => write!(f, "\nand {more} more errors"),
        }
    }
}

impl std::error::Error for Refused {}
