//! The `sidegate` process under test.

use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::command::no_core_files;
use crate::wait::{patience, pause};
use crate::{AccessLine, Call, Client, ConfigBuilder, Message, Pair, Spoken, TempDir, Wire, binary, until};

/// How to start it.
#[derive(Debug, Default)]
pub struct ProxyOptions {
    /// More arguments after `run -c FILE`.
    pub arguments: Vec<String>,
    /// Number of workers; 2 by default.
    pub workers: Option<usize>,
    /// Working directory.
    pub directory: Option<PathBuf>,
    /// The binary, if not the usual one.
    pub binary: Option<PathBuf>,
    /// Descriptors that the process may have; as many as the test otherwise.
    pub descriptors: Option<u32>,
    /// More of its environment.
    pub environment: Vec<(OsString, OsString)>,
}

/// A running proxy. Dropping it kills the process, and shows its logs if the
/// test is failing.
pub struct Proxy {
    child: Child,
    dir: TempDir,
    /// What it was started with.
    pub(crate) config: PathBuf,
    pub(crate) listeners: Value,
    /// `IP:port` or `unix:PATH`.
    pub(crate) admin: Option<String>,
    metrics: Vec<String>,
    exited: Option<ExitStatus>,
}

impl Proxy {
    /// Starts it with what `config` builds, and waits until it is ready.
    #[track_caller]
    pub fn start(config: &ConfigBuilder) -> Self {
        Self::start_with(config, &ProxyOptions::default())
    }

    /// The same with options.
    #[track_caller]
    pub fn start_with(config: &ConfigBuilder, options: &ProxyOptions) -> Self {
        let dir = TempDir::new();
        let config = config.build(dir.path());
        let file = dir.write("config.json", serde_json::to_string_pretty(&config).unwrap());
        Self::run(dir, &file, options)
    }

    /// Starts it with the configuration `file`; its own files go into `dir`.
    #[track_caller]
    pub fn run(dir: TempDir, file: &Path, options: &ProxyOptions) -> Self {
        Self::try_run(dir, file, options).unwrap_or_else(|why| panic!("{why}"))
    }

    /// The same, with the failure as text.
    pub fn try_run(dir: TempDir, file: &Path, options: &ProxyOptions) -> Result<Self, String> {
        no_core_files();
        let ready = dir.join("ready.json");
        let binary = options.binary.clone().unwrap_or_else(binary);
        let mut command = limited(&binary, options.descriptors);
        command.arg("run").arg("-c").arg(file).arg("--ready-file").arg(&ready);
        command.arg("--workers").arg(options.workers.unwrap_or(2).to_string()).args(&options.arguments);
        command.envs(options.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &options.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::null());
        command.stdout(File::create(dir.join("stdout.log")).unwrap());
        command.stderr(File::create(dir.join("stderr.log")).unwrap());
        let child =
            command.spawn().map_err(|e| format!("cannot start {}: {e}; run `make build` first", binary.display()))?;
        let mut proxy = Proxy {
            child,
            dir,
            config: file.to_path_buf(),
            listeners: Value::Null,
            admin: None,
            metrics: Vec::new(),
            exited: None,
        };
        proxy.await_ready(&ready)?;
        Ok(proxy)
    }

    /// Address of listener `main`.
    #[track_caller]
    pub fn address(&self) -> SocketAddr {
        self.listener("main")
    }

    /// Address of a listener by its name.
    #[track_caller]
    pub fn listener(&self, name: &str) -> SocketAddr {
        let text = self.listeners[name].as_str();
        let text = text.unwrap_or_else(|| panic!("no listener {name} in {}", self.listeners));
        text.parse().unwrap()
    }

