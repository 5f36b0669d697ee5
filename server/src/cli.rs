//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A sidecar proxy that is extended by dropping in a shared library.
#[derive(Debug, Parser)]
#[command(name = "sidegate", version = VERSION.as_str(), about, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the proxy.
    Run(RunArgs),
    /// Check a configuration and its modules without running the proxy.
    ///
    /// Binds no port, contacts nobody and opens no log. Modules are loaded and
    /// asked for their factories, as a start would; --no-load only looks at
    /// their files. Exits with 0 if a start would succeed, with 1 if not.
    Check(CheckArgs),
    /// Show what a module's file says, without running any code of it.
    ///
    /// Exits with 0 if the module would be accepted, with 1 if not.
    Inspect(InspectArgs),
    /// Print what a configuration may hold.
    ///
    /// As JSON Schema (draft 2020-12), for editors and other tools, or as the
    /// reference page of the documentation. Both know the built-in filters of
    /// this build.
    Schema(SchemaArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Configuration file, JSON or YAML, in MOSN's schema.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Number of workers; by default `processor` of the configuration, else
    /// one per core the process may use.
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<NonZeroUsize>,
    /// Write process id and bound addresses to FILE, as JSON, once everything
    /// is listening.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Configuration file, JSON or YAML, in MOSN's schema.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Do not load modules: none of their code runs.
    #[arg(long)]
    pub(crate) no_load: bool,
    /// How to print the findings.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The module.
    #[arg(value_name = "FILE.so")]
    pub(crate) file: PathBuf,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// What to print.
    #[arg(long, value_enum, default_value_t = SchemaFormat::Json)]
    pub(crate) format: SchemaFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaFormat {
    /// JSON Schema.
    Json,
    /// The reference page.
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For tools.
    Json,
}

/// Version of the proxy and of the module ABI it speaks.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!("{} (module ABI {}.{})", sidegate_api::VERSION, sidegate_abi::ABI_MAJOR, sidegate_abi::ABI_MINOR)
});
