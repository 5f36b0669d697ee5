//! `sidegate schema`.

use std::process::ExitCode;

use crate::cli::{SchemaArgs, SchemaFormat};
use crate::compose::built_in_filters;
use crate::output::Output;

pub(crate) fn schema(args: &SchemaArgs, output: &mut Output) -> ExitCode {
    let registry = built_in_filters();
    match args.format {
        SchemaFormat::Json => output.print(&format_args!("{:#}", sidegate_config::json_schema(&registry))),
        SchemaFormat::Markdown => output.print(&sidegate_config::reference(&registry).trim_end()),
    }
    ExitCode::SUCCESS
}
