//! What configurations say of plugins and of filters that use them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Access, access};
use sha2::{Digest, Sha256};
use sidegate_api::BuildEnv;
use sidegate_files::read_regular;
use sidegate_settings::{Object, Setting, Shape, Table, key};

use crate::address::PluginAddress;
use crate::host::Names;
use crate::limits::{LIMITS, Limits};
use crate::spec::{BackoffSpec, PluginSpec, Program, Purpose, Source};
use crate::streaming::{STREAMING, StreamingSettings};

/// Calls one after the other without an answer that make a plugin one that
/// hangs.
const MAX_TIMEOUTS: u32 = 30;
/// Bytes of a program's file.
const MAX_FILE: u64 = 512 << 20;

pub(crate) static PLUGIN: Table = Table::new(
    "Asks a plugin about each request: a program that is started beside the proxy, or one that listens at an address. \
     It is spoken to by gRPC, as MOSN speaks to its plugins.",
    &[
        key(
            "command",
            Shape::Name,
            "",
            "The program. A relative path is looked up in the folder of the configuration file, then in the working \
             directory; a name without a slash then in `PATH`.",
        ),
        key("args", Shape::Array(&Shape::Text), "none", "Its arguments."),
        key(
            "directory",
            Shape::Name,
            "the folder of the configuration file",
            "Its working directory, where relative names of files among `args` begin; itself it begins at the folder \
             of the configuration file.",
        ),
        key("env", Shape::Map(&Shape::Text), "none", "Its environment: it has this, and what the handshake needs."),
        key(
            "address",
            Shape::Name,
            "",
            "In place of `command`: where a plugin listens that somebody else starts, `unix:/path` or a loopback \
             address with a port.",
        ),
        key(
            "name",
            Shape::Name,
            "the program's file name, or the address",
            "For status, metrics and logs. One name is one process, however many filters use it.",
        ),
        key("timeout", Shape::Duration, "1s", "Bound of a call, the wait for a plugin that starts again included."),
        key(
            "on_error",
            Shape::Words(&["deny", "allow"]),
            "deny",
            "What a call that fails makes of its stream: `deny` answers 500, `allow` lets it go on as if nothing had \
             been asked.",
        ),
        key(
            "direction",
            Shape::Words(&["request", "response", "both"]),
            "request",
            "What the plugin is asked about; `type` of a call says which it is.",
        ),
        key(
            "send_body",
            Shape::Bool,
            "false",
            "Whether the plugin sees and may replace bodies and trailers. Bodies are held back until they are whole.",
        ),
        key(
            "header_names",
            Shape::Words(&["canonical", "lower"]),
            "canonical",
            "How names of fields are written in calls: `User-Agent`, as MOSN does, or `user-agent`.",
        ),
        key(
            "pseudo_headers",
            Shape::Bool,
            "true",
            "Whether calls have `:method`, `:path`, `:scheme`, `:authority` and `:status` beside the fields.",
        ),
        key(
            "protocol",
            Shape::Words(&["mosn", "sidegate", "auto"]),
            "mosn",
            "How it is spoken to: by MOSN's call, by the streaming protocol `sidegate.plugin.v1`, or by that where the \
             plugin serves it and else by MOSN's call.",
        ),
        key("streaming", Shape::Object(&STREAMING), "none", "Of the streaming protocol."),
        key("max_procs", Shape::Integer(0, 1024), "1", "`MOSN_PROCS`: processors that a plugin made for MOSN uses."),
        key("max_in_flight", Shape::Integer(1, 100_000), "1024", "Calls of this filter at once; what is more fails."),
        key("limits", Shape::Object(&LIMITS), "none", "What it may take of the machine."),
        key(
            "max_timeouts",
            Shape::Integer(0, 1_000_000),
            "30",
            "Calls one after the other without an answer in time, over a second or more, after which it is taken for \
             one that hangs and started again; 0: whatever their number.",
        ),
        key("start_timeout", Shape::Duration, "60s", "Time until the plugin says where it listens."),
        key("stop_timeout", Shape::Duration, "2s", "Time from the order to end until it is killed."),
        key("restart_backoff", Shape::Duration, "100ms", "Pause before a start after a failure; doubles each time."),
        key("restart_backoff_max", Shape::Duration, "30s", "The longest such pause."),
        key("cookie", Shape::Object(&COOKIE), "`MOSN_PLUGIN=ON`", "By what it knows that it is started as a plugin."),
    ],
)
.exactly_one(&["command", "address"]);

