//! Workers without a proxy, rounds of a module's life, and counts of what the
//! process holds.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sidegate_api::{
    BuildEnv, EndOfStream, FilterConfigError, GenerationState, GenerationStatus, ReceiverPhase, SeriesValue, Status,
    StreamFilterFactory, WorkerIndex,
};
use sidegate_generic_filter::{Errand, GenericFilter, Policy, What, Wish, WorkerErrands};

use crate::support::{Routes, cx, env, spec, stream};

pub const WORKERS: usize = 2;

/// Tests of this process take turns.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads that do what workers do.
pub struct Workers(Vec<(Sender<Errand>, JoinHandle<()>)>);

struct Errands(Vec<Sender<Errand>>);

impl WorkerErrands for Errands {
    fn run_on(&self, worker: WorkerIndex, errand: Errand) {
        let _ = self.0[worker.0].send(errand);
    }
}

impl Workers {
    pub fn start() -> Self {
        let worker = |_| {
            let (errands, queue) = channel::<Errand>();
            (errands, std::thread::spawn(move || queue.into_iter().for_each(|errand| errand())))
        };
        Workers((0..WORKERS).map(worker).collect())
    }

    /// Runs `act` on a worker and waits for it.
    pub fn on<R: Send + 'static>(&self, worker: usize, act: impl FnOnce() -> R + Send + 'static) -> R {
        let (answer, wait) = channel();
        self.0[worker].0.send(Box::new(move || drop(answer.send(act())))).unwrap();
        wait.recv().unwrap()
    }

    pub fn errands(&self) -> Arc<dyn WorkerErrands> {
        Arc::new(Errands(self.0.iter().map(|(errands, _)| errands.clone()).collect()))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for (errands, thread) in self.0.drain(..) {
            drop(errands);
            // One that panicked has failed its test already.
            let _ = thread.join();
        }
    }
}

/// A process that serves: a builder with workers.
pub struct Served {
    pub builder: Arc<GenericFilter>,
    pub workers: Workers,
    pub env: BuildEnv,
}

pub type Factory = Arc<dyn StreamFilterFactory>;

impl Served {
    pub fn new() -> Self {
        let (builder, workers) = (Arc::new(GenericFilter::new(Policy::default()).unwrap()), Workers::start());
        builder.serve_with(workers.errands());
        Served { builder, workers, env: env(WORKERS) }
    }

    /// As a new configuration does: everything is read anew.
    pub fn next_env(&self) -> BuildEnv {
        BuildEnv { reads: Default::default(), ..self.env.clone() }
    }

    /// A factory of a new generation of the file, as a reload makes it.
    pub fn reload(&self, file: &Path, what: What) -> Result<Factory, Vec<FilterConfigError>> {
        let (spec, env) = (spec(file, ""), self.next_env());
        let wish = Wish { module: spec.name.clone(), what };
        let builder = self.builder.wishing(wish);
        builder.check(&spec, &env)?;
        builder.build(&spec, &env)
    }

    /// Each worker takes the factory into use.
    pub fn attach(&self, factory: &Factory) {
        for worker in 0..WORKERS {
            let factory = factory.clone();
            self.workers.on(worker, move || factory.attach_worker(WorkerIndex(worker)).unwrap());
        }
    }

    pub fn detach(&self, factory: &Factory) {
        for worker in 0..WORKERS {
            let factory = factory.clone();
            self.workers.on(worker, move || factory.detach_worker(WorkerIndex(worker)));
        }
    }

    /// Each worker serves a stream from begin to end.
    pub fn serve(&self, factory: &Factory) {
        for worker in 0..WORKERS {
            let factory = factory.clone();
            self.workers.on(worker, move || {
                let (mut state, routes) = (stream(&[]), Routes::default());
                let mut filter = factory.create_filter(WorkerIndex(worker)).unwrap();
                let mut cx = cx(&mut state, &routes);
                let status = filter.on_request_headers(&mut cx, ReceiverPhase::BeforeRoute, EndOfStream::End);
                assert!(matches!(status, Status::Continue), "{status:?}");
                drop(filter);
                state.reset();
            });
        }
    }

