//! The second act: another version of the module takes the place of the first
//! while requests go through.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::Value;
use sidegate_harness::{Call, Client, Proxy, Spoken, until};

/// Connections that send one request after the other.
const CLIENTS: usize = 4;
/// Requests that go through before the switch, and again after it.
const SOME: u64 = 500;

/// How requests went.
#[derive(Default)]
struct Tally {
    /// Answered with 200.
    served: AtomicU64,
    /// Answered otherwise, or not at all.
    failed: AtomicU64,
}

impl Tally {
    fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    fn wait_for_more(&self, what: &str) {
        let goal = self.served() + SOME;
        until(what, || (self.served() >= goal || self.failed.load(Ordering::Relaxed) > 0).then_some(()));
    }
}

/// Puts the module `next` where `module` is, has the proxy take it, and says
/// what happened to the requests meanwhile; whether all was as expected.
pub fn run(proxy: &Proxy, spoken: Spoken, module: &Path, next: &Path) -> Result<bool, String> {
    println!("Now the same filter, written in C, takes the place of the one in Rust, while {CLIENTS} clients");
    println!("send requests without a pause.\n");
    println!("The module that serves: {}", described(proxy));
    let (tally, stop) = (Tally::default(), AtomicBool::new(false));
    let reloaded = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| send_requests(proxy, spoken, &tally, &stop));
        }
        tally.wait_for_more("requests before the switch");
        let before = tally.served();
        let reloaded = replace(next, module).and_then(|()| reload(proxy, module, next));
        let after = tally.served();
        tally.wait_for_more("requests after the switch");
        stop.store(true, Ordering::Relaxed);
        println!("  {before} requests before, {} meanwhile, and they go on", after - before);
        reloaded
    });
    reloaded?;
    let (served, failed) = (tally.served(), tally.failed.load(Ordering::Relaxed));
    until("the end of the former module", || (generations(proxy) == 1).then_some(()));
    println!("The module that serves: {}", described(proxy));
    println!("The former one has left the process.");
    match failed {
        0 => println!("  as expected: all {served} requests were answered with 200\n"),
        _ => println!("  WRONG: {failed} requests failed, {served} were answered with 200\n"),
    }
    Ok(failed == 0)
}

fn send_requests(proxy: &Proxy, spoken: Spoken, tally: &Tally, stop: &AtomicBool) {
    let call = Call::get("/hello").authority(&proxy.address().to_string()).header("user", "admin");
    let mut client = Client::connect(spoken, proxy.address());
    while !stop.load(Ordering::Relaxed) {
        match client.try_call(&call) {
            Ok(answer) if answer.status() == 200 => tally.served.fetch_add(1, Ordering::Relaxed),
            _ => {
                tally.failed.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
    }
}

/// By renaming, so that nobody ever sees half a file.
fn replace(next: &Path, module: &Path) -> Result<(), String> {
    let beside = module.with_extension("new");
    let copied = std::fs::copy(next, &beside).and_then(|_| std::fs::rename(&beside, module));
    copied.map_err(|e| format!("cannot put {} in place: {e}", next.display()))
}

fn reload(proxy: &Proxy, module: &Path, next: &Path) -> Result<(), String> {
    let path = "/api/v1/modules/auth/reload";
    println!("$ cp {} {}.new && mv {2}.new {2}", next.display(), module.display(), module.display());
    println!("$ curl -X POST http://{}{path}", proxy.admin());
    let answer = proxy.admin_call("POST", path, "", "");
    match answer.status() {
        200 => Ok(()),
        status => Err(format!("the reload was answered with {status}: {}", answer.text())),
    }
}

fn module(proxy: &Proxy) -> Value {
    proxy.admin_get("/api/v1/modules").json()["modules"][0].clone()
}

fn described(proxy: &Proxy) -> String {
    let module = module(proxy);
    let sha256 = module["sha256"].as_str().unwrap_or_default();
    let digits = sha256.get(..12).unwrap_or(sha256);
    format!("{}, generation {}, SHA-256 {digits}…", module["name"].as_str().unwrap_or_default(), module["generation"])
}

/// Those that are in the process.
fn generations(proxy: &Proxy) -> usize {
    let module = module(proxy);
    let generations = module["generations"].as_array().into_iter().flatten();
    generations.filter(|generation| generation["state"] != "unmapped").count()
}
