use std::task::Poll;
use std::time::Duration;

use serde_json::json;
use sidegate_abi as abi;

use super::{table, TestHost};
use crate::prelude::*;
use crate::{PluginAnswer, PluginCall, PluginCallId, PluginFailure, PluginFailureKind};

/// Calls `checker` as often as `x-calls` says and tells what came, in order.
struct Asks;

#[derive(Default)]
struct AsksFilter {
    calls: Vec<PluginCallId>,
    came: Vec<String>,
}

impl FilterFactory for Asks {
    type Config = NoConfig;
    type Filter<'f> = AsksFilter;

    fn new(_: NoConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        let known: Vec<&str> = env.plugins().collect();
        crate::info!(env, "may call {known:?}");
        Ok(Asks)
    }

    fn filter(&self, _: &FilterEnv<'_>) -> AsksFilter {
        AsksFilter::default()
    }
}

impl Filter for AsksFilter {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let wanted: usize = std::str::from_utf8(cx.headers().get("x-calls").unwrap_or(b"1")).unwrap().parse().unwrap();
        for number in 0..wanted {
            let call = PluginCall::new("checker").kind(number.to_string()).header("A", "1").trailer("T", "2");
            match cx.call_plugin(&call.body("body").timeout(Duration::from_secs(1))) {
                Ok(id) => self.calls.push(id),
                Err(error) => self.came.push(format!("{error:?}")),
            }
        }
        if cx.headers().get("x-cancel").is_some() {
            let first = self.calls.remove(0);
            cx.cancel_plugin_call(first)?;
            self.came.push(format!("{:?} {:?}", cx.cancel_plugin_call(first), cx.plugin_answer(first).err()));
        }
        if self.calls.is_empty() {
            cx.set_named("came", self.came.join(";"))?;
            return Ok(Status::Continue);
        }
        Ok(Status::Pending)
    }

    fn on_resume(&mut self, cx: &mut Resumed<'_>) -> HookResult {
        let mut left = Vec::new();
        for id in std::mem::take(&mut self.calls) {
            match cx.plugin_answer(id)? {
                Poll::Pending => left.push(id),
                Poll::Ready(Ok(answer)) => {
                    self.came.push(format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)));
                    assert_eq!(cx.plugin_answer(id), Err(HostError::Already));
                }
                Poll::Ready(Err(failure)) => self.came.push(format!("{:?} {failure}", failure.kind)),
            }
        }
        self.calls = left;
        if self.calls.is_empty() {
            cx.set_named("came", self.came.join(";"))?;
            return Ok(Status::Continue);
        }
        Ok(Status::Pending)
    }
}

fn host() -> TestHost {
    let host = TestHost::with_plugins::<Asks>(json!({}), &["checker"]).unwrap();
    host.plugin("checker", |asked| {
        assert_eq!((asked.header("A"), &asked.trailers[0].1[..], &asked.body[..]), (Some("1"), "2", &b"body"[..]));
        match &asked.kind[..] {
            "1" => Err(PluginFailure { kind: PluginFailureKind::Lost, message: "it died".to_owned() }),
            kind => Ok(PluginAnswer { status: 7, body: kind.as_bytes().to_vec(), ..PluginAnswer::default() }),
        }
    });
    host
}

fn came(host: &TestHost, headers: &[(&str, &str)]) -> String {
    let outcome = host.request("GET", "/", headers).run();
    assert_eq!(outcome.fault, None);
    outcome.named("came").unwrap_or("nothing").to_owned()
}

#[test]
fn calls_end_one_by_one_and_each_end_is_told_once() {
    let host = host();
    assert_eq!(came(&host, &[]), "7 0");
    assert_eq!(came(&host, &[("x-calls", "3")]), "7 0;Lost it died;7 2");
    assert_eq!(came(&host, &[("x-calls", "3"), ("x-cancel", "1")]), "Err(Already) Some(Already);Lost it died;7 2");
    assert_eq!(came(&host, &[("x-calls", "17")]).split(';').next(), Some("Limit"));
    assert_eq!(host.logs(), [(Level::Info, "may call [\"checker\"]".to_owned())]);
}

#[test]
fn a_plugin_that_a_test_gives_nothing_to_do_is_down() {
    let host = TestHost::with_plugins::<Asks>(json!({}), &["checker"]).unwrap();
    assert_eq!(came(&host, &[]), "Down the test gives `checker` nothing to do");
}

#[test]
fn a_host_of_1_0_says_that_it_has_no_plugins() {
    let table = || abi::HostTable {
        size: std::mem::offset_of!(abi::HostTable, body_waive) as u64,
        abi_minor: 0,
        ..table::HOST
    };
    let host = TestHost::with_table::<Asks>(table(), json!({}), 1).unwrap();
    assert_eq!(came(&host, &[]), "Unsupported");
    assert_eq!(host.logs(), [(Level::Info, "may call []".to_owned())]);

    struct Needs;
    impl FilterFactory for Needs {
        type Config = NoConfig;
        type Filter<'f> = AsksFilter;
        fn new(_: NoConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
            env.needs_plugin("plugin", "checker").map(|()| Needs)
        }
        fn filter(&self, _: &FilterEnv<'_>) -> AsksFilter {
            AsksFilter::default()
        }
    }
    let refused = TestHost::with_table::<Needs>(table(), json!({}), 1).unwrap_err();
    let said = "this proxy offers no calls of plugins, which came with module ABI 1.1";
    assert_eq!((&refused.path[..], &refused.message[..]), ("plugin", said));
}
