//! The proxy whose module and configuration change.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Proxy, ProxyOptions, TempDir, Wire, artifact, until};

use super::origin;

/// What stands before the number in the module's file.
const LABEL: &[u8] = b"sidegate-stamp:";
/// Digits of the number.
const DIGITS: usize = 8;

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdings {
    pub threads: usize,
    /// Descriptors that are no sockets.
    pub files: usize,
    pub sockets: usize,
    /// Bytes.
    pub resident: usize,
}

pub struct Subject {
    proxy: Proxy,
    /// The module as it was built.
    original: Vec<u8>,
    module: PathBuf,
    config: PathBuf,
    origin: SocketAddr,
    /// Number in the module that serves.
    stamp: u32,
    /// Number of the listener, cluster and route that come and go.
    extra: u32,
}

impl Subject {
    pub fn start() -> Self {
        let original = std::fs::read(artifact("libstamp.so")).unwrap();
        let dir = TempDir::new();
        let (module, config) = (dir.join("stamp.so"), dir.join("config.json"));
        let origin = origin::start();
        std::fs::write(&module, stamped(&original, 1)).unwrap();
        std::fs::write(&config, document(origin, &module, 1).to_string()).unwrap();
        let proxy = Proxy::run(dir, &config, &ProxyOptions::default());
        Subject { proxy, original, module, config, origin, stamp: 1, extra: 1 }
    }

    pub fn address(&self) -> SocketAddr {
        self.proxy.address()
    }

    /// The number that streams get now.
    pub fn stamp(&self) -> u32 {
        self.stamp
    }

    /// Puts a module with this number into the place of the other.
    pub fn reload_module(&mut self, stamp: u32) {
        replace(&self.module, stamped(&self.original, stamp));
        let answer = self.proxy.admin_call("POST", "/api/v1/modules/stamp/reload", "", "");
        assert_eq!(answer.status(), 200, "reload of module {stamp}: {}", answer.text());
        self.stamp = stamp;
    }

    /// Takes a listener, a cluster and a route away and adds others.
    pub fn reload_configuration(&mut self) {
        let (old, new) = (self.extra, self.extra + 1);
        replace(&self.config, document(self.origin, &self.module, new).to_string());
        let answer = self.proxy.admin_call("POST", "/api/v1/config/reload", "", "");
        assert_eq!(answer.status(), 200, "reload of configuration {new}: {}", answer.text());
        assert_eq!(self.proxy.get(&format!("/extra-{new}")).status(), 200, "route {new}");
        assert_eq!(self.proxy.get(&format!("/extra-{old}")).header("x-cluster"), None, "route {old}");
        let bound = self.proxy.admin_get("/api/v1/config_dump?alllisteners").json();
        let listener = bound[format!("extra-{new}")]["bound"].as_str().expect("where the new listener is bound");
        let got = Wire::connect(listener.parse().unwrap()).send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").response();
        assert_eq!(got.status(), 200, "listener {new}");
        assert_eq!(bound[format!("extra-{old}")], Value::Null, "listener {old}");
        self.extra = new;
    }

    pub fn stamp_of_a_request(&self) -> u32 {
        let got = self.proxy.get("/");
        assert_eq!(got.status(), 200);
        got.header("x-stamp").unwrap().parse().unwrap()
    }

    /// Waits until what was replaced is gone; then says what there is.
    pub fn wait_for_one_generation(&self) -> Holdings {
        until("one generation in the admin interface", || {
            let modules = self.proxy.admin_get("/api/v1/modules").json();
            let generations = modules["modules"][0]["generations"].as_array().expect("generations");
            let is_there = |generation: &&Value| generation["state"] != "unmapped";
            (generations.iter().filter(is_there).count() == 1).then_some(())
        });
        until("one generation in the process's mappings", || (self.mapped_modules() == 1).then_some(()));
        until("one listener beside the main one", || {
            let bound = self.proxy.admin_get("/api/v1/config_dump?alllisteners").json();
            (bound.as_object().unwrap().len() == 2).then_some(())
        });
        self.holdings()
    }

    /// Sealed copies that are mapped.
    fn mapped_modules(&self) -> usize {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.proxy.pid())).unwrap();
        let mapped = maps.lines().filter(|line| line.contains("/memfd:"));
        let mut inodes: Vec<&str> = mapped.filter_map(|line| line.split_whitespace().nth(4)).collect();
        inodes.sort_unstable();
        inodes.dedup();
        inodes.len()
    }

    fn holdings(&self) -> Holdings {
        let process = format!("/proc/{}", self.proxy.pid());
        let list = |what: &str| std::fs::read_dir(format!("{process}/{what}")).unwrap().flatten();
        let targets = list("fd").filter_map(|entry| std::fs::read_link(entry.path()).ok());
        let (sockets, files): (Vec<_>, Vec<_>) =
            targets.partition(|target| target.to_string_lossy().starts_with("socket:"));
        Holdings {
            threads: list("task").count(),
            files: files.len(),
            sockets: sockets.len(),
            resident: self.proxy.resident_bytes(),
        }
    }
}

/// By renaming, so that nobody sees half a file.
fn replace(file: &std::path::Path, content: impl AsRef<[u8]>) {
    let new = file.with_extension("new");
    std::fs::write(&new, content).unwrap();
    std::fs::rename(&new, file).unwrap();
}

/// The module with this number in place of the zeros.
fn stamped(original: &[u8], stamp: u32) -> Vec<u8> {
    let mut module = original.to_vec();
    let places: Vec<usize> = (0..module.len() - LABEL.len()).filter(|&at| module[at..].starts_with(LABEL)).collect();
    assert!(!places.is_empty(), "the module has no place for a stamp");
    for at in places {
        let number = &mut module[at + LABEL.len()..][..DIGITS];
        number.copy_from_slice(format!("{stamp:0DIGITS$}").as_bytes());
    }
    module
}

fn document(origin: SocketAddr, module: &std::path::Path, extra: u32) -> Value {
    let name = format!("extra-{extra}");
    let to = |prefix: &str, cluster: &str| json!({"match": {"prefix": prefix}, "route": {"cluster_name": cluster}});
    let mut marked = to(&format!("/{name}"), &name);
    marked["route"]["response_headers_to_add"] = json!([{"header": {"key": "x-cluster", "value": name}}]);
    let config = ConfigBuilder::to_routes(origin, json!([marked, to("/", "origin")]))
        .cluster(&name, &[origin])
        // A failure would print it, and it is long.
        .in_listener("access_logs", json!([]))
        .filter(json!({"type": "loadso", "so_config": {"so_path": module, "name": "stamp"}}));
    let mut document = config.build(std::path::Path::new("/"));
    let server = &mut document["servers"][0];
    let mut listener = server["listeners"][0].clone();
    listener["name"] = name.into();
    server["listeners"].as_array_mut().unwrap().push(listener);
    document
}
