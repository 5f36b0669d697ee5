//! Messages without a body.

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::prelude::*;
use crate::FilterEnv;

/// Notes what its body hooks see and, with `add`, makes a body.
struct Notes {
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    mode: String,
    #[serde(default)]
    add: String,
}

struct NotesFilter<'f>(&'f Config);

impl FilterFactory for Notes {
    type Config = Config;
    type Filter<'f> = NotesFilter<'f>;

    fn new(config: Config, _: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(Notes { config })
    }

    fn filter(&self, _: &FilterEnv<'_>) -> NotesFilter<'_> {
        NotesFilter(&self.config)
    }

    fn hooks(&self) -> Hooks {
        let mode = match self.config.mode.as_str() {
            "observe" => BodyMode::Observe,
            "stream" => BodyMode::Stream,
            _ => BodyMode::Whole,
        };
        NotesFilter::HOOKS.request_body(mode).response_body(mode)
    }
}

impl Filter for NotesFilter<'_> {
    const HOOKS: Hooks = Hooks::new()
        .request_headers(Phase::BeforeRoute)
        .request_headers(Phase::AfterRoute)
        .request_body(BodyMode::Whole)
        .response_headers()
        .response_body(BodyMode::Whole);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        crate::info!(cx, "{:?} {}", cx.phase(), cx.is_end());
        Ok(Status::Continue)
    }

    fn on_request_body(&mut self, cx: &mut RequestBody<'_>) -> HookResult {
        crate::info!(cx, "request {} {} {}", cx.body().len(), cx.is_end(), cx.is_body_end());
        cx.body_mut().append(&self.0.add)?;
        Ok(Status::Continue)
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        crate::info!(cx, "head {}", cx.is_end());
        Ok(Status::Continue)
    }

    fn on_response_body(&mut self, cx: &mut ResponseBody<'_>) -> HookResult {
        crate::info!(cx, "response {} {} {}", cx.body().len(), cx.is_end(), cx.is_body_end());
        cx.body_mut().append(&self.0.add)?;
        Ok(Status::Continue)
    }
}

fn lines(host: &TestHost) -> Vec<String> {
    host.logs().into_iter().map(|(_, line)| line).collect()
}

#[test]
fn those_who_may_change_bodies_are_shown_the_empty_end() {
    for (mode, add, after_route) in
        [("stream", "", "AfterRoute true"), ("whole", "", "AfterRoute true"), ("whole", "made", "AfterRoute false")]
    {
        let host = TestHost::new::<Notes>(json!({ "mode": mode, "add": add })).unwrap();
        let outcome = host.request("GET", "/", &[]).run();
        let mut wanted =
            vec!["BeforeRoute true", after_route, "request 0 true true", "head true", "response 0 true true"];
        if mode == "whole" {
            wanted.swap(1, 2);
        }
        assert_eq!(lines(&host), wanted, "{mode} {add}");
        assert_eq!(outcome.upstream.unwrap().body, add.as_bytes());
        assert_eq!(outcome.response.unwrap().body, add.as_bytes());
    }
    let host = TestHost::new::<Notes>(json!({ "mode": "observe" })).unwrap();
    assert_eq!(host.request("GET", "/", &[]).run().fault, None);
    assert_eq!(lines(&host), ["BeforeRoute true", "AfterRoute true", "head true"]);
}

#[test]
fn responses_that_cannot_have_a_body_have_no_hook_for_it() {
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 205), ("GET", 304)] {
        let host = TestHost::new::<Notes>(json!({ "mode": "stream", "add": "made" })).unwrap();
        let outcome = host.request(method, "/", &[]).respond(status, &[]).respond_body("never sent").run();
        assert!(lines(&host).iter().all(|line| !line.starts_with("response")), "{method} {status}");
        assert!(lines(&host).contains(&"head true".to_owned()));
        assert_eq!(outcome.response.unwrap().body, b"");
    }
}