pub(crate) static COOKIE: Table = Table::new(
    "A variable of go-plugin's handshake.",
    &[key("key", Shape::Name, "`MOSN_PLUGIN`", "Its name."), key("value", Shape::Name, "`ON`", "Its value.")],
);

pub(crate) static DEMO_PLUGIN: Table = Table::new(
    "MOSN's example of a filter with a plugin: runs the program `checker`, which lies beside the proxy's own, and \
     answers 403 where that says so.",
    &[key("config_path", Shape::Text, "none", "The program's argument `-c`.")],
);

pub(crate) static PLUGIN_FILTER: Table = Table::new(
    "MOSN's example of a plugin that changes requests: runs the program `pluginfilter`, which lies beside the proxy's \
     own, for 10ms at most, and goes on if that fails.",
    &[],
);

/// A filter's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UseSettings {
    pub(crate) timeout: Duration,
    pub(crate) on_error: OnError,
    pub(crate) request: bool,
    pub(crate) response: bool,
    pub(crate) send_body: bool,
    pub(crate) names: NameCase,
    pub(crate) pseudo_headers: bool,
    /// Whether `type` says what a call is about.
    pub(crate) says_type: bool,
    pub(crate) max_in_flight: usize,
    /// `None`: MOSN's call alone.
    pub(crate) streaming: Option<Box<StreamingSettings>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnError {
    Deny,
    Allow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameCase {
    Canonical,
    Lower,
}

/// Everything that one entry says.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) usage: UseSettings,
    /// `None` after something was reported.
    pub(crate) plugin: Option<PluginSpec>,
}

/// What is not the entry's own.
pub(crate) struct Surroundings<'a> {
    pub(crate) env: &'a BuildEnv,
    /// MOSN's `plugin.log_base`.
    pub(crate) log_base: &'a str,
}

impl Settings {
    /// `type: plugin`
    pub(crate) fn plugin(object: &Object<'_>, around: &Surroundings<'_>) -> Settings {
        let duration = |name, default| {
            let setting = object.get(name)?;
            Some((setting.duration()?, setting)).or(default)
        };
        let timeout = match duration("timeout", None) {
            Some((timeout, setting)) if timeout.is_zero() => {
                setting.expected("a duration above zero");
                timeout
            }
            Some((timeout, _)) => timeout,
            None => Duration::from_secs(1),
        };
        let both = object
            .get("direction")
            .and_then(|s| s.choice(&[("request", (true, false)), ("response", (false, true)), ("both", (true, true))]));
        let (request, response) = both.unwrap_or((true, false));
        let usage = UseSettings {
            timeout,
            on_error: object
                .get("on_error")
                .and_then(|s| s.choice(&[("deny", OnError::Deny), ("allow", OnError::Allow)]))
                .unwrap_or(OnError::Deny),
            request,
            response,
            send_body: object.get("send_body").and_then(|s| s.bool()).unwrap_or(false),
            names: object
                .get("header_names")
                .and_then(|s| s.choice(&[("canonical", NameCase::Canonical), ("lower", NameCase::Lower)]))
                .unwrap_or(NameCase::Canonical),
            pseudo_headers: object.get("pseudo_headers").and_then(|s| s.bool()).unwrap_or(true),
            says_type: true,
            max_in_flight: number(object, "max_in_flight", 1024),
            streaming: None,
        };
        let usage = UseSettings { streaming: StreamingSettings::read(object, &usage).map(Box::new), ..usage };
        Settings { usage, plugin: plugin_spec(object, around, Purpose::Streams) }
    }

    /// `type: demo_plugin`
    pub(crate) fn demo_plugin(object: &Object<'_>, around: &Surroundings<'_>) -> Settings {
        let path = object.get("config_path").and_then(|s| s.text());
        let args = path.map(|path| vec!["-c".to_owned(), path.to_owned()]).unwrap_or_default();
        let usage = UseSettings { timeout: Duration::from_secs(1), on_error: OnError::Deny, ..mosn_usage() };
        Settings { usage, plugin: mosn_plugin("checker", args, object, around, Purpose::Streams) }
    }

    /// `type: pluginfilter`
    pub(crate) fn plugin_filter(object: &Object<'_>, around: &Surroundings<'_>) -> Settings {
        let usage = UseSettings { send_body: true, ..mosn_usage() };
        Settings { usage, plugin: mosn_plugin("pluginfilter", Vec::new(), object, around, Purpose::Streams) }
    }
}

