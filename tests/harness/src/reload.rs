//! Other configurations for a proxy that runs.

use std::path::Path;

use serde_json::Value;

use crate::{ConfigBuilder, Message, Proxy, until};

impl Proxy {
    /// The file that it was started with.
    pub fn config_file(&self) -> &Path {
        &self.config
    }

    /// Puts another configuration into the place of its file, by a rename.
    #[track_caller]
    pub fn write(&self, config: &ConfigBuilder) {
        self.write_value(&config.build(self.dir().path()));
    }

    /// The same as a value.
    #[track_caller]
    pub fn write_value(&self, config: &Value) {
        self.write_text(&serde_json::to_string_pretty(config).unwrap());
    }

    /// The same as text, which need not be a configuration.
    #[track_caller]
    pub fn write_text(&self, text: &str) {
        let beside = self.config.with_extension("partial");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, &self.config).unwrap();
    }

    /// Has it take another configuration, and gives the answer. New listeners
    /// are known from then on.
    #[track_caller]
    pub fn reload(&mut self, config: &ConfigBuilder) -> Value {
        self.write(config);
        self.reload_file()
    }

    /// Has it take what is in its file.
    #[track_caller]
    pub fn reload_file(&mut self) -> Value {
        let answer = self.order("/api/v1/config/reload");
        let body = json(&answer);
        assert_eq!(answer.status(), 200, "{body:#}");
        self.learn();
        body
    }

    /// POSTs an order to the admin interface.
    #[track_caller]
    pub fn order(&self, path: &str) -> Message {
        self.admin_call("POST", path, "", "")
    }

    /// The number of the configuration that runs.
    #[track_caller]
    pub fn number(&self) -> u64 {
        json(&self.admin_get("/api/v1/config"))["number"].as_u64().expect("a number")
    }

    /// Waits until the configuration with this number, or a later one, runs.
    #[track_caller]
    pub fn await_number(&mut self, number: u64) {
        until(&format!("configuration {number}"), || (self.number() >= number).then_some(()));
        self.learn();
    }

    /// Value of a series on the page of metrics; `None` without it.
    #[track_caller]
    pub fn metric(&self, series: &str) -> Option<f64> {
        let page = self.admin_get("/metrics").text();
        page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Its admin interface is there from now on.
    pub fn admin_moved_to(&mut self, address: std::net::SocketAddr) {
        self.admin = Some(address.to_string());
    }

    /// Asks where listeners listen now.
    #[track_caller]
    pub fn learn(&mut self) {
        let shown = json(&self.admin_get("/api/v1/config_dump?alllisteners"));
        let bound = shown.as_object().expect("listeners by name").iter();
        self.listeners =
            Value::Object(bound.map(|(name, listener)| (name.clone(), listener["bound"].clone())).collect());
    }
}

#[track_caller]
fn json(answer: &Message) -> Value {
    let text = answer.text();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
}
