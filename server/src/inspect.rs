//! `sidegate inspect`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sidegate_api::nearest::hint;
use sidegate_config::ConfigFile;
use sidegate_generic_filter::{Inspection, inspect_with};

use crate::check::report;
use crate::cli::{Format, InspectArgs};
use crate::compose::ComposeError;
use crate::output::{Output, complain};
use crate::trust::policy;

pub(crate) fn inspect(args: &InspectArgs, output: &mut Output) -> ExitCode {
    let inspection = match &args.config {
        None => sidegate_generic_filter::inspect(&args.file),
        Some(config) => match of_config(config, &args.file) {
            Ok(Ok(inspection)) => inspection,
            Ok(Err(unknown)) => {
                complain(&unknown);
                return ExitCode::FAILURE;
            }
            Err(error) => {
                report(&error);
                return ExitCode::FAILURE;
            }
        },
    };
    if args.markdown {
        return match inspection.to_markdown() {
            Some(page) => {
                output.print(&page.trim_end());
                ExitCode::SUCCESS
            }
            None => {
                output.print(&inspection);
                complain(&format_args!("{}: it has no manifest to make a page of", args.file.display()));
                ExitCode::FAILURE
            }
        };
    }
    match args.format {
        Format::Text => output.print(&inspection),
        Format::Json => output.print(&inspection.to_json()),
    }
    if inspection.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The module that a configuration knows by this name, or the file that is
/// there, under what is permitted to its modules.
fn of_config(config: &Path, module: &Path) -> Result<Result<Inspection, String>, ComposeError> {
    let working_dir = std::env::current_dir().map_err(ComposeError::WorkingDir)?;
    let file = ConfigFile::read(config).map_err(ComposeError::Config)?;
    let known = file.known_modules(&working_dir);
    let found = known.iter().find(|known| Path::new(&known.name) == module).map(|known| known.file.clone());
    let path: PathBuf = match found {
        Some(found) => found,
        None if module.exists() => module.to_path_buf(),
        None => {
            let name = module.display().to_string();
            let hint = hint(&name, known.iter().map(|known| known.name.as_str()));
            return Ok(Err(format!(
                "{}: no module of `modules.directories` is called {name:?}{hint}",
                config.display()
            )));
        }
    };
    Ok(Ok(inspect_with(&path, &policy(&file.module_policy(&working_dir)))))
}
