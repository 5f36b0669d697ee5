use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::json;

use super::*;
use crate::prelude::*;

/// A filter whose hooks are told by its configuration what to do.
struct Probe {
    config: ProbeConfig,
    alive: Arc<AtomicUsize>,
    seen: Counter,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct ProbeConfig {
    act: String,
    body: String,
    nested: Nested,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Nested {
    list: Vec<u8>,
}

#[derive(Deserialize)]
struct RouteSettings {
    add: String,
}

struct ProbeFilter<'f> {
    factory: &'f Probe,
    passes: u32,
}

impl Drop for ProbeFilter<'_> {
    fn drop(&mut self) {
        self.factory.alive.fetch_sub(1, Ordering::SeqCst);
        if self.factory.config.act == "panic in drop" {
            panic!("drop");
        }
    }
}

impl FilterFactory for Probe {
    type Config = ProbeConfig;
    type Filter<'f> = ProbeFilter<'f>;

    fn new(config: ProbeConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        match config.act.as_str() {
            "refuse" => return Err(ConfigError::new("act", "expected anything else")),
            "panic in new" => panic!("new"),
            "bad metric" => drop(env.gauge("no spaces", &[])?),
            _ => {}
        }
        let seen = env.counter("probe_seen", &[("of", "requests")])?;
        Ok(Probe { config, alive: Arc::default(), seen })
    }

    fn filter<'f>(&'f self, env: &FilterEnv<'_>) -> ProbeFilter<'f> {
        if self.config.act == "panic in filter" {
            panic!("filter");
        }
        assert_eq!(env.worker_state::<Mutex<u32>>().map(|m| *m.lock().unwrap()), Some(7));
        self.alive.fetch_add(1, Ordering::SeqCst);
        ProbeFilter { factory: self, passes: 0 }
    }

    fn hooks(&self) -> Hooks {
        let hooks = <ProbeFilter<'_> as Filter>::HOOKS;
        match self.config.body.as_str() {
            "observe" => hooks.request_body(BodyMode::Observe),
            "stream" => hooks.request_body(BodyMode::Stream).response_body(BodyMode::Stream),
            "whole" => hooks.request_body(BodyMode::Whole).response_body(BodyMode::Whole),
            _ => hooks,
        }
    }

    fn route_config(&self, config: ConfigValue) -> Result<RouteObject, ConfigError> {
        Ok(RouteObject::new(config.parse::<RouteSettings>()?))
    }

    fn worker_state(&self, _worker: u32) -> Option<WorkerObject> {
        Some(WorkerObject::new(Mutex::new(7_u32)))
    }
}

