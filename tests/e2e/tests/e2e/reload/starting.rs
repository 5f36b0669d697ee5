//! Reloads of a process as an operator starts it: before it is ready, and
//! without options.

use std::net::SocketAddr;

use serde_json::{Value, json};
use sidegate_harness::{Background, ConfigBuilder, Message, Origin, Signal, TempDir, Wire, until};

use super::{saying, with_listener};
use crate::modules::Module;
use crate::modules::hangs::trouble;

/// A process that may be ready at some time.
struct Started {
    process: Background,
    dir: TempDir,
}

impl Started {
    fn with(dir: TempDir, config: &Value) -> Self {
        let (file, ready) = (dir.join("config.json"), dir.join("ready"));
        dir.write("config.json", config.to_string());
        let arguments = ["run".as_ref(), "-c".as_ref(), file.as_os_str(), "--ready-file".as_ref(), ready.as_os_str()];
        Started { process: Background::sidegate(&arguments), dir }
    }

    #[track_caller]
    fn admin(&self) -> SocketAddr {
        let text = until("readiness", || std::fs::read_to_string(self.dir.join("ready")).ok());
        serde_json::from_str::<Value>(&text).unwrap()["admin"].as_str().unwrap().parse().unwrap()
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str) -> Message {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        Wire::connect(self.admin()).send(request).response()
    }
}

#[test]
fn a_signal_before_readiness_is_not_lost() {
    let (dir, origin, module) = (TempDir::new(), Origin::echo(), Module::compile("trouble"));
    let config = ConfigBuilder::to(origin.address()).filter(trouble(&module, &dir.join("gate"), "create:hang"));
    let config = config.build(dir.path());
    let started = Started::with(dir, &config);
    until("a start that waits for its module", || started.dir.join("gate.hangs").exists().then_some(()));
    // What was read is old by now.
    started.dir.write("config.json", with_listener(&config, "more", "127.0.0.1:0").to_string());
    started.process.signal(Signal::HUP);
    started.dir.write("gate", "");
    until("the other listener", || {
        let listeners = started.ask("GET", "/api/v1/config_dump?alllisteners").json();
        listeners["more"]["bound"].is_string().then_some(())
    });
    let runs = started.ask("GET", "/api/v1/config").json();
    assert_eq!((&runs["number"], &runs["origin"]), (&json!(2), &json!("signal")));
}

#[test]
fn another_number_of_workers_needs_a_restart() {
    let dir = TempDir::new();
    let config = |count: u32| saying("x").in_server("processor", json!(count)).build(dir.path());
    let (one, two) = (config(1), config(2));
    let started = Started::with(TempDir::new(), &one);
    started.admin();
    started.dir.write("config.json", two.to_string());
    let answer = started.ask("POST", "/api/v1/config/reload");
    let body = answer.json();
    assert_eq!((answer.status(), &body["refused"]), (422, &json!("needs_restart")), "{body:#}");
    let said = body["errors"][0]["message"].as_str().unwrap();
    assert!(said.contains("workers") && said.contains("1 run, 2 are wanted"), "{said}");
    let told = started.ask("POST", "/api/v1/config/diff").json();
    assert_eq!(told["changes"]["restart"].as_array().map(Vec::len), Some(1), "{told:#}");
    started.dir.write("config.json", one.to_string());
    assert_eq!(started.ask("POST", "/api/v1/config/reload").status(), 200);
}
