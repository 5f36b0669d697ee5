//! Waits in the hook that the request header `x-wait-in` names, and goes on as
//! `x-wait` says:
//!
//! | `x-wait` | who resumes, and when |
//! |---|---|
//! | `early` | the hook itself, before it returns |
//! | `later` | the module's thread |
//! | `double` | the module's thread, twice |
//! | `crowd` | eight threads at the same time |
//! | `again` | the module's thread, and `on_resume` waits once more |
//! | `hold` | whoever sends a request with `x-release` |
//! | `end` | the module's thread, when the factory is dropped |
//!
//! The answers are counted in `wait_answers_total`, the resumed hooks in
//! `wait_resumed_total`, the handles that `hold` keeps in `wait_held`.

use std::sync::{Mutex, PoisonError};

use sidegate_sdk::prelude::*;

sidegate_sdk::labels! {
    /// What a resume was answered.
    pub enum Answer: "answer" { Done = "ok", Already = "already", Gone = "gone", Other = "other" }
}

#[derive(Clone, Copy)]
struct Told {
    done: Counter,
    already: Counter,
    gone: Counter,
    other: Counter,
}

impl Told {
    fn resume(self, handle: &ResumeHandle) {
        match handle.resume() {
            Ok(()) => self.done.inc(),
            Err(HostError::Already) => self.already.inc(),
            Err(HostError::Gone) => self.gone.inc(),
            Err(_) => self.other.inc(),
        }
    }
}

enum Job {
    Resume(ResumeHandle, u32),
    Crowd(ResumeHandle),
    AtTheEnd(ResumeHandle),
}

pub struct Wait {
    told: Told,
    resumed: Counter,
    held: Mutex<Vec<ResumeHandle>>,
    holds: Gauge,
    thread: Background<Job>,
}

pub struct WaitFilter<'f> {
    factory: &'f Wait,
    hook: String,
    how: String,
}

impl FilterFactory for Wait {
    type Config = NoConfig;
    type Filter<'f> = WaitFilter<'f>;

    fn new(_: NoConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        let answers: Family<Counter, Answer> = env.family("wait_answers_total", &[])?;
        let told = Told {
            done: answers[Answer::Done],
            already: answers[Answer::Already],
            gone: answers[Answer::Gone],
            other: answers[Answer::Other],
        };
        let logger = env.logger();
        let thread = Background::start_with("wait", 10_000, move |jobs| {
            let mut late = Vec::new();
            for job in jobs {
                match job {
                    Job::Resume(handle, times) => (0..times).for_each(|_| told.resume(&handle)),
                    Job::Crowd(handle) => std::thread::scope(|scope| {
                        for _ in 0..8 {
                            scope.spawn(|| told.resume(&handle.clone()));
                        }
                    }),
                    Job::AtTheEnd(handle) => late.push(handle),
                }
            }
            for handle in late {
                sidegate_sdk::info!(logger, "late resume: {:?}", handle.resume());
            }
        })?;
        let resumed = env.counter("wait_resumed_total", &[])?;
        Ok(Wait { told, resumed, held: Mutex::default(), holds: env.gauge("wait_held", &[])?, thread })
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> WaitFilter<'f> {
        WaitFilter { factory: self, hook: String::new(), how: String::new() }
    }
}

impl WaitFilter<'_> {
    fn at(&mut self, hook: &str, stream: &mut Stream<'_>) -> HookResult {
        if self.hook != hook {
            return Ok(Status::Continue);
        }
        let handle = stream.resume_handle()?;
        let submit = |job| self.factory.thread.submit(job).map_err(|_| Fault::new("the queue is full"));
        match self.how.as_str() {
            "early" => self.factory.told.resume(&handle),
            "double" => submit(Job::Resume(handle, 2))?,
            "crowd" => submit(Job::Crowd(handle))?,
            "hold" => {
                self.held().push(handle);
                self.factory.holds.add(1);
            }
            "end" => submit(Job::AtTheEnd(handle))?,
            _ => submit(Job::Resume(handle, 1))?,
        }
        Ok(Status::Pending)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Vec<ResumeHandle>> {
        self.factory.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filter for WaitFilter<'_> {
    const HOOKS: Hooks = Hooks::new()
        .request_headers(Phase::BeforeRoute)
        .request_body(BodyMode::Stream)
        .request_trailers()
        .response_headers()
        .response_body(BodyMode::Stream)
        .response_trailers();

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let named = |name: &str| cx.headers().get_str(name).unwrap_or_default().to_owned();
        (self.hook, self.how) = (named("x-wait-in"), named("x-wait"));
        if cx.headers().contains("x-release") {
            let held = std::mem::take(&mut *self.held());
            self.factory.holds.add(-(held.len() as i64));
            held.iter().for_each(|handle| self.factory.told.resume(handle));
        }
        self.at("request_headers", cx)
    }

    fn on_request_body(&mut self, cx: &mut RequestBody<'_>) -> HookResult {
        self.at("request_body", cx)
    }

    fn on_request_trailers(&mut self, cx: &mut RequestTrailers<'_>) -> HookResult {
        self.at("request_trailers", cx)
    }

    fn on_response_headers(&mut self, cx: &mut ResponseHeaders<'_>) -> HookResult {
        self.at("response_headers", cx)
    }

    fn on_response_body(&mut self, cx: &mut ResponseBody<'_>) -> HookResult {
        self.at("response_body", cx)
    }

    fn on_response_trailers(&mut self, cx: &mut ResponseTrailers<'_>) -> HookResult {
        self.at("response_trailers", cx)
    }

    fn on_resume(&mut self, cx: &mut Resumed<'_>) -> HookResult {
        self.factory.resumed.inc();
        if self.how == "again" {
            self.how = "later".to_owned();
            let hook = self.hook.clone();
            return self.at(&hook, cx);
        }
        if self.how == "hold" {
            // What follows in this hook's message does not wait again.
            self.hook.clear();
        }
        Ok(Status::Continue)
    }
}
