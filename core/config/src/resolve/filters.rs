//! What is said of entries of filter chains, and what routes say to them.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use sidegate_api::{
    AnsweredBy, BuildEnv, FilterConfigError, FilterSpec, Registry, StreamFilterBuilder, StreamFilterFactory,
};
use sidegate_proxy::RouteConfigs;

use super::mosn_filters;
use super::router::{Router, Scope};
use super::stream_filter::FilterAt;
use crate::diagnostic::{Finding, kind};
use crate::document::join;
use crate::nearest::nearest;
use crate::reader::Cursor;

/// Whether it is known which modules are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    Known,
    /// There are mistakes in what is said of that.
    Mistaken,
}

/// Everything that can be said of a filter without running foreign code;
/// whether it is good so far.
pub(super) fn check(filter: &FilterAt<'_>, registry: &Registry, env: &BuildEnv, trust: Trust) -> bool {
    let mut errors = Vec::new();
    redacted(&filter.spec.config, "config", &mut errors);
    match builder(filter, registry) {
        // What is wrong with the section is what is said.
        Some(_) if trust == Trust::Mistaken && filter.spec.module.is_some() => return false,
        Some(builder) if errors.is_empty() => errors.extend(builder.check(&filter.spec, env).err().unwrap_or_default()),
        Some(_) => {}
        None => return false,
    }
    let is_good = errors.is_empty();
    report(&filter.at, errors);
    warn_of_unread_key(filter);
    is_good
}

fn warn_of_unread_key(filter: &FilterAt<'_>) {
    let Some((key, meant)) = mosn_filters::unread_key(&filter.spec.filter_type) else { return };
    let entries = filter.spec.config.as_object().into_iter().flatten();
    for (written, _) in entries.filter(|(written, value)| written.eq_ignore_ascii_case(key) && !value.is_null()) {
        let path = format!("config.{written}");
        let position = filter.at.node().locate(&path).position;
        let message = format!("ignored: MOSN does not read it either; it is called `{meant}`");
        filter.at.report().warning(Some(position), &join(filter.at.path(), &path), Finding::said(kind::INERT, message));
    }
}

/// Warns of filters of one listener that have one name.
pub(super) fn warn_of_namesakes(filters: &[FilterAt<'_>]) {
    let mut seen = HashMap::new();
    for filter in filters {
        let name = filter.spec.name.as_str();
        if let Some(first) = seen.get(name) {
            let message = format!(
                "two filters of this listener are called {name:?}, the first is at {first}: `per_filter_config` and \
                 metrics mean both; a `name` tells them apart"
            );
            filter.at.warning(Finding::said(kind::DUPLICATE, message));
        } else {
            seen.insert(name, filter.at.place());
        }
    }
}

/// Texts that a dump has in place of secrets.
pub(super) fn redacted(value: &Value, path: &str, errors: &mut Vec<FilterConfigError>) {
    match value {
        Value::String(text) if text == crate::dump::REDACTED => {
            let message = "expected the secret itself, found what a dump shows in place of a secret";
            errors.push(FilterConfigError::new(path, message));
        }
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, value)| redacted(value, &format!("{path}[{index}]"), errors));
        }
        Value::Object(entries) => entries.iter().for_each(|(key, value)| redacted(value, &join(path, key), errors)),
        _ => {}
    }
}

/// A filter of a module goes by the name that it has there, if it has one.
pub(super) fn answers_as(spec: &FilterSpec) -> AnsweredBy {
    let of_module = spec.module.as_ref();
    let filter = of_module.map(|module| module.filter.as_str()).filter(|name| !name.is_empty()).unwrap_or(&spec.name);
    AnsweredBy { filter: filter.into(), module: of_module.map(|module| module.name.as_str().into()) }
}

