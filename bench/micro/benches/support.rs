//! Compiling modules, building their filters, and a stream to run them on.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::Value;
use sidegate_api::{
    Address, BuildEnv, ConnectionInfo, FaultPolicy, FilterCx, FilterSpec, Metrics, ModuleSource, ModuleSpec, PeerText,
    Protocol, RouteConfigSource, RouteFilterConfig, StreamFilter, StreamFilterBuilder, StreamFilterFactory,
    StreamState, WorkerIndex,
};
use sidegate_filters::DemoBuilder;
use sidegate_generic_filter::GenericFilter;

/// Headers of [`stream`], of which `user` is the last.
const HEADERS: usize = 20;

/// A folder that is removed in the end.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("micro-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// Compiles a module as the examples are compiled. Paths are the repository's.
pub fn compile(scratch: &Scratch, source: &str, options: &[&str]) -> PathBuf {
    let output = scratch.0.join(Path::new(source).with_extension("so").file_name().unwrap());
    let done = Command::new("cc")
        .args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-Iffi-api/include"])
        .args(options)
        .arg("-o")
        .arg(&output)
        .arg(source)
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(done.status.success(), "cc {source}: {}", String::from_utf8_lossy(&done.stderr));
    output
}

/// `libauth.so` of `make build`, if it was made.
pub fn rust_auth() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    Some(repository().join(target).join("release/libauth.so")).filter(|file| file.is_file())
}

/// What filters are built in.
pub struct Setup {
    pub env: BuildEnv,
    modules: GenericFilter,
}

impl Setup {
    pub fn new(modules: GenericFilter) -> Self {
        let env = BuildEnv {
            metrics: Metrics::new(1),
            workers: 1,
            search_dirs: Vec::new(),
            regexes: Default::default(),
            reads: Default::default(),
            plugins: None,
        };
        env.metrics.enter_worker(0);
        Setup { env, modules }
    }

    /// Filter `filter` of a module.
    pub fn module(&self, file: &Path, filter: &str, config: Value) -> Arc<dyn StreamFilterFactory> {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let module = ModuleSpec {
            source: ModuleSource::SoConfig,
            so_path: file.to_owned(),
            name: name.clone(),
            filter: filter.to_owned(),
            sha256: None,
            quarantine: None,
            slow_hook: ModuleSpec::SLOW_HOOK,
            watch: false,
            generation_timeout: None,
            plugins: Default::default(),
        };
        self.modules.build(&spec(name, config, Some(module)), &self.env).unwrap()
    }

    /// The built-in `demo`.
    pub fn demo(&self, config: Value) -> Arc<dyn StreamFilterFactory> {
        DemoBuilder.build(&spec("demo".to_owned(), config, None), &self.env).unwrap()
    }
}

fn spec(name: String, config: Value, module: Option<ModuleSpec>) -> FilterSpec {
    FilterSpec { filter_type: "loadso".to_owned(), name, config, module, on_fault: FaultPolicy::default() }
}

/// A filter with its factory, ended in the order that the proxy keeps.
pub struct Made {
    filter: Option<Box<dyn StreamFilter>>,
    factory: Arc<dyn StreamFilterFactory>,
}

impl Made {
    pub fn new(factory: Arc<dyn StreamFilterFactory>) -> Self {
        factory.attach_worker(WorkerIndex(0)).unwrap();
        let filter = Some(factory.create_filter(WorkerIndex(0)).unwrap());
        Made { filter, factory }
    }

    pub fn get(&mut self) -> &mut dyn StreamFilter {
        &mut **self.filter.as_mut().unwrap()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.filter = None;
        self.factory.detach_worker(WorkerIndex(0));
    }
}

/// No route has settings for a filter.
pub struct NoRoutes;

impl RouteConfigSource for NoRoutes {
    fn route_config(&self, _: usize) -> Option<&dyn RouteFilterConfig> {
        None
    }
}

/// A request with as many headers as browsers send.
pub fn stream() -> StreamState {
    let mut stream = StreamState::default();
    stream.request.authority.push_str("example.com");
    stream.request.set_target("/path/of/some/length?query=value");
    for number in 1..HEADERS {
        let name = format!("x-header-{number}");
        stream.request.headers.add(name.as_bytes(), b"a value of some length").unwrap();
    }
    stream.request.headers.add(b"user", b"admin").unwrap();
    let local = Address::parse("127.0.0.1:80").unwrap();
    stream.info.connection = Some(Rc::new(ConnectionInfo {
        id: 1,
        listener: "listener".into(),
        remote: PeerText::new(local.clone()),
        local: PeerText::new(local),
        protocol: Protocol::Http11,
        tls: None,
    }));
    stream
}

pub fn cx<'a>(stream: &'a mut StreamState, routes: &'a NoRoutes) -> FilterCx<'a> {
    FilterCx::new(stream, routes, 0, WorkerIndex(0), 1 << 20)
}
