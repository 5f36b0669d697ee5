//! Compiling modules, building their filters and running hooks without a proxy.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use sidegate_api::{
    Address, BuildEnv, ConnectionInfo, FaultPolicy, FilterConfigError, FilterCx, FilterSpec, Metrics, ModuleSource,
    ModuleSpec, PeerText, Protocol, RouteConfigSource, RouteFilterConfig, SeriesValue, StreamFilterBuilder,
    StreamFilterFactory, StreamState, WorkerIndex,
};
use sidegate_generic_filter::{GenericFilter, Policy};

/// A file name of its own in the tests' folder.
pub fn scratch(name: &str) -> PathBuf {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = RUN.get_or_init(run_folder).join(number.to_string());
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// This run's folder. Those of runs that have ended are removed, as no code
/// runs at the end of this one.
fn run_folder() -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for entry in std::fs::read_dir(all).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix("modules-"));
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    all.join(format!("modules-{}", std::process::id()))
}

/// Compiles `tests/modules/<source>.c` of the repository.
pub fn compile(source: &str, options: &[&str]) -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = scratch(&format!("lib{source}.so"));
    let done = Command::new("cc")
        .args(["-std=gnu11", "-shared", "-fPIC", "-O1", "-g", "-Wall", "-Wextra", "-Werror"])
        .arg("-I")
        .arg(repository.join("ffi-api/include"))
        .arg("-o")
        .arg(&output)
        .arg(repository.join("tests/modules").join(format!("{source}.c")))
        .args(options)
        .output()
        .unwrap();
    assert!(done.status.success(), "cc {source}: {}", String::from_utf8_lossy(&done.stderr));
    output
}

pub fn env(workers: usize) -> BuildEnv {
    BuildEnv {
        metrics: Metrics::new(workers),
        workers,
        search_dirs: Vec::new(),
        regexes: Default::default(),
        reads: Default::default(),
        plugins: None,
    }
}

pub fn spec(file: &Path, filter: &str) -> FilterSpec {
    let name = file.file_stem().unwrap().to_string_lossy().into_owned();
    FilterSpec {
        filter_type: "loadso".to_owned(),
        name: name.clone(),
        config: serde_json::json!({}),
        module: Some(ModuleSpec {
            source: ModuleSource::SoConfig,
            so_path: file.to_owned(),
            name,
            filter: filter.to_owned(),
            sha256: None,
            quarantine: None,
            slow_hook: ModuleSpec::SLOW_HOOK,
            watch: false,
            generation_timeout: None,
            plugins: Default::default(),
        }),
        on_fault: FaultPolicy::default(),
    }
}

pub fn generic_filter() -> GenericFilter {
    GenericFilter::new(Policy::default()).unwrap()
}

/// Builds one filter of a module with two workers.
pub fn build(file: &Path, filter: &str) -> Result<Arc<dyn StreamFilterFactory>, Vec<FilterConfigError>> {
    generic_filter().build(&spec(file, filter), &env(2))
}

/// Value of a counter that the module defined.
pub fn counted(env: &BuildEnv, name: &str) -> u64 {
    let series = env.metrics.read().into_iter().find(|series| &*series.name == name).unwrap();
    assert_eq!(series.labels[0].0, "module");
    match series.value {
        SeriesValue::Counter(count) => count,
        other => panic!("{name} is {other:?}"),
    }
}

/// The only error of `result`.
pub fn only<T>(result: Result<T, Vec<FilterConfigError>>) -> FilterConfigError {
    let Err(mut errors) = result else { panic!("expected a refusal") };
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

/// Routes with at most one configured object.
#[derive(Default)]
pub struct Routes(pub Option<Arc<dyn RouteFilterConfig>>);

impl RouteConfigSource for Routes {
    fn route_config(&self, _: usize) -> Option<&dyn RouteFilterConfig> {
        self.0.as_deref()
    }
}

/// A stream with `GET /path?query`, host and the given headers.
pub fn stream(headers: &[(&str, &str)]) -> StreamState {
    let mut stream = StreamState::default();
    stream.request.authority.push_str("example.com");
    stream.request.set_target("/path?query");
    for (name, value) in [("user-agent", "test"), ("accept", "*/*")].iter().chain(headers) {
        stream.request.headers.add(name.as_bytes(), value.as_bytes()).unwrap();
    }
    let local = Address::parse("127.0.0.1:80").unwrap();
    stream.info.connection = Some(Rc::new(ConnectionInfo {
        id: 7,
        listener: "listener".into(),
        remote: PeerText::new(local.clone()),
        local: PeerText::new(local),
        protocol: Protocol::Http11,
        tls: None,
    }));
    stream
}

pub fn cx<'a>(stream: &'a mut StreamState, routes: &'a Routes) -> FilterCx<'a> {
    FilterCx::new(stream, routes, 0, WorkerIndex(0), 1024)
}
