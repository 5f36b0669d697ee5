//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::admin_client::AdminAddress;

/// A sidecar proxy that is extended by dropping in a shared library.
///
/// Reads MOSN's configuration, as JSON or YAML. The documentation is in docs/,
/// beginning with docs/src/start.md.
#[derive(Debug, Parser)]
#[command(name = "sidegate", version = VERSION.as_str(), propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the proxy.
    ///
    /// Everything is read and checked before the first port is bound; what is
    /// wrong is said on stderr, one line each, and the exit code is 1. SIGTERM,
    /// SIGINT and SIGQUIT drain: requests in flight finish, within
    /// `graceful_timeout`, and the exit code is 0; a second one, more than a
    /// second later, ends the process at once. 70 is the exit code if a module
    /// or worker kept it from ending. SIGHUP reads the configuration again and
    /// takes it, whole or not at all; so does POST /api/v1/config/reload of the
    /// admin interface, which says what came of it. SIGHUP and SIGUSR1 open log
    /// files again by name.
    #[command(after_long_help = "Examples:
  sidegate run -c config.yaml
  sidegate run -c config.yaml --watch
  sidegate run -c /etc/sidegate/config.json --workers 2 --ready-file /run/sidegate.json")]
    Run(RunArgs),
    /// Check a configuration and its modules without running the proxy.
    ///
    /// Binds no port, contacts nobody and opens no log. Modules are loaded and
    /// asked for their factories, as a start would; --no-load only looks at
    /// their files. Exits with 0 if a start would succeed, with 1 if not.
    ///
    /// With --against it says what a process that runs would change if it took
    /// the configuration: what is added, removed and different, and whose
    /// connections would end. Nothing is loaded then, neither here nor there.
    /// Exits with 0 if the process could take it.
    #[command(after_long_help = "Examples:
  sidegate check -c config.yaml
  sidegate check -c config.yaml --no-load --format json
  sidegate check -c config.yaml --against 127.0.0.1:34901
  sidegate check -c config.yaml --against unix:/run/sidegate/admin.sock")]
    Check(CheckArgs),
    /// Ask a process that runs whether it takes traffic.
    ///
    /// For images without a shell, whose health check is the binary itself.
    /// Asks /ready of the admin interface, or /live, without a token. Exits
    /// with 0 if the answer is 200, with 1 for any other and for none.
    #[command(after_long_help = "Examples:
  sidegate health -c /etc/sidegate/config.yaml
  sidegate health --admin 127.0.0.1:34901 --live
  sidegate health --admin unix:/run/sidegate/admin.sock --timeout 2")]
    Health(HealthArgs),
    /// Make a pair of keys to sign modules with.
    ///
    /// In the format of minisign. FILE.pub is what `modules.trusted_keys` of a
    /// configuration names; FILE.key signs, and is asked a password for unless
    /// one is in a file or there is to be none. Neither is written over.
    #[command(after_long_help = "Examples:
  sidegate keygen release
  sidegate keygen release --password-file /run/secrets/password
  sidegate keygen ci --no-password")]
    Keygen(KeygenArgs),
    /// Sign modules.
    ///
    /// Writes FILE.minisig beside each file, in the format of minisign, which
    /// can make it as well. What a module is signed for is part of what is
    /// signed: by default its name and the time, or that of SOURCE_DATE_EPOCH.
    #[command(after_long_help = "Examples:
  sidegate sign --key release.key target/release/libauth.so
  sidegate sign --key ci.key --comment 'auth 1.2 for production' out/*.so")]
    Sign(SignArgs),
    /// Show what a module's file says, without running any code of it.
    ///
    /// Its record, its manifest (filters, the schemas of their configurations,
    /// metrics), the libraries and symbols it wants, its digest (for
    /// `so_config.sha256`) and the verdict. Exits with 0 if the module would be
    /// accepted, with 1 if not.
    #[command(after_long_help = "Examples:
  sidegate inspect libauth.so
  sidegate inspect libauth.so --format json
  sidegate inspect libauth.so --markdown > auth.md
  sidegate inspect libauth -c config.yaml")]
    Inspect(InspectArgs),
    /// Print what a configuration may hold.
    ///
    /// As JSON Schema (draft 2020-12), for editors and other tools, or as the
    /// reference page of the documentation. Both know the built-in filters of
    /// this build.
    #[command(after_long_help = "Examples:
  sidegate schema > sidegate.schema.json
  sidegate schema --format markdown")]
    Schema(SchemaArgs),
    /// Make certificates for tests: a CA of one's own, one for a server, one
    /// for a client.
    ///
    /// DIR gets ca.pem, server.pem and client.pem with their keys beside them
    /// (ECDSA with P-256; only the owner may read keys). A CA that is there
    /// already is used again; the others are made anew. Whoever has ca.key can
    /// pretend to be anybody that trusts ca.pem knows.
    #[command(after_long_help = "Examples:
  sidegate cert certs
  sidegate cert certs --name shop.test --name 10.0.0.7 --days 7")]
    Cert(CertArgs),
    /// Begin a filter: write a folder that builds, tests itself and runs.
    ///
    /// NAME/ gets a filter that answers `GET /hello`, its test on a host in
    /// memory, a configuration and a Makefile: `make` builds and tests, `make run` runs it
    /// under this proxy and replaces it while it runs, whenever a source is
    /// saved. In Go a saved source starts the proxy anew: a process takes one
    /// module with Go's runtime, for ever, and its signal handlers come along.
    /// In Zig a check that fails ends the proxy, which its configuration has to
    /// permit.
    #[command(after_long_help = "Examples:
  sidegate new-filter greeter
  sidegate new-filter greeter --sdk ~/sidegate/ffi-api/sdk
  sidegate new-filter greeter --lang c
  sidegate new-filter greeter --lang go")]
    NewFilter(NewFilterArgs),
    /// Print completions for a shell.
    #[command(after_long_help = "Examples:
  sidegate completions bash > /etc/bash_completion.d/sidegate
  sidegate completions zsh > ~/.zfunc/_sidegate
  sidegate completions fish > ~/.config/fish/completions/sidegate.fish")]
    Completions(CompletionsArgs),
    /// Write the manual: a page for the program and one for each command.
    #[command(after_long_help = "Examples:
  sidegate man /usr/local/share/man/man1")]
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NewFilterArgs {
    /// What it is called: letters in lower case, digits, hyphens.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What it is written in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    pub(crate) lang: Language,
    /// Where it goes; NAME by default. Must not be there.
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Folder of the crate sidegate-sdk, for Rust: ffi-api/sdk of a checkout of
    /// Sidegate. By default it comes from crates.io, which has to have it.
    #[arg(long, value_name = "DIR")]
    pub(crate) sdk: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// With the SDK.
    Rust,
    /// With sidegate.h, which is put beside it.
    C,
    /// C++17, likewise.
    Cpp,
    /// With cgo, on sidegate.h.
    Go,
    /// On sidegate.h, likewise.
    Zig,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Where the pages go; made if it is not there.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CertArgs {
    /// Where they go; made if it is not there.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Names and addresses of the server.
    #[arg(long = "name", value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    pub(crate) names: Vec<String>,
    /// Name of the client.
    #[arg(long, value_name = "NAME", default_value = "client")]
    pub(crate) client: String,
    /// Days that server and client are good for.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: u32,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Configuration file, JSON or YAML, in MOSN's schema; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Number of workers: threads that serve connections.
    ///
    /// By default `processor` of the configuration, else one per core that the
    /// process may use.
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<NonZeroUsize>,
    /// Take the configuration anew whenever one of its files has changed.
    ///
    /// That is the file itself, those of directories that it names, those that
    /// filters read, and modules with `watch: true`. What is written in place
    /// counts once its writer has closed it. Changes on network file systems,
    /// and of files that are mounted alone (Kubernetes' subPath), are not seen.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Read certificates again only with the configuration.
    ///
    /// Otherwise files of TLS are followed, with --watch and without:
    /// certificates, keys, CAs, lists, OCSP responses and keys of tickets. What
    /// has changed and fits together is used for new connections.
    #[arg(long)]
    pub(crate) keep_certificates: bool,
    /// Write the keys of TLS sessions to the file that SSLKEYLOGFILE names.
    ///
    /// Whoever reads that file can read the traffic. It is for tests, and for
    /// tools such as Wireshark. Without this option the variable does nothing.
    #[arg(long)]
    pub(crate) tls_key_log: bool,
    /// Write process id and bound addresses to FILE, as JSON, once everything
    /// is listening.
    ///
    /// Whole or not at all; port 0 of the configuration is the real one there.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Configuration file, JSON or YAML, in MOSN's schema; `-` is standard input.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Do not load modules: only their files are looked at, and none of their
    /// code runs.
    #[arg(long)]
    pub(crate) no_load: bool,
    /// The admin interface of a process that runs: HOST:PORT or unix:PATH.
    ///
    /// The configuration is sent there with all files that it is made of,
    /// secrets too; over anything but loopback and Unix sockets that is said.
    #[arg(long, value_name = "ADMIN", value_parser = AdminAddress::parse)]
    pub(crate) against: Option<AdminAddress>,
    /// File with the token of that admin interface.
    #[arg(long, value_name = "FILE", requires = "against")]
    pub(crate) token_file: Option<PathBuf>,
    /// How to print the findings.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("whom").required(true).args(["admin", "config"])))]
pub(crate) struct HealthArgs {
    /// The admin interface: HOST:PORT or unix:PATH.
    #[arg(long, value_name = "ADMIN", value_parser = AdminAddress::parse)]
    pub(crate) admin: Option<AdminAddress>,
    /// Configuration of that process, which says where its admin interface is.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Ask whether it is worth going on with the process, not whether it takes
    /// traffic: while it drains, the one is true and the other is not.
    #[arg(long)]
    pub(crate) live: bool,
    /// Seconds that each step may take: the connection, the request, the answer.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=60))]
    pub(crate) timeout: u16,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The module: a shared library; with --config the name of one in its
    /// `modules.directories`.
    #[arg(value_name = "FILE.so")]
    pub(crate) file: PathBuf,
    /// Configuration whose `modules` count: where modules are, and what is
    /// permitted to them.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Print a page of documentation instead, from the module's manifest: its
    /// filters and their configuration, clusters, metrics.
    #[arg(long, conflicts_with = "format")]
    pub(crate) markdown: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// What the files are called: FILE.key and FILE.pub.
    #[arg(value_name = "FILE")]
    pub(crate) name: PathBuf,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// What is signed.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The key that signs.
    #[arg(short, long, value_name = "FILE.key")]
    pub(crate) key: PathBuf,
    /// What is said of each file, and signed with it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// The password of the key is the first line of this file.
    #[arg(long, value_name = "FILE", conflicts_with = "no_password")]
    pub(crate) password_file: Option<PathBuf>,
    /// The key has no password.
    #[arg(long)]
    pub(crate) no_password: bool,
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
