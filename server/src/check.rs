//! `sidegate check`.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};
use sidegate_api::nearest::hint;
use sidegate_api::{Metrics, shown};
use sidegate_config::{Config, ConfigFile, Diagnostic, LoadEnv, LoadMode, Wire};
use sidegate_generic_filter::{GenericFilter, Lasting, SendsTo, Verdict, inspect_with};

use crate::admin_client::AdminAddress;
use crate::against::ask;
use crate::cli::{CheckArgs, Format};
use crate::compose::{ComposeError, built_in_filters};
use crate::output::{Output, complain};
use crate::start::Start;
use crate::trust::policy;

pub(crate) fn check(args: &CheckArgs, start: &mut Start, output: &mut Output) -> ExitCode {
    if let Some(address) = &args.against {
        return match check_against(args, address, output) {
            Ok(code) => code,
            Err(error) => refused(args.format, &error, output),
        };
    }
    let mode = if args.no_load { LoadMode::NoLoad } else { LoadMode::Load };
    match start.load(&args.config, None, mode, None, None) {
        Ok(loaded) => {
            let patience = loaded.config.graceful_timeout;
            accepted(args, loaded.file.path(), &loaded.config, &loaded.modules, output);
            drop((loaded.config, loaded.modules));
            start.settle(patience);
            ExitCode::SUCCESS
        }
        Err(error) => {
            let code = refused(args.format, &error, output);
            start.settle(Config::GRACEFUL_TIMEOUT);
            code
        }
    }
}

fn accepted(args: &CheckArgs, path: &Path, config: &Config, modules: &GenericFilter, output: &mut Output) {
    let omitted = config.warnings_omitted;
    let mut unfit = unfit_modules(config);
    unfit.extend(modules.sends_to().iter().flat_map(|needs| clusters_missing(needs, config)));
    unfit.extend(modules.lasting().into_iter().map(stays_loaded));
    match args.format {
        Format::Json => {
            let warnings: Vec<_> =
                config.warnings.iter().map(|w| w.to_json()).chain(unfit.iter().map(Unfit::to_json)).collect();
            output.print(
                &json!({"ok": true, "errors": [], "warnings": warnings, "omitted": {"errors": 0, "warnings": omitted}}),
            );
        }
        Format::Text => {
            warn_of(&config.warnings, omitted);
            unfit.iter().for_each(|unfit| complain(&format_args!("warning: {}", unfit.message)));
            output.print(&format_args!("{}: ok", path.display()));
        }
    }
}

fn warn_of(warnings: &[Diagnostic], omitted: usize) {
    for warning in warnings {
        complain(&format_args!("warning: {warning}"));
    }
    if omitted > 0 {
        complain(&format_args!("warning: and {omitted} more warnings"));
    }
}

fn refused(format: Format, error: &ComposeError, output: &mut Output) -> ExitCode {
    match (format, error) {
        (Format::Json, ComposeError::Config(found)) => {
            let warnings: Vec<_> = found.warnings.iter().map(|w| w.to_json()).collect();
            let omitted = json!({"errors": found.errors_omitted, "warnings": found.warnings_omitted});
            let errors = found.to_json();
            output.print(&json!({"ok": false, "errors": errors, "warnings": warnings, "omitted": omitted}));
        }
        (Format::Json, other) => {
            let finding = json!({"message": other.to_string(), "kind": "environment"});
            let omitted = json!({"errors": 0, "warnings": 0});
            output.print(&json!({"ok": false, "errors": [finding], "warnings": [], "omitted": omitted}));
        }
        (Format::Text, _) => report(error),
    }
    ExitCode::FAILURE
}

/// Reloading is not refused; the process only keeps what it has loaded.
fn stays_loaded(lasting: Lasting) -> Unfit {
    let Lasting { module, file, why } = lasting;
    let message = format!("{}: module `{module}` will not be unloaded: {}", file.display(), why.join("; "));
    Unfit { file, kind: "not_reloadable", message }
}

/// A manifest speaks for every use of its module: this one may do without.
fn clusters_missing(needs: &SendsTo, config: &Config) -> Vec<Unfit> {
    let known = || config.clusters.iter().map(|cluster| &*cluster.name);
    let missing = needs.clusters.iter().filter(|name| !known().any(|known| known == name.as_str()));
    let unfit = missing.map(|name| Unfit {
        file: needs.file.clone(),
        kind: "cluster_missing",
        message: format!(
            "{}: the manifest of module `{}` says that it sends to cluster {name:?}, which is not in the configuration{}",
            needs.file.display(),
            needs.module,
            hint(name, known())
        ),
    });
    unfit.collect()
}

/// A module that a filter could name and that would be refused then, or that
/// is not as good as it could be.
struct Unfit {
    file: PathBuf,
    kind: &'static str,
    message: String,
}

