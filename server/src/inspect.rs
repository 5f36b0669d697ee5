//! `sidegate inspect`.

use std::process::ExitCode;

use crate::cli::{Format, InspectArgs};
use crate::print;

pub(crate) fn inspect(args: &InspectArgs) -> ExitCode {
    let inspection = sidegate_generic_filter::inspect(&args.file);
    match args.format {
        Format::Text => print(&inspection),
        Format::Json => print(&inspection.to_json()),
    }
    if inspection.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
