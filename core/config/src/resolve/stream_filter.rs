//! One entry of `stream_filters`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sidegate_api::{FaultPolicy, FilterSpec, ModuleSource, ModuleSpec, Quarantine, QuarantineAction};

use super::modules::Modules;
use super::mosn_filters;
use crate::diagnostic::{Finding, kind};
use crate::reader::{Cursor, ObjectReader};
use crate::schema;

const FAULT_POLICIES: &[(&str, FaultPolicy)] =
    &[("reply-500", FaultPolicy::Reply500), ("pass", FaultPolicy::Pass), ("reset", FaultPolicy::Reset)];

/// A filter of a chain and where its entry stands.
pub(super) struct FilterAt<'a> {
    pub spec: FilterSpec,
    pub at: Cursor<'a>,
    /// Where its `type` stands.
    pub type_at: Cursor<'a>,
}

/// Reads an entry; `None` if there is no filter to be had of it, with an error
/// unless it is one that need not be there.
pub(super) fn stream_filter<'a>(at: &Cursor<'a>, modules: &mut Modules<'_>) -> Option<FilterAt<'a>> {
    let mut object = at.object(&schema::STREAM_FILTER)?;
    let filter_type = object.required("type").and_then(|cursor| {
        let name = cursor.name()?;
        Some((cursor, name))
    });
    let config = match object.get("config") {
        Some(cursor) => cursor.json_object(),
        None => Some(Value::Object(Map::new())),
    };
    let name = object.get("name").and_then(|c| c.name());
    let on_fault = object.get("on_fault").and_then(|c| c.choice(FAULT_POLICIES));
    let so = object.get("so_config");
    let go = object.get("go_plugin_config");
    let module_given = so.is_some() || go.is_some();
    let (module, fault_of_module) = match (so, go) {
        (Some(so), Some(_)) => {
            so.error(Finding::mismatch(kind::BAD_VALUE, "one of `so_config` and `go_plugin_config`", "both"));
            (None, None)
        }
        (Some(so), None) => so_config(&so, modules),
        (None, Some(go)) => (go_plugin_config(&go, modules), None),
        (None, None) => (None, None),
    };
    if let (Some(_), Some((_, cursor))) = (on_fault, &fault_of_module) {
        cursor.error(Finding::mismatch(kind::BAD_VALUE, "`on_fault` once", "it beside `so_config` too"));
    }
    object.finish();
    let (type_at, filter_type) = filter_type?;
    if module_given && module.is_none() {
        return None;
    }
    if let (None, Some(said)) = (&module, mosn_filters::gone(filter_type)) {
        type_at.inert(said);
        return None;
    }
    let name = name.or_else(|| module.as_ref().map(|m| m.name.as_str())).unwrap_or(filter_type).to_owned();
    let on_fault = fault_of_module.map(|(policy, _)| policy).or(on_fault).unwrap_or_default();
    let spec = FilterSpec { filter_type: filter_type.to_owned(), name, config: config?, module, on_fault };
    Some(FilterAt { spec, at: at.clone(), type_at })
}

type ModuleAndFault<'a> = (Option<ModuleSpec>, Option<(FaultPolicy, Cursor<'a>)>);

fn so_config<'a>(cursor: &Cursor<'a>, modules: &mut Modules<'_>) -> ModuleAndFault<'a> {
    let Some(mut object) = cursor.object(&schema::SO_CONFIG) else { return (None, None) };
    let file = so_file(&mut object, modules);
    let filter = object.get("filter").map_or(Some(""), |c| c.string());
    let sha256 = object.get("sha256").map(|c| sha256(&c));
    for pointer in object.get("secrets").and_then(|c| c.array()).unwrap_or_default() {
        check_pointer(&pointer);
    }
    let on_fault = object.get("on_fault").and_then(|cursor| Some((cursor.choice(FAULT_POLICIES)?, cursor)));
    let quarantine = object.get("quarantine").map(|c| quarantine(&c));
    let slow_hook = object.get("slow_hook").and_then(|c| c.duration()).unwrap_or(ModuleSpec::SLOW_HOOK);
    let watch = object.get("watch").and_then(|c| c.bool()).unwrap_or_default();
    let generation_timeout = object.get("generation_timeout").and_then(|c| c.duration());
    let plugins = object.get("plugins").map(|c| plugins(&c)).unwrap_or_default();
    object.finish();
    let module = (|| {
        let (source, so_path, name) = file?;
        let (sha256, quarantine) = (some_or_refused(sha256)?, some_or_refused(quarantine)?);
        let filter = filter?.to_owned();
        Some(ModuleSpec {
            source,
            so_path,
            name,
            filter,
            sha256,
            quarantine,
            slow_hook,
            watch,
            generation_timeout,
            plugins,
        })
    })();
    (module, on_fault)
}