/// Everything that can be said of what routes say to a filter without running
/// foreign code; whether it is good so far.
pub(super) fn check_route_configs(
    filter: &FilterAt<'_>,
    builder: &dyn StreamFilterBuilder,
    env: &BuildEnv,
    router: &Router<'_>,
) -> bool {
    let mut is_good = true;
    for (_, entry) in router.per_filter.iter().filter(|(_, entry)| entry.filter == filter.spec.name) {
        if let Err(errors) = builder.check_route_config(&filter.spec, &entry.value.node().to_json(), env) {
            report(&entry.value, errors);
            is_good = false;
        }
    }
    is_good
}

/// Has a factory make its objects for the routes of its listener.
pub(super) fn route_configs(
    name: &str,
    factory: &dyn StreamFilterFactory,
    router: &Router<'_>,
) -> Option<RouteConfigs> {
    let mut configs = RouteConfigs::default();
    let mut complete = true;
    for (scope, entry) in router.per_filter.iter().filter(|(_, entry)| entry.filter == name) {
        match (factory.create_route_config(&entry.value.node().to_json()), scope) {
            (Ok(object), Scope::Route(id)) => configs.set_route(*id, object),
            (Ok(object), Scope::VirtualHost(id)) => configs.set_virtual_host(*id, object),
            (Err(error), _) => {
                report(&entry.value, vec![error]);
                complete = false;
            }
        }
    }
    complete.then_some(configs)
}

pub(super) fn builder<'r>(filter: &FilterAt<'_>, registry: &'r Registry) -> Option<&'r Arc<dyn StreamFilterBuilder>> {
    let builder = registry.builder_for(&filter.spec);
    if builder.is_none() {
        unregistered(filter, registry);
    }
    builder
}

fn unregistered(filter: &FilterAt<'_>, registry: &Registry) {
    let name = filter.spec.filter_type.as_str();
    let registered = registry.stream_filter_types().collect::<Vec<_>>();
    let all = registered.join(", ");
    let message = if filter.spec.module.is_some() {
        "this build loads no modules".to_owned()
    } else if name == "loadso" {
        "a filter of type \"loadso\" comes from a module; expected `so_config` with its `so_path`".to_owned()
    } else if let Some(said) = mosn_filters::stream_filter(name) {
        format!("MOSN's stream filter {name:?} is not in Sidegate: {said}; registered are {all}")
    } else if let Some(meant) = nearest(name, registered.iter().copied()) {
        format!("stream filter type {name:?} is not registered; did you mean {meant:?}?")
    } else {
        format!("stream filter type {name:?} is not registered; registered are {all}")
    };
    let (expected, found) = (Some(format!("one of {all}")), Some(filter.type_at.shown()));
    filter.type_at.error(Finding { kind: kind::UNREGISTERED, message, expected, found });
}

/// Errors of a filter, at the place in the file that their path names.
pub(super) fn report(at: &Cursor<'_>, errors: Vec<FilterConfigError>) {
    for FilterConfigError { path, message, kind } in errors {
        let position = at.node().locate(&path).position;
        let full = if path.starts_with('[') || path.is_empty() {
            format!("{}{path}", at.path())
        } else {
            join(at.path(), &path)
        };
        at.report().error(Some(position), &full, Finding::said(kind, message));
    }
}

/// Reports entries of `per_filter_config` for filters that no listener of the
/// router has, and secrets that are not there: `names` are those of all its
/// listeners' filters.
pub(super) fn check_per_filter(router: &Router<'_>, names: &[&str]) {
    for (_, entry) in &router.per_filter {
        if names.contains(&entry.filter) {
            let mut errors = Vec::new();
            redacted(&entry.value.node().to_json(), "", &mut errors);
            report(&entry.value, errors);
            continue;
        }
        let all = names.join(", ");
        let hint = match nearest(entry.filter, names.iter().copied()) {
            Some(meant) => format!("; did you mean {meant:?}?"),
            None if names.is_empty() => "; they have no filters".to_owned(),
            None => format!("; their filters are {all}"),
        };
        let message = format!("no listener that uses this router has a filter called {:?}{hint}", entry.filter);
        let (expected, found) = (Some(format!("one of {all}")), Some(format!("key {:?}", entry.filter)));
        entry.value.error(Finding { kind: kind::UNDEFINED, message, expected, found });
    }
}
