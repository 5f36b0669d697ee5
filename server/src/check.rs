//! `sidegate check`.

use std::process::ExitCode;

use serde_json::json;
use sidegate_config::{Config, LoadMode};

use crate::cli::{CheckArgs, Format};
use crate::compose::ComposeError;
use crate::start::Start;
use crate::{complain, print};

pub(crate) fn check(args: &CheckArgs, start: &mut Start) -> ExitCode {
    let mode = if args.no_load { LoadMode::NoLoad } else { LoadMode::Load };
    match start.load(&args.config, None, mode) {
        Ok(loaded) => {
            let (warnings, patience) = (loaded.config.warnings, loaded.config.graceful_timeout);
            let omitted = loaded.config.warnings_omitted;
            match args.format {
                Format::Json => {
                    let warnings: Vec<_> = warnings.iter().map(|w| w.to_json()).collect();
                    print(
                        &json!({"ok": true, "errors": [], "warnings": warnings, "omitted": {"errors": 0, "warnings": omitted}}),
                    );
                }
                Format::Text => {
                    for warning in &warnings {
                        complain(&format_args!("warning: {warning}"));
                    }
                    if omitted > 0 {
                        complain(&format_args!("warning: and {omitted} more warnings"));
                    }
                    print(&format_args!("{}: ok", loaded.path.display()));
                }
            }
            drop((loaded.config.listeners, loaded.modules));
            start.settle(patience);
            ExitCode::SUCCESS
        }
        Err(error) => {
            match (args.format, &error) {
                (Format::Json, ComposeError::Config(found)) => {
                    let warnings: Vec<_> = found.warnings.iter().map(|w| w.to_json()).collect();
                    let omitted = json!({"errors": found.errors_omitted, "warnings": found.warnings_omitted});
                    let errors = found.to_json();
                    print(&json!({"ok": false, "errors": errors, "warnings": warnings, "omitted": omitted}));
                }
                (Format::Json, other) => {
                    let finding = json!({"message": other.to_string(), "kind": "environment"});
                    let omitted = json!({"errors": 0, "warnings": 0});
                    print(&json!({"ok": false, "errors": [finding], "warnings": [], "omitted": omitted}));
                }
                (Format::Text, _) => report(&error),
            }
            start.settle(Config::GRACEFUL_TIMEOUT);
            ExitCode::FAILURE
        }
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