/// The plugin that an object means by `command` or `address`.
pub(crate) fn plugin_spec(object: &Object<'_>, around: &Surroundings<'_>, purpose: Purpose) -> Option<PluginSpec> {
    let time = |name, default: Duration| object.get(name).and_then(|setting| setting.duration()).unwrap_or(default);
    let backoff = BackoffSpec {
        first: time("restart_backoff", Duration::from_millis(100)),
        most: time("restart_backoff_max", Duration::from_secs(30)),
    };
    let max_timeouts = number(object, "max_timeouts", MAX_TIMEOUTS as usize) as u32;
    let source = match (object.get("command"), object.get("address")) {
        (Some(command), None) => program(object, &command, around, time).map(|p| Source::Program(Box::new(p))),
        (None, Some(address)) => attached(object, &address).map(Source::Address),
        _ => None,
    }?;
    let name = match object.get("name") {
        Some(name) => name.text()?.to_owned(),
        None => default_name(&source),
    };
    let spec = PluginSpec { name: name.into(), source, backoff, max_timeouts, purpose };
    is_alone(&spec, around.env, |message| object.error("", message)).then_some(spec)
}

/// As MOSN's `pluginfilter`, less the body.
fn mosn_usage() -> UseSettings {
    UseSettings {
        timeout: Duration::from_millis(10),
        on_error: OnError::Allow,
        request: true,
        response: false,
        send_body: false,
        names: NameCase::Canonical,
        pseudo_headers: false,
        says_type: false,
        max_in_flight: 1024,
        streaming: None,
    }
}

/// A program that MOSN looks for beside its own.
pub(crate) fn mosn_plugin(
    name: &'static str,
    args: Vec<String>,
    object: &Object<'_>,
    around: &Surroundings<'_>,
    purpose: Purpose,
) -> Option<PluginSpec> {
    let report = |message: String| object.error("", message);
    let own = match std::env::current_exe() {
        Ok(own) => own,
        Err(error) => {
            report(format!("cannot tell where this program lies: {error}"));
            return None;
        }
    };
    let path = own.parent().unwrap_or(Path::new("/")).join(name);
    let digest = match digest(&path, &args, None, around.env) {
        Ok(digest) => digest,
        Err(why) => {
            report(why);
            return None;
        }
    };
    let program = Program {
        path,
        args,
        directory: None,
        limits: Limits::default(),
        env: BTreeMap::new(),
        inherits: true,
        cookie: mosn_cookie(),
        max_procs: 1,
        log_base: around.log_base.to_owned(),
        start_timeout: Duration::from_secs(60),
        stop_timeout: Duration::from_secs(2),
        digest,
    };
    let backoff = BackoffSpec { first: Duration::from_millis(100), most: Duration::from_secs(30) };
    let spec = PluginSpec {
        name: name.into(),
        source: Source::Program(Box::new(program)),
        backoff,
        max_timeouts: MAX_TIMEOUTS,
        purpose,
    };
    is_alone(&spec, around.env, report).then_some(spec)
}