impl Filter for ProbeFilter<'_> {
    const HOOKS: Hooks = Hooks::new()
        .request_headers(Phase::BeforeRoute)
        .request_headers(Phase::AfterChooseHost)
        .request_trailers()
        .response_headers()
        .response_trailers()
        .complete();

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        self.factory.seen.inc();
        self.passes += 1;
        if let Some(settings) = cx.route_config::<RouteSettings>() {
            cx.headers_mut().set("x-route", &settings.add)?;
        }
        match (self.factory.config.act.as_str(), cx.phase()) {
            ("panic", _) => panic!("at {}", cx.variable_str(Variable::Path).unwrap_or("?")),
            ("error", _) => Err(Fault::new("gave up")),
            ("question mark", _) => {
                cx.headers_mut().set("content-length", "1")?;
                Ok(Status::Continue)
            }
            ("terminate", _) => Ok(Status::Terminate),
            ("stop", _) => Ok(Status::Stop),
            ("rechoose", Phase::AfterChooseHost) if self.passes < 4 => Ok(Status::RechooseHost),
            ("rechoose for ever", Phase::AfterChooseHost) => Ok(Status::RechooseHost),
            ("rechoose early", _) => Ok(Status::RechooseHost),
            ("resume early" | "resume again at once" | "resume again later", Phase::BeforeRoute) => {
                let handle = cx.resume_handle()?;
                assert_eq!(handle.resume(), Ok(()));
                assert_eq!(handle.clone().resume(), Err(HostError::Already));
                Ok(Status::Pending)
            }
            ("resume elsewhere", Phase::BeforeRoute) => {
                let handle = cx.resume_handle()?;
                std::thread::spawn(move || handle.resume());
                Ok(Status::Pending)
            }
            ("forget", _) => {
                drop(cx.resume_handle()?);
                Ok(Status::Pending)
            }
            ("leave", _) => {
                LEFT.lock().unwrap().push(cx.resume_handle()?);
                Ok(Status::Pending)
            }
            _ => Ok(Status::Continue),
        }
    }

    fn on_request_body(&mut self, cx: &mut RequestBody<'_>) -> HookResult {
        let text = cx.body().to_vec()?;
        assert_eq!(cx.body().len(), text.len() as u64);
        if self.factory.config.body == "observe" {
            assert_eq!(cx.body_mut().append("!"), Err(HostError::NotNow));
            return Ok(Status::Continue);
        }
        assert_eq!(cx.body_mut().drain(1)?, 1);
        let mark = if cx.is_end() { "$" } else { "|" };
        cx.body_mut().append(mark)?;
        Ok(Status::Continue)
    }

    fn on_request_trailers(&mut self, cx: &mut RequestTrailers<'_>) -> HookResult {
        assert_eq!(cx.headers_mut().set("authorization", "x"), Err(HostError::Reserved));
        assert_eq!(cx.response_trailers_mut().set("a", "b"), Err(HostError::NotNow));
        cx.headers_mut().add("x-seen", "1")?;
        Ok(Status::Continue)
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        assert_eq!(cx.request_trailers_mut().set("a", "b"), Err(HostError::NotNow));
        let status = cx.number(NumberVariable::Status).unwrap();
        cx.headers_mut().set("x-status", status.to_string())?;
        if status == 404 {
            cx.set_status(410)?;
        }
        if status == 503 {
            return cx.reply(Reply::text(502, "down\n"));
        }
        Ok(Status::Continue)
    }

    fn on_response_body(&mut self, cx: &mut ResponseBody<'_>) -> HookResult {
        cx.body_mut().replace("new")?;
        Ok(Status::Continue)
    }

    fn on_resume(&mut self, cx: &mut Resumed<'_>) -> HookResult {
        if self.factory.config.act.starts_with("resume again") {
            let handle = cx.resume_handle()?;
            match self.factory.config.act.as_str() {
                "resume again at once" => assert_eq!(handle.resume(), Ok(())),
                _ => {
                    std::thread::spawn(move || {
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        handle.resume()
                    });
                }
            }
            return Ok(Status::Pending);
        }
        cx.request_mut().set("x-resumed", "1")?;
        Ok(Status::Continue)
    }

    fn on_complete(&mut self, cx: &mut Complete<'_>) {
        crate::info!(cx, "done {:?} {:?}", cx.status(), cx.reset_by());
    }
}

static LEFT: Mutex<Vec<ResumeHandle>> = Mutex::new(Vec::new());

fn probe(act: &str) -> TestHost {
    TestHost::new::<Probe>(json!({ "act": act })).unwrap()
}

#[test]
fn hooks_run_in_order_and_the_filter_is_destroyed_once() {
    let host = probe("");
    let outcome = host.request("GET", "/", &[]).trailers(&[("a", "b")]).run();
    assert_eq!(
        outcome.hooks(),
        [
            "on_request_headers",
            "on_request_headers",
            "on_request_trailers",
            "on_response_headers",
            "on_complete",
            "destroy"
        ]
    );
    assert_eq!(outcome.upstream.unwrap().trailers, [("a".into(), "b".into()), ("x-seen".into(), "1".into())]);
    assert_eq!(host.metric("probe_seen", &[("of", "requests")]), Some(2.0));
    assert_eq!(host.logs(), [(Level::Info, "done Some(200) Nobody".to_owned())]);
}

#[test]
fn refused_configurations_say_where_and_what() {
    let refused = |config| TestHost::new::<Probe>(config).unwrap_err();
    let error = refused(json!({"nested": {"list": [1, "x"]}}));
    assert_eq!(error.path, "nested.list[1]");
    assert_eq!(error.message, "invalid type: string \"x\", expected u8");
    assert_eq!(refused(json!({"act": "refuse"})), ConfigError::new("act", "expected anything else"));
    assert!(refused(json!({"akt": ""})).message.contains("unknown field `akt`"));
    assert!(refused(json!({"act": "bad metric"})).message.contains("`no spaces`: name is not allowed"));
    let panicked = refused(json!({"act": "panic in new"}));
    assert!(panicked.message.starts_with("the factory panicked at ffi-api/sdk/src/testing/tests.rs:"), "{panicked}");
    assert!(panicked.message.ends_with(": new"), "{panicked}");
}

#[test]
fn panics_and_errors_are_faults_of_their_stream_alone() {
    for (act, says) in [("panic", ": at /x"), ("error", "gave up"), ("question mark", "belong to the host")] {
        let host = probe(act);
        for _ in 0..2 {
            let outcome = host.request("GET", "/x?y", &[]).run();
            let fault = outcome.fault.as_deref().unwrap();
            assert!(fault.ends_with(says), "{act}: {fault}");
            assert_eq!(outcome.hooks(), ["on_request_headers", "destroy"], "{act}");
            assert_eq!(outcome.response.unwrap().source, Source::Fault);
        }
    }
    let outcome = probe("panic in filter").request("GET", "/", &[]).run();
    assert!(outcome.fault.unwrap().contains("making a filter panicked"));
    assert_eq!(outcome.calls, []);
}