impl Unfit {
    fn to_json(&self) -> Value {
        json!({"file": self.file.display().to_string(), "kind": self.kind, "message": self.message})
    }
}

/// Looks at modules in directories that no filter comes from: no start depends
/// on them, so nothing is wrong yet.
fn unfit_modules(config: &Config) -> Vec<Unfit> {
    let policy = policy(&config.module_policy);
    let filters = config.listeners.iter().flat_map(|listener| &listener.chain);
    let used: HashSet<&str> = filters.filter_map(|filter| Some(filter.spec.module.as_ref()?.name.as_str())).collect();
    let unused = config.known_modules.iter().filter(|module| !used.contains(module.name.as_str()));
    let unfit = unused.flat_map(|module| {
        let reasons = match inspect_with(&module.file, &policy).verdict {
            Verdict::Ok => Vec::new(),
            Verdict::Refused { reasons } => reasons,
        };
        reasons.into_iter().map(|reason| Unfit {
            file: module.file.clone(),
            kind: reason.kind,
            message: format!(
                "module {}, which no filter comes from, would be refused: {}",
                module.name, reason.message
            ),
        })
    });
    unfit.collect()
}

/// Has a process that runs say what the configuration would change there.
fn check_against(args: &CheckArgs, address: &AdminAddress, output: &mut Output) -> Result<ExitCode, ComposeError> {
    let working_dir = std::env::current_dir().map_err(ComposeError::WorkingDir)?;
    let (file, wire) = Wire::read(&args.config, &working_dir).map_err(ComposeError::Config)?;
    // What is wrong with it anywhere is said here, without asking.
    let config = look_at(&file, &working_dir)?;
    if args.format == Format::Text {
        warn_of(&config.warnings, config.warnings_omitted);
    }
    if address.is_elsewhere() {
        complain(&format_args!(
            "warning: the configuration goes to {address} in clear text, and any secrets in it: reach the admin \
             interface by loopback or a Unix socket instead"
        ));
    }
    let (_, answer) = ask(address, args.token_file.as_deref(), &wire.to_bytes())?;
    let changes = &answer["changes"];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let would_be_taken = answer["ok"] == true && list(&changes["restart"]).is_empty();
    match args.format {
        Format::Json => output.print(&answer),
        Format::Text => {
            let text = |line: &Value| {
                let line = line.as_str().map_or_else(|| line["message"].to_string(), str::to_owned);
                shown(&line).into_owned()
            };
            for error in list(&answer["errors"]) {
                complain(&format_args!("{address}: {}", shown(&place_and_message(&error))));
            }
            // What this side could not know.
            let said: Vec<Value> = config.warnings.iter().map(|warning| warning.to_json()).collect();
            let is_new = |warning: &&Value| !said.iter().any(|said| said["message"] == warning["message"]);
            for warning in list(&answer["warnings"]).iter().filter(is_new) {
                complain(&format_args!("warning: {address}: {}", shown(&place_and_message(warning))));
            }
            list(&changes["lines"]).iter().for_each(|line| output.print(&text(line)));
            for cluster in list(&answer["live_edits_dropped"]) {
                output.print(&format!(
                    "! clusters {}: hosts that were edited are those of the file again",
                    text(&cluster)
                ));
            }
        }
    }
    Ok(if would_be_taken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// As the other side will, but with this side's files.
fn look_at(file: &ConfigFile, working_dir: &Path) -> Result<Config, ComposeError> {
    let workers = file.workers().map_or(1, NonZeroUsize::get);
    let modules = GenericFilter::new(policy(&file.module_policy(working_dir))).map_err(ComposeError::ModuleControl)?;
    let mut registry = built_in_filters();
    registry.modules(Arc::new(modules));
    let env =
        LoadEnv { metrics: Metrics::new(workers), workers, working_dir: working_dir.to_path_buf(), key_log: None };
    file.resolve(&registry, &env, LoadMode::NoLoad, None).map_err(ComposeError::Config)
}

/// A finding of the other side, as this side would print it.
fn place_and_message(error: &Value) -> String {
    let message = error["message"].as_str().unwrap_or_default();
    let Some(file) = error["file"].as_str() else { return message.to_owned() };
    let place = match (error["line"].as_u64(), error["column"].as_u64()) {
        (Some(line), Some(column)) => format!("{file}:{line}:{column}"),
        _ => file.to_owned(),
    };
    match error["path"].as_str().filter(|path| !path.is_empty()) {
        Some(path) => format!("{place}: {path}: {message}"),
        None => format!("{place}: {message}"),
    }
}

/// Prints an error, one line per finding, and how many there are beyond those.
pub(crate) fn report(error: &ComposeError) {
    match error {
        ComposeError::Config(errors) => {
            errors.errors.iter().for_each(|finding| complain(finding));
            if errors.errors_omitted > 0 {
                complain(&format_args!("and {} more errors", errors.errors_omitted));
            }
        }
        other => complain(other),
    }
}