fn program(
    object: &Object<'_>,
    command: &Setting<'_>,
    around: &Surroundings<'_>,
    time: impl Fn(&'static str, Duration) -> Duration,
) -> Option<Program> {
    let args = object.get("args").map(|s| s.list()).unwrap_or_default();
    let args: Vec<String> = args.iter().filter_map(|s| texts(s)).collect();
    let env = object.get("env").map(|s| s.entries()).unwrap_or_default();
    let env: BTreeMap<String, String> = env
        .iter()
        .filter_map(|(name, value)| {
            if name.is_empty() || name.contains(['=', '\0']) {
                value.error("expected the name of a variable, which has no `=`");
                return None;
            }
            Some(((*name).to_owned(), texts(value)?))
        })
        .collect();
    let cookie = match object.get("cookie").and_then(|s| s.object()) {
        Some(cookie) => {
            let part = |name, default: String| cookie.get(name).and_then(|s| texts(&s)).unwrap_or(default);
            let (name, value) = mosn_cookie();
            (part("key", name), part("value", value))
        }
        None => mosn_cookie(),
    };
    let directory = match object.get("directory") {
        Some(setting) => Some(working_directory(&setting, around.env)?),
        None => configuration_folder(around.env),
    };
    let limits = object.get("limits").and_then(|s| s.object()).map(|o| Limits::read(&o)).unwrap_or_default();
    // The program is looked for from its own working directory otherwise.
    let path = absolute(look_up(command.text()?, around.env));
    match digest(&path, &args, directory.as_deref(), around.env) {
        Err(why) => {
            command.error(why);
            None
        }
        Ok(digest) => Some(Program {
            path,
            args,
            directory,
            limits,
            env,
            inherits: false,
            cookie,
            max_procs: number(object, "max_procs", 1) as u64,
            log_base: around.log_base.to_owned(),
            start_timeout: time("start_timeout", Duration::from_secs(60)),
            stop_timeout: time("stop_timeout", Duration::from_secs(2)),
            digest,
        }),
    }
}

fn attached(object: &Object<'_>, address: &Setting<'_>) -> Option<PluginAddress> {
    for of_program in ["args", "directory", "env", "limits", "max_procs", "start_timeout", "stop_timeout", "cookie"] {
        if let Some(setting) = object.get(of_program) {
            setting.error("means nothing beside `address`: nothing is started");
        }
    }
    address.parsed(PluginAddress::parse)
}

/// Where the configuration's file lies.
fn configuration_folder(env: &BuildEnv) -> Option<PathBuf> {
    env.search_dirs.first().map(|folder| absolute(folder.clone()))
}

fn working_directory(setting: &Setting<'_>, env: &BuildEnv) -> Option<PathBuf> {
    let named = Path::new(setting.text()?);
    let directory = configuration_folder(env).unwrap_or_default().join(named);
    if !directory.is_dir() {
        setting.error(format!("{} is no folder", directory.display()));
        return None;
    }
    Some(absolute(directory))
}

fn absolute(path: PathBuf) -> PathBuf {
    let of = if path.as_os_str().is_empty() { Path::new(".") } else { &*path };
    // Fails where there is no working directory any more.
    std::path::absolute(of).unwrap_or(path)
}

/// Text that a program can be given.
fn texts(setting: &Setting<'_>) -> Option<String> {
    let text = setting.text()?;
    if text.contains('\0') {
        setting.error("expected text without a zero byte");
        return None;
    }
    Some(text.to_owned())
}

fn number(object: &Object<'_>, name: &'static str, default: usize) -> usize {
    object.get(name).and_then(|s| s.integer()).and_then(|n| usize::try_from(n).ok()).unwrap_or(default)
}

fn mosn_cookie() -> (String, String) {
    ("MOSN_PLUGIN".to_owned(), "ON".to_owned())
}

fn default_name(source: &Source) -> String {
    match source {
        Source::Program(program) => {
            program.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        }
        Source::Address(address) => address.to_string(),
    }
}

/// The program's file: beside the configuration, below the working directory,
/// or in `PATH`.
fn look_up(command: &str, env: &BuildEnv) -> PathBuf {
    let here = env.resolve(Path::new(command));
    if command.contains('/') || here.is_file() {
        return here;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut there = std::env::split_paths(&path).map(|folder| folder.join(command));
    there.find(|file| file.is_file() && access(file.as_path(), Access::EXEC_OK).is_ok()).unwrap_or(here)
}

/// What the files of a plugin hold, so that a change of them makes another
/// plugin; an error says why the program cannot be started.
fn digest(program: &Path, args: &[String], directory: Option<&Path>, env: &BuildEnv) -> Result<[u8; 32], String> {
    let of_program = file_digest(program, env).map_err(|why| format!("{}: {why}", program.display()))?;
    access(program, Access::EXEC_OK).map_err(|error| format!("{} cannot be executed: {error}", program.display()))?;
    let mut all = Sha256::new().chain_update(of_program);
    for (at, argument) in args.iter().enumerate() {
        let file = directory.unwrap_or(Path::new("")).join(argument);
        if file.is_file()
            && let Ok(of_file) = file_digest(&file, env)
        {
            all.update(at.to_le_bytes());
            all.update(of_file);
        }
    }
    Ok(all.finalize().into())
}

fn file_digest(file: &Path, env: &BuildEnv) -> Result<[u8; 32], String> {
    let read = env.reads.once(file.to_path_buf(), || {
        env.reads.watch(file);
        match read_regular(file, MAX_FILE) {
            Ok(bytes) => Ok(<[u8; 32]>::from(Sha256::digest(&bytes))),
            Err(error) => Err(error.to_string()),
        }
    });
    Result::clone(&read)
}

/// Whether no other filter of this configuration means another plugin by the
/// same name.
fn is_alone(spec: &PluginSpec, env: &BuildEnv, report: impl FnOnce(String)) -> bool {
    let names: Arc<Names> = env.reads.once("plugins", Names::default);
    let mut names = names.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let known = names.entry(spec.name.clone()).or_insert_with(|| spec.clone());
    if known == spec {
        return true;
    }
    report(format!(
        "another filter has a plugin called {:?} that is started in another way; a `name` tells them apart",
        spec.name
    ));
    false
}
