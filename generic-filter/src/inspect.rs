//! What `sidegate inspect` prints: everything that can be said of a file
//! without running any code of it.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::manifest::Manifest;
use crate::policy::Policy;
use crate::preflight::{self, Facts, RecordFacts, Signer};
use crate::refusal::Refusal;
use crate::text;

/// Bytes of a schema that are shown to people.
const MAX_SCHEMA: usize = 16 * 1024;

/// What was found out about a file, and whether it would be loaded.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// The file.
    pub file: String,
    /// Its size in bytes.
    pub size: u64,
    /// Digest of its bytes; empty if it could not be read.
    pub sha256: String,
    /// Who has signed it, where that was checked.
    pub signer: Option<Signer>,
    /// The module's record, if it has a readable one.
    pub module: Option<RecordFacts>,
    /// What it says of its filters, if it says so.
    pub manifest: Option<Manifest>,
    /// Libraries it needs.
    pub needed: Vec<String>,
    /// Versions it wants of them.
    pub versions: Vec<String>,
    /// `DT_RPATH` and `DT_RUNPATH`.
    pub run_paths: Vec<String>,
    /// Optional symbols it exports.
    pub optional_symbols: Vec<&'static str>,
    /// Why it could not be unloaded; empty if it could.
    pub not_reloadable: Vec<String>,
    /// It asks never to be unloaded (`DF_1_NODELETE`), which is not heeded.
    pub no_delete_cleared: bool,
    /// Functions it imports that make, replace or end processes.
    pub process_calls: Vec<String>,
    /// Whether it would be loaded.
    pub verdict: Verdict,
}

/// Whether a file would be loaded.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It would.
    Ok,
    /// It would not, for these reasons.
    Refused {
        /// All of them.
        reasons: Vec<RefusedBecause>,
    },
}

/// One reason.
#[derive(Debug, Clone, Serialize)]
pub struct RefusedBecause {
    /// One word.
    pub kind: &'static str,
    /// One line: what was expected and what was found.
    pub message: String,
}

/// Inspects `path` under the default policy. Runs no code of the file.
pub fn inspect(path: &Path) -> Inspection {
    inspect_with(path, &Policy::default())
}

/// The same under `policy`.
pub fn inspect_with(path: &Path, policy: &Policy) -> Inspection {
    let mut facts = Facts::default();
    let verdict = match preflight::run(path, None, policy, &mut facts) {
        Ok(_) => Verdict::Ok,
        Err(reasons) => Verdict::Refused {
            reasons: reasons
                .into_iter()
                .map(|reason| RefusedBecause { kind: reason.kind(), message: Refusal::new(path, reason).to_string() })
                .collect(),
        },
    };
    Inspection {
        file: path.display().to_string(),
        size: facts.size,
        sha256: facts.sha256.map(|digest| text::hex(&digest)).unwrap_or_default(),
        signer: facts.signer,
        module: facts.record,
        manifest: facts.manifest,
        needed: facts.needed,
        versions: facts.versions,
        run_paths: facts.run_paths,
        optional_symbols: facts.optional_symbols,
        not_reloadable: facts.not_reloadable,
        no_delete_cleared: facts.no_delete_flag.is_some(),
        process_calls: facts.process_calls,
        verdict,
    }
}

impl Inspection {
    /// Whether the file would be loaded.
    pub fn is_ok(&self) -> bool {
        matches!(self.verdict, Verdict::Ok)
    }

    /// A page of documentation for the module; `None` without a manifest.
    pub fn to_markdown(&self) -> Option<String> {
        let (manifest, module) = (self.manifest.as_ref()?, self.module.as_ref()?);
        Some(manifest.to_markdown(&module.name, &module.version))
    }

    /// As JSON.
    pub fn to_json(&self) -> serde_json::Value {
        // Plain strings and numbers: serializing them cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "file            {}", self.file)?;
        if !self.sha256.is_empty() {
            writeln!(f, "size            {} bytes", self.size)?;
            writeln!(f, "sha256          {}", self.sha256)?;
        }
        if let Some(signer) = &self.signer {
            writeln!(f, "signed by       {} ({})", signer.key, signer.comment)?;
        }
        if let Some(module) = &self.module {
            writeln!(f, "module          {} {}", or_dash(&module.name), module.version)?;
            writeln!(f, "abi             {} (needs a host of minor {} or newer)", module.abi, module.min_host_minor)?;
            writeln!(f, "written with    {} {}", or_dash(&module.sdk), module.sdk_version)?;
            writeln!(f, "compiler        {}", or_dash(&module.compiler))?;
            writeln!(f, "panic           {}", module.panic)?;
            if !module.abi_stable_version.is_empty() {
                writeln!(f, "abi_stable      {}", module.abi_stable_version)?;
            }
        }
        if let Some(manifest) = &self.manifest {
            show(f, manifest)?;
        }
        if !self.sha256.is_empty() {
            writeln!(f, "needs           {}", list(&self.needed))?;
            writeln!(f, "versions        {}", list(&self.versions))?;
        }
        if !self.process_calls.is_empty() {
            writeln!(f, "process calls   {}", list(&self.process_calls))?;
        }
        if !self.run_paths.is_empty() {
            writeln!(f, "run path        {}", list(&self.run_paths))?;
        }
        for symbol in &self.optional_symbols {
            writeln!(f, "exports         {symbol}")?;
        }
        if self.module.is_some() && self.not_reloadable.is_empty() {
            writeln!(f, "reloadable      yes (nothing in it prevents unloading)")?;
        }
        if self.no_delete_cleared {
            writeln!(f, "asks to stay    yes (DF_1_NODELETE; cleared in the copy that is loaded)")?;
        }
        for why in &self.not_reloadable {
            writeln!(f, "not reloadable: {why}")?;
        }
        match &self.verdict {
            Verdict::Ok => write!(f, "verdict         ok"),
            Verdict::Refused { reasons } => {
                write!(f, "verdict         refused")?;
                for reason in reasons {
                    write!(f, "\n  {}: {}", reason.kind, reason.message)?;
                }
                Ok(())
            }
        }
    }
}

fn show(f: &mut fmt::Formatter<'_>, manifest: &Manifest) -> fmt::Result {
    let mut line = |what: &str, said: &str| {
        if said.is_empty() { Ok(()) } else { writeln!(f, "{what:<15} {said}") }
    };
    line("description", &manifest.description)?;
    line("licence", &manifest.licence)?;
    let source = [manifest.source.repository.as_str(), manifest.source.revision.as_str()].join(" ");
    line("source", source.trim())?;
    for filter in &manifest.filters {
        line("filter", [filter.name.as_str(), filter.description.as_str()].join(": ").trim_end_matches(": "))?;
        line("  hooks", &filter.hooks.join(", "))?;
        line("  phases", &filter.phases.join(", "))?;
        line("  request body", &filter.bodies.request)?;
        line("  response body", &filter.bodies.response)?;
        if let Some(schema) = &filter.config {
            line("  config", &text::printable(schema.to_string().as_bytes(), MAX_SCHEMA))?;
        }
        if let Some(schema) = &filter.per_filter_config {
            line("  per route", &text::printable(schema.to_string().as_bytes(), MAX_SCHEMA))?;
        }
    }
    for cluster in &manifest.clusters {
        line("cluster", [cluster.name.as_str(), cluster.description.as_str()].join(": ").trim_end_matches(": "))?;
    }
    for metric in &manifest.metrics {
        line("metric", &format!("{} ({})", metric.name, or_dash(&metric.kind)))?;
    }
    Ok(())
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "-".to_owned() } else { items.join(", ") }
}