    /// Address of the admin server.
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        self.admin_text().parse().unwrap()
    }

    /// The same as the ready file has it: `IP:port` or `unix:PATH`.
    #[track_caller]
    pub fn admin_text(&self) -> &str {
        self.admin.as_deref().expect("the configuration has no admin")
    }

    /// Addresses of the pages of metrics, in configured order.
    #[track_caller]
    pub fn metrics(&self) -> Vec<SocketAddr> {
        self.metrics.iter().map(|address| address.parse().expect("an IP address and port")).collect()
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder of this process's files.
    pub fn dir(&self) -> &TempDir {
        &self.dir
    }

    /// A new connection to listener `main`.
    #[track_caller]
    pub fn connect(&self) -> Wire {
        Wire::connect(self.address())
    }

    /// A new connection to listener `main`, with the protocol that clients of
    /// this test speak.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::to(self.address())
    }

    /// Makes a request on a new connection.
    #[track_caller]
    pub fn call(&self, call: &Call) -> Message {
        self.client().call(call)
    }

    /// Sends `raw` on a new connection and reads one response; where clients
    /// speak HTTP/2, what the bytes say.
    #[track_caller]
    pub fn exchange(&self, raw: impl AsRef<[u8]>) -> Message {
        match Pair::current().down {
            Spoken::Http1 => self.connect().send(raw).response(),
            Spoken::Http2 => self.call(&Call::parse(raw.as_ref())),
        }
    }

    /// GET with Host `test` and more `fields`, each with its CRLF.
    #[track_caller]
    pub fn get_with(&self, path: &str, fields: &str) -> Message {
        self.exchange(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"))
    }

    /// GET with Host `test`.
    #[track_caller]
    pub fn get(&self, path: &str) -> Message {
        self.get_with(path, "")
    }

    /// GET from the admin server.
    #[track_caller]
    pub fn admin_get(&self, path: &str) -> Message {
        self.admin_call("GET", path, "", "")
    }

    /// Any call of the admin server; each of `fields` with its CRLF.
    #[track_caller]
    pub fn admin_call(&self, method: &str, path: &str, fields: &str, body: &str) -> Message {
        let length = body.len();
        Wire::connect(self.admin())
            .send(format!(
                "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\nConnection: close\r\n{fields}\r\n{body}",
                self.admin()
            ))
            .response_to(method)
    }

    /// Sends a signal to the process.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is gone");
    }

    /// Exit status if it has ended.
    pub fn try_exit(&mut self) -> Option<ExitStatus> {
        if self.exited.is_none() {
            self.exited = self.child.try_wait().unwrap();
        }
        self.exited
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        until("end of the proxy process", || self.try_exit())
    }

    /// Lines of the access log so far.
    pub fn access_log(&self) -> Vec<AccessLine> {
        self.access_log_text().lines().map(AccessLine::parse).collect()
    }

    /// The access log as it is.
    pub fn access_log_text(&self) -> String {
        let bytes = std::fs::read(self.dir.join("access.log")).unwrap_or_default();
        let text = String::from_utf8(bytes).expect("the access log is no UTF-8");
        // A line that is being written is none yet.
        text.rfind('\n').map_or(String::new(), |end| text[..=end].to_owned())
    }

    /// Waits for an access log line.
    #[track_caller]
    pub fn access_line(&self, what: &str, wanted: impl Fn(&AccessLine) -> bool) -> AccessLine {
        until(&format!("access log line: {what}"), || self.access_log().into_iter().find(&wanted))
    }

    /// What it wrote to standard output and error.
    pub fn logs(&self) -> String {
        let read = |name| String::from_utf8_lossy(&std::fs::read(self.dir.join(name)).unwrap_or_default()).into_owned();
        format!("{}{}", read("stdout.log"), read("stderr.log"))
    }

    /// Memory in bytes that it has resident for itself. Pages of its code are
    /// not in it: they come when they are first run, some megabytes of them.
    pub fn resident_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a kernel since 4.5");
            line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
        };
        of("RssAnon:") + of("RssShmem:")
    }

    fn await_ready(&mut self, ready: &Path) -> Result<(), String> {
        let patience = patience();
        let deadline = Instant::now() + patience;
        loop {
            if let Ok(text) = std::fs::read_to_string(ready) {
                let value: Value = serde_json::from_str(&text)
                    .map_err(|e| format!("ready file is no JSON ({e}), so it is not written at once: {text:?}"))?;
                if value["pid"] != self.pid() {
                    return Err(format!("wrong pid in the ready file: {value}"));
                }
                self.admin = value["admin"].as_str().map(str::to_owned);
                self.listeners = value["listeners"].clone();
                let pages = value["metrics"].as_array().into_iter().flatten();
                self.metrics = pages.filter_map(Value::as_str).map(str::to_owned).collect();
                return Ok(());
            }
            if let Some(status) = self.try_exit() {
                return Err(format!("the proxy ended with {status} before it was ready:\n{}", self.logs()));
            }
            if Instant::now() > deadline {
                return Err(format!("the proxy was not ready within {patience:?}:\n{}", self.logs()));
            }
            pause();
        }
    }
}

/// `binary` with at most so many descriptors: the hard limit too, since the
/// process raises the soft one. The shell becomes the binary, so that the
/// process id is its.
fn limited(binary: &Path, descriptors: Option<u32>) -> Command {
    let Some(descriptors) = descriptors else { return Command::new(binary) };
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"")).arg(binary);
    command
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if self.exited.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- logs of the proxy (pid {}) ---\n{}", self.child.id(), self.logs());
            eprintln!(
                "--- its access log ---\n{}---",
                String::from_utf8_lossy(&std::fs::read(self.dir.join("access.log")).unwrap_or_default())
            );
        }
    }
}
