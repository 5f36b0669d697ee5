//! A registry of filters that do nothing, and a configuration to vary.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sidegate_api::{
    AccessLogSink, AccessLogSinkBuilder, BuildEnv, FilterConfigError, FilterFault, FilterSpec, Fingerprint, Interests,
    Metrics, RegexRefused, Registry, RouteFilterConfig, StreamFilter, StreamFilterBuilder, StreamFilterFactory,
    WorkerIndex,
};

use crate::{Config, ConfigErrors, ConfigFile, Diagnostic, LoadEnv, LoadMode};

pub const BASE: &str = "\
servers:
- default_log_path: stdout
  default_log_level: INFO
  routers:
  - router_config_name: r
    virtual_hosts:
    - name: v
      domains: ['*']
      routers:
      - match: {prefix: /}
        route: {cluster_name: c}
  listeners:
  - name: l
    address: 127.0.0.1:2046
    filter_chains:
    - filters:
      - type: proxy
        config: {router_config_name: r}
    stream_filters:
    - type: demo
      config: {User: admin}
cluster_manager:
  clusters:
  - name: c
    hosts:
    - address: 127.0.0.1:8080
admin:
  address: {socket_address: {address: 0.0.0.0, port_value: 34901}}
";

/// `BASE` with `from` replaced by `to`.
pub fn varied(from: &str, to: &str) -> String {
    assert_eq!(BASE.matches(from).count(), 1, "{from:?} must stand once in the base");
    BASE.replace(from, to)
}

/// Accepts objects of strings and counts what it is asked.
#[derive(Default)]
pub struct FakeBuilder {
    pub checks: AtomicUsize,
    pub builds: AtomicUsize,
    /// The content of a file that all filters read.
    pub behind: Mutex<Vec<u8>>,
    pub renews: AtomicBool,
    pub refuses_directories: AtomicBool,
}

#[derive(Debug)]
struct FakeFactory;

pub struct FakeRouteConfig(pub Value);

impl RouteFilterConfig for FakeRouteConfig {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl StreamFilterFactory for FakeFactory {
    fn interests(&self) -> Interests {
        Interests::default()
    }

    fn create_filter(&self, _: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        unreachable!("configurations make no filters")
    }

    fn create_route_config(&self, value: &Value) -> Result<Arc<dyn RouteFilterConfig>, FilterConfigError> {
        if value["bad"].is_null() {
            Ok(Arc::new(FakeRouteConfig(value.clone())))
        } else {
            Err(FilterConfigError::new("bad", "expected nothing bad"))
        }
    }
}

impl FakeBuilder {
    fn problems(spec: &FilterSpec) -> Result<(), Vec<FilterConfigError>> {
        let entries = spec.config.as_object().into_iter().flatten();
        let mut errors: Vec<_> = entries
            .filter(|(_, value)| !value.is_string())
            .map(|(key, value)| {
                FilterConfigError::new(format!("config.{key}"), format!("expected a string, found {value}"))
            })
            .collect();
        if let Some(module) = spec.module.as_ref().filter(|m| m.so_path.ends_with("missing.so")) {
            let path = format!("{}.so_path", module.source.key());
            errors.push(FilterConfigError::new(path, "no such file").with_kind("no_such_file"));
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

impl StreamFilterBuilder for FakeBuilder {
    fn check(&self, spec: &FilterSpec, _: &BuildEnv) -> Result<(), Vec<FilterConfigError>> {
        self.checks.fetch_add(1, Ordering::Relaxed);
        Self::problems(spec)
    }

    fn fingerprint(&self, _: &FilterSpec, env: &BuildEnv) -> Fingerprint {
        env.reads.watch(Path::new("/behind"));
        Fingerprint::SPEC.and(&self.behind.lock().unwrap())
    }

    fn check_directory(&self, _: &Path) -> Result<(), FilterConfigError> {
        match self.refuses_directories.load(Ordering::Relaxed) {
            true => Err(FilterConfigError::new("", "not this one").with_kind("writable_directory")),
            false => Ok(()),
        }
    }

    fn renews(&self, _: &FilterSpec) -> bool {
        self.renews.load(Ordering::Relaxed)
    }

    fn build(&self, spec: &FilterSpec, env: &BuildEnv) -> Result<Arc<dyn StreamFilterFactory>, Vec<FilterConfigError>> {
        self.builds.fetch_add(1, Ordering::Relaxed);
        if let Some(regex) = spec.config.get("regex").and_then(Value::as_str) {
            let refused = |problem: RegexRefused| vec![FilterConfigError::new("config.regex", problem.to_string())];
            env.regexes.pay(regex).map_err(refused)?;
        }
        if spec.config.get("refuse").is_some() {
            return Err(vec![FilterConfigError::new("config.refuse", "the factory\nrefused")]);
        }
        Self::problems(spec).map(|()| Arc::new(FakeFactory) as Arc<dyn StreamFilterFactory>)
    }
}

/// A registry with `demo` and modules, and its one builder.
pub fn registry() -> (Registry, Arc<FakeBuilder>) {
    let builder = Arc::new(FakeBuilder::default());
    let mut registry = Registry::new();
    registry.stream_filter("demo", builder.clone()).modules(builder.clone()).access_logs(Arc::new(FakeSinks));
    (registry, builder)
}

/// Takes any settings, and no lines.
struct FakeSinks;

impl AccessLogSinkBuilder for FakeSinks {
    fn check(&self, _: &Value, _: &str, _: &BuildEnv) -> Result<Fingerprint, Vec<FilterConfigError>> {
        Ok(Fingerprint::SPEC)
    }

    fn open(&self, _: &Value, _: &str, _: &BuildEnv) -> Result<Option<Arc<dyn AccessLogSink>>, Vec<FilterConfigError>> {
        Ok(None)
    }

    fn schema(&self) -> Value {
        serde_json::json!({"type": "object"})
    }
}

pub fn env() -> LoadEnv {
    LoadEnv { metrics: Metrics::new(1), workers: 1, working_dir: PathBuf::from("/work-dir"), key_log: None }
}

pub fn build_env() -> BuildEnv {
    let LoadEnv { metrics, workers, working_dir, .. } = env();
    BuildEnv {
        metrics,
        workers,
        search_dirs: vec![working_dir],
        regexes: Default::default(),
        reads: Default::default(),
        plugins: None,
    }
}

pub fn load_with(path: &str, text: &str, mode: LoadMode) -> Result<Config, ConfigErrors> {
    ConfigFile::parse(Path::new(path), text)?.resolve(&registry().0, &env(), mode, None)
}

pub fn load(text: &str) -> Result<Config, ConfigErrors> {
    load_with("c.yaml", text, LoadMode::Load)
}

pub fn lines(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(ToString::to_string).collect()
}

/// The errors of a configuration that must have some.
pub fn errors(text: &str) -> Vec<String> {
    match load(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(all) => lines(&all.errors),
    }
}