#[test]
fn a_panic_in_drop_is_logged_and_stays_inside() {
    let host = probe("panic in drop");
    let outcome = host.request("GET", "/", &[]).run();
    assert_eq!(outcome.fault, None);
    let (level, line) = host.logs().pop().unwrap();
    assert_eq!(level, Level::Error);
    assert!(line.starts_with("dropping a filter panicked at"), "{line}");
}

#[test]
fn statuses_do_what_they_say() {
    let closed = probe("terminate").request("GET", "/", &[]).run();
    assert_eq!((closed.response, closed.upstream), (None, None));
    assert_eq!(closed.calls.iter().filter(|call| call.hook == "on_complete").count(), 1);

    assert!(probe("stop").request("GET", "/", &[]).run().upstream.is_some(), "no reply was set: the stream goes on");

    let again = probe("rechoose").request("GET", "/", &[]).run();
    assert_eq!(again.hooks().iter().filter(|hook| **hook == "on_request_headers").count(), 4);
    assert!(again.upstream.is_some());

    for act in ["rechoose for ever", "rechoose early"] {
        assert!(probe(act).request("GET", "/", &[]).run().fault.is_some(), "{act}");
    }
}

#[test]
fn pending_waits_for_a_resume() {
    for act in ["resume early", "resume elsewhere"] {
        let outcome = probe(act).request("GET", "/", &[]).run();
        assert_eq!(outcome.fault, None, "{act}");
        assert_eq!(outcome.upstream.unwrap().header("x-resumed"), Some("1"), "{act}");
    }
    let forgotten = probe("forget").request("GET", "/", &[]).run();
    assert_eq!(forgotten.fault.as_deref(), Some("pending, but no resume handle is left"));
}

#[test]
fn a_wait_has_an_end_however_often_it_is_resumed() {
    let host = probe("resume again at once");
    let outcome = host.request("GET", "/", &[]).run();
    assert_eq!(outcome.fault.as_deref(), Some("still pending after 10000 resumes"));
    assert_eq!(outcome.hooks().iter().filter(|hook| **hook == "on_resume").count(), 10_000);
    let host = probe("resume again later");
    let outcome = host.request("GET", "/", &[]).pending_timeout(std::time::Duration::from_millis(200)).run();
    assert_eq!(outcome.fault.as_deref(), Some("pending for longer than 200ms"));
}

#[test]
fn a_handle_that_outlives_its_stream_answers_gone() {
    let host = probe("leave");
    let left = host.request("GET", "/", &[]).leave_when_pending().run();
    assert_eq!(left.hooks(), ["on_request_headers", "on_complete", "destroy"]);
    assert_eq!(host.logs(), [(Level::Info, "done None Downstream".to_owned())]);
    drop(host);
    let handle = LEFT.lock().unwrap().pop().unwrap();
    assert_eq!(handle.resume(), Err(HostError::Gone));
}

#[test]
fn bodies_are_shown_as_asked() {
    let run = |mode: &str| {
        let host = TestHost::new::<Probe>(json!({ "body": mode })).unwrap();
        host.request("POST", "/", &[]).body("abc").body("def").respond_body("old").run()
    };
    assert_eq!(run("observe").upstream.unwrap().body, b"abcdef");
    assert_eq!(run("stream").upstream.unwrap().body, b"bc|ef$");
    let whole = run("whole");
    assert_eq!(whole.hooks()[..2], ["on_request_headers", "on_request_body"]);
    assert_eq!(whole.upstream.unwrap().body, b"bcdef$");
    assert_eq!(whole.response.unwrap().body, b"new");
}

impl Outcome {
    fn reply_of(self) -> (u16, String, Source) {
        let response = self.response.unwrap();
        (response.status, String::from_utf8(response.body).unwrap(), response.source)
    }
}

#[test]
fn responses_can_be_changed_and_replaced() {
    let host = probe("");
    let changed = host.request("GET", "/", &[]).respond(404, &[]).run().response.unwrap();
    assert_eq!((changed.status, changed.header("x-status")), (410, Some("404")));
    let replaced = host.request("GET", "/", &[]).respond(503, &[]).run();
    assert_eq!(replaced.reply_of(), (502, "down\n".to_owned(), Source::Filter));
}

#[test]
fn route_settings_reach_the_filter() {
    let host = probe("");
    let outcome = host.request("GET", "/", &[]).route_config(json!({"add": "v"})).run();
    assert_eq!(outcome.upstream.unwrap().header("x-route"), Some("v"));
    assert_eq!(host.check_route_config(json!({"add": 1})).unwrap_err().path, "add");
}