    /// One generation from begin to end.
    pub fn live(&self, file: &Path) -> u64 {
        let factory = self.reload(file, What::Fresh).unwrap();
        self.attach(&factory);
        self.serve(&factory);
        let number = factory.module().unwrap().generation;
        self.detach(&factory);
        drop(factory);
        number
    }

    /// All generations of the only module.
    pub fn generations(&self) -> Vec<GenerationStatus> {
        self.builder.settle();
        self.builder.modules().into_iter().flat_map(|module| module.generations).collect()
    }

    pub fn states(&self) -> Vec<(u64, GenerationState)> {
        self.generations().into_iter().map(|generation| (generation.generation, generation.state)).collect()
    }

    /// Until nothing of any module is in the process.
    pub fn until_gone(&self) {
        until(|| self.generations().is_empty(), || format!("{:?}", self.generations()));
    }

    /// Value of a counter, over all its series.
    pub fn counted(&self, name: &str) -> u64 {
        let all = self.env.metrics.read();
        let value = |series: &sidegate_api::Series| match series.value {
            SeriesValue::Counter(count) => count,
            SeriesValue::Gauge(level) => level as u64,
            _ => panic!("{name} is no counter"),
        };
        all.iter().filter(|series| &*series.name == name).map(value).sum()
    }
}

/// Waits for a condition; `what` is for the message of a failure.
pub fn until(mut holds: impl FnMut() -> bool, what: impl FnOnce() -> String) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "did not come about: {}", what());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What the process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holds {
    pub descriptors: usize,
    pub threads: usize,
    /// Mappings of files, of which a module's are.
    pub mappings: usize,
    /// Of those, modules'.
    pub modules: usize,
}

impl Holds {
    pub fn now() -> Self {
        let entries = |folder: &str| std::fs::read_dir(folder).unwrap().count();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        Holds {
            descriptors: entries("/proc/self/fd"),
            threads: entries("/proc/self/task"),
            mappings: maps.lines().filter(|line| line.contains('/')).count(),
            modules: maps.lines().filter(|line| line.contains("/memfd:sidegate:")).count(),
        }
    }

    /// What it holds once threads that have ended are not seen any more.
    pub fn settled() -> Self {
        let mut last = (Holds::now(), 0);
        until(
            || {
                std::thread::sleep(Duration::from_millis(1));
                let now = Holds::now();
                last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
                last.1 == 50
            },
            || "a process that holds the same for a while".to_owned(),
        );
        last.0
    }

    /// Waits until the process holds this again: threads that have ended are
    /// seen for a moment.
    pub fn again(self) {
        until(|| Holds::now() == self, || format!("{self:?}, there is {:?}", Holds::now()));
    }
}

/// Compiles `tests/modules/leaves.c` as C++.
pub fn compile_cpp(options: &[&str]) -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = crate::support::scratch("libleaves_cpp.so");
    let mut command = Command::new("c++");
    command.args(["-x", "c++", "-std=c++17", "-shared", "-fPIC", "-O1", "-g", "-Wall", "-Wextra", "-Werror"]);
    command.args(options).arg("-I").arg(repository.join("ffi-api/include")).arg("-o").arg(&output);
    command.arg(repository.join("tests/modules/leaves.c")).arg("-lpthread");
    run(&mut command);
    output
}

/// Compiles `tests/modules/leaves.rs` with the compiler of this project.
pub fn compile_rust() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = crate::support::scratch("libleaves_rust.so");
    let tables = output.with_file_name("libsidegate_abi.rlib");
    let rustc = |name: &str, kind: &str, source: &str, to: &Path| {
        let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        command.current_dir(repository).args(["--edition", "2021", "-O", "--crate-type", kind, "--crate-name", name]);
        command.arg("--extern").arg(format!("sidegate_abi={}", tables.display())).arg("-o").arg(to).arg(source);
        command
    };
    let mut abi = Command::new(rustc("", "", "", &output).get_program());
    abi.current_dir(repository).args(["--edition", "2021", "-O", "--crate-type", "rlib", "--crate-name"]);
    run(abi.arg("sidegate_abi").arg("-o").arg(&tables).arg("tests/abi/v1.0/rust/abi/lib.rs"));
    run(&mut rustc("leaves", "cdylib", "tests/modules/leaves.rs", &output));
    output
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
