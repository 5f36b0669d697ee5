//! What the built-in filter types have in common: settings by a table, and
//! settings of routes in the same form.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use sidegate_api::{
    BuildEnv, FilterConfigError, FilterCx, FilterSpec, Fingerprint, RegexBudget, RouteFilterConfig,
    StreamFilterBuilder, StreamFilterFactory,
};

use crate::settings::{self, Object, Table};

/// One built-in filter type.
pub(crate) trait Definition: Send + Sync + 'static {
    /// The parsed `config`.
    type Settings: fmt::Debug + Send + Sync + 'static;

    /// What `config` may hold.
    const TABLE: &'static Table;

    /// Takes the settings from `config`.
    fn read(config: &Object<'_>, env: &BuildEnv) -> Self::Settings;

    /// What its files hold, if it reads any.
    fn fingerprint(config: &Object<'_>, env: &BuildEnv) -> Fingerprint {
        let _ = (config, env);
        Fingerprint::SPEC
    }

    /// Makes the factory of the filter that is called `name`.
    fn factory(settings: Self::Settings, name: &str, env: &BuildEnv) -> Arc<dyn StreamFilterFactory>;
}

/// The builder of a built-in filter type.
pub(crate) struct Builtin<D>(PhantomData<D>);

impl<D> Builtin<D> {
    pub(crate) fn builder() -> Arc<Self> {
        Arc::new(Builtin(PhantomData))
    }
}

impl<D: Definition> Builtin<D> {
    fn settings(spec: &FilterSpec, env: &BuildEnv) -> Result<D::Settings, Vec<FilterConfigError>> {
        settings::read(&spec.config, "config", D::TABLE, &env.regexes, |object| D::read(object, env))
    }
}

impl<D: Definition> StreamFilterBuilder for Builtin<D> {
    fn check(&self, spec: &FilterSpec, env: &BuildEnv) -> Result<(), Vec<FilterConfigError>> {
        Self::settings(spec, env).map(drop)
    }

    fn schema(&self) -> serde_json::Value {
        settings::json_schema(D::TABLE)
    }

    fn fingerprint(&self, spec: &FilterSpec, env: &BuildEnv) -> Fingerprint {
        // Reading a file compiles nothing, and mistakes are for the check.
        let read = |object: &Object<'_>| D::fingerprint(object, env);
        settings::read(&spec.config, "config", D::TABLE, &env.regexes, read).unwrap_or_default()
    }

    fn build(&self, spec: &FilterSpec, env: &BuildEnv) -> Result<Arc<dyn StreamFilterFactory>, Vec<FilterConfigError>> {
        Ok(D::factory(Self::settings(spec, env)?, &spec.name, env))
    }
}

/// Settings that a route has instead of those of the filter.
struct RouteSettings<T>(T);

impl<T: Send + Sync + 'static> RouteFilterConfig for RouteSettings<T> {
    fn as_any(&self) -> &dyn std::any::Any {
        &self.0
    }
}

/// Reads a `per_filter_config` in the form of the filter's own `config`.
pub(crate) fn route_settings<T: Send + Sync + 'static>(
    value: &serde_json::Value,
    table: &'static Table,
    regexes: &RegexBudget,
    read: impl FnOnce(&Object<'_>) -> T,
) -> Result<Arc<dyn RouteFilterConfig>, FilterConfigError> {
    match settings::read(value, "", table, regexes, read) {
        Ok(settings) => Ok(Arc::new(RouteSettings(settings))),
        Err(errors) => Err(errors.into_iter().next().unwrap_or_else(|| FilterConfigError::new("", "refused"))),
    }
}

/// The settings that count for this stream: its route's, else the filter's.
pub(crate) fn in_force<'a, T: 'static>(cx: &'a FilterCx<'_>, of_filter: &'a T) -> &'a T {
    cx.route_config().and_then(|config| config.as_any().downcast_ref()).unwrap_or(of_filter)
}
