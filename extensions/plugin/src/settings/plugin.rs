//! Which plugin a configuration means, and how it is started.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::BuildEnv;
use sidegate_settings::{Object, Setting};

use super::files::{absolute, configuration_folder, digest, look_up, working_directory};
use super::{Surroundings, number};
use crate::address::PluginAddress;
use crate::host::Names;
use crate::limits::Limits;
use crate::spec::{BackoffSpec, PluginSpec, Program, Purpose, Source};

/// Calls one after the other without an answer that make a plugin one that
/// hangs.
const MAX_TIMEOUTS: u32 = 30;

/// The plugin that an object means by `command` or `address`.
pub(crate) fn plugin_spec(object: &Object<'_>, around: &Surroundings<'_>, purpose: Purpose) -> Option<PluginSpec> {
    plugin_called(None, object, around, purpose)
}

/// As [`plugin_spec`]; called `fallback` where the object has no `name`.
pub(crate) fn plugin_called(
    fallback: Option<&str>,
    object: &Object<'_>,
    around: &Surroundings<'_>,
    purpose: Purpose,
) -> Option<PluginSpec> {
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
    let name = match (object.get("name"), fallback) {
        (Some(name), _) => name.text()?.to_owned(),
        (None, Some(fallback)) => fallback.to_owned(),
        (None, None) => default_name(&source),
    };
    let spec = PluginSpec { name: name.into(), source, backoff, max_timeouts, purpose };
    is_alone(&spec, around.env, |message| object.error("", message)).then_some(spec)
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

/// Text that a program can be given.
fn texts(setting: &Setting<'_>) -> Option<String> {
    let text = setting.text()?;
    if text.contains('\0') {
        setting.error("expected text without a zero byte");
        return None;
    }
    Some(text.to_owned())
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