/// The module's file and name: by path, or by its name in a directory.
fn so_file(object: &mut ObjectReader<'_>, modules: &mut Modules<'_>) -> Option<(ModuleSource, PathBuf, String)> {
    let (known, name) = (object.get("module"), object.get("name"));
    let Some(known) = known else {
        let Some(path_at) = object.get("so_path") else {
            object.missing("so_path", "the path of a shared library, or `module`");
            return None;
        };
        let so_path = path(&path_at)?;
        let name = modules.name(&path_at, &so_path, name.as_ref())?;
        return Some((ModuleSource::SoConfig, so_path, name));
    };
    for other in [object.get("so_path"), name].into_iter().flatten() {
        other.error(Finding::mismatch(kind::BAD_VALUE, "`module` alone: it says both name and file", "this too"));
    }
    let (file, name) = modules.known(&known)?;
    Some((ModuleSource::Directory, file, name))
}

/// Read where the configuration is dumped.
fn check_pointer(cursor: &Cursor<'_>) {
    let Some(text) = cursor.string() else { return };
    let has_bad_escape = text.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1']));
    if !(text.is_empty() || text.starts_with('/')) || has_bad_escape {
        cursor.mismatch(kind::BAD_VALUE, "a JSON Pointer such as \"/upstream/pin\"");
    }
}

fn go_plugin_config(cursor: &Cursor<'_>, modules: &mut Modules<'_>) -> Option<ModuleSpec> {
    let mut object = cursor.object(&schema::GO_PLUGIN_CONFIG)?;
    let path_at = object.required("so_path");
    object.finish();
    let path_at = path_at?;
    let so_path = path(&path_at)?;
    let name = modules.name(&path_at, &so_path, None)?;
    Some(ModuleSpec {
        source: ModuleSource::GoPluginConfig,
        so_path,
        name,
        filter: String::new(),
        sha256: None,
        quarantine: None,
        slow_hook: ModuleSpec::SLOW_HOOK,
        watch: false,
        generation_timeout: None,
        plugins: BTreeMap::new(),
    })
}

/// What each is, is for those to read who run plugins.
fn plugins(cursor: &Cursor<'_>) -> BTreeMap<String, Value> {
    let entries = cursor.map().unwrap_or_default();
    entries.into_iter().filter_map(|(name, settings)| Some((name.to_owned(), settings.json_object()?))).collect()
}

/// Absent is fine, given and refused is not.
fn some_or_refused<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(Some(value)) => Some(Some(value)),
        Some(None) => None,
    }
}

fn path(cursor: &Cursor<'_>) -> Option<PathBuf> {
    let text = cursor.name()?;
    if text.contains('\0') {
        cursor.mismatch(kind::BAD_VALUE, "a path");
        return None;
    }
    Some(Path::new(text).to_path_buf())
}

pub(super) fn sha256(cursor: &Cursor<'_>) -> Option<[u8; 32]> {
    let text = cursor.string()?;
    let mut digest = [0; 32];
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let Some(digits) = digits.filter(|digits| digits.len() == 64) else {
        cursor.mismatch(kind::BAD_VALUE, "64 hexadecimal digits");
        return None;
    };
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
    }
    Some(digest)
}

fn quarantine(cursor: &Cursor<'_>) -> Option<Quarantine> {
    let mut object = cursor.object(&schema::QUARANTINE)?;
    let faults = object.required("faults").and_then(|c| c.integer());
    let within = object.required("within").and_then(|c| c.duration());
    let then = object
        .required("then")
        .and_then(|c| c.choice(&[("closed", QuarantineAction::Closed), ("bypass", QuarantineAction::Bypass)]));
    let lasts = object.get("for").and_then(|c| c.duration());
    object.finish();
    Some(Quarantine { faults: u32::try_from(faults?).ok()?, within: within?, then: then?, lasts })
}
