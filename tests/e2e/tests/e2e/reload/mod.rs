//! What runs changes while requests go through.

mod changes;
mod failures;
mod formers;
mod fronts;
mod generations;
mod held;
mod hung;
mod live_edit;
mod shelf;
mod sockets;
mod starting;
mod unfit;
mod watching;
mod ways;

use std::net::SocketAddr;

use serde_json::{Value, json};
use sidegate_harness::{ConfigBuilder, Message, Proxy};

use crate::support::answer;

/// Every request is answered with `word`, without an origin.
fn saying(word: &str) -> ConfigBuilder {
    ConfigBuilder::empty().virtual_host("all", &["*"], json!([answer(json!({"prefix": "/"}), word)]))
}

/// `config` with one more listener of that name, with the same routes.
fn with_listener(config: &Value, name: &str, address: &str) -> Value {
    let mut config = config.clone();
    let listeners = config["servers"][0]["listeners"].as_array_mut().unwrap();
    let mut listener = listeners[0].clone();
    listener["name"] = json!(name);
    listener["address"] = json!(address);
    listeners.push(listener);
    config
}

/// The configuration that `builder` makes for this proxy.
fn built(proxy: &Proxy, builder: &ConfigBuilder) -> Value {
    builder.build(proxy.dir().path())
}

/// Checks that a response is a 200 with one of these bodies.
fn says_one_of(words: &'static [&'static str]) -> impl Fn(&Message) -> Result<(), String> + Send + Sync + 'static {
    move |response| match response.status() == 200 && words.contains(&response.text().as_str()) {
        true => Ok(()),
        false => Err(format!("{} {:?}", response.status(), response.text())),
    }
}

/// What a listener answers now, on a new connection.
fn said(address: SocketAddr) -> String {
    sidegate_harness::Wire::connect(address).send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").response().text()
}
