//! Asks a server of yours about the credential of each request. The request
//! waits without holding up its worker: a thread of the module's own does the
//! asking and resumes it.

#![forbid(unsafe_code)]

mod cache;
mod check;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use cache::Cache;
use check::{Question, Server, Verdict};
use serde::Deserialize;
use sidegate_sdk::config::{self, HeaderName};
use sidegate_sdk::prelude::*;

/// `{"address": "127.0.0.1:9000", "path": "/check", "header": "authorization"}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckConfig {
    address: SocketAddr,
    path: String,
    /// The header of requests that has the credential.
    header: HeaderName,
    /// For all of a check, the time it waits for a thread included.
    #[serde(with = "config::duration", default = "one_second")]
    timeout: Duration,
    /// Checks at the same time.
    #[serde(default = "four")]
    threads: usize,
    /// Checks that may wait for one thread.
    #[serde(default = "hundred")]
    queue: usize,
    #[serde(default)]
    on_failure: OnFailure,
    cache: Option<CacheConfig>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(deny_unknown_fields)]
struct CacheConfig {
    #[serde(with = "config::duration", rename = "for")]
    time: Duration,
    /// At most so many verdicts, for each worker.
    entries: usize,
}

/// What becomes of a request if there is no verdict.
#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
enum OnFailure {
    /// 503.
    #[default]
    Refuse,
    Allow,
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}

fn four() -> usize {
    4
}

fn hundred() -> usize {
    100
}

sidegate_sdk::labels! {
    /// Where a verdict came from, or why there is none.
    enum Answer: "answer" { Cached = "cached", Allowed = "allowed", Refused = "refused", Failed = "failed" }
}

struct AsyncCheck {
    header: HeaderName,
    timeout: Duration,
    on_failure: OnFailure,
    cache: Option<CacheConfig>,
    /// Joined when the factory is dropped, which outlives its filters.
    threads: Vec<Background<Question>>,
    next: AtomicUsize,
    answers: Family<Counter, Answer>,
}

impl FilterFactory for AsyncCheck {
    type Config = CheckConfig;
    type Filter<'f> = CheckFilter<'f>;

    fn new(config: CheckConfig, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        if !config.path.starts_with('/') || config.path.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(ConfigError::new("path", format_args!("expected a path, found `{}`", config.path)));
        }
        if !(1..=64).contains(&config.threads) {
            return Err(ConfigError::new("threads", format_args!("expected 1 to 64, found {}", config.threads)));
        }
        let threads = (0..config.threads).map(|_| {
            let server = Server { address: config.address, path: config.path.clone(), header: config.header.clone() };
            let logger = env.logger();
            Background::start("async-check", config.queue, move |question| server.answer(question, logger))
        });
        Ok(AsyncCheck {
            threads: threads.collect::<Result<_, _>>()?,
            header: config.header,
            timeout: config.timeout,
            on_failure: config.on_failure,
            cache: config.cache,
            next: AtomicUsize::new(0),
            answers: env.family("async_check_answers_total", &[])?,
        })
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> CheckFilter<'f> {
        CheckFilter { check: self, waits: None }
    }

    fn worker_state(&self, _: u32) -> Option<WorkerObject> {
        self.cache.map(|cache| WorkerObject::new(Cache::new(cache.time, cache.entries)))
    }
}

impl AsyncCheck {
    /// Hands the question to the next thread that has room.
    fn ask(&self, mut question: Question) -> Result<(), Question> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for place in 0..self.threads.len() {
            match self.threads[first.wrapping_add(place) % self.threads.len()].submit(question) {
                Ok(()) => return Ok(()),
                Err(back) => question = back,
            }
        }
        Err(question)
    }

    fn decide(&self, verdict: Verdict, cx: &mut Stream<'_>) -> HookResult {
        match (verdict, self.on_failure) {
            (Verdict::Allowed, _) | (Verdict::Failed, OnFailure::Allow) => Ok(Status::Continue),
            (Verdict::Refused, _) => cx.reply(Reply::text(403, "refused\n")),
            (Verdict::Failed, OnFailure::Refuse) => cx.reply(Reply::text(503, "the check failed\n")),
        }
    }
}

struct CheckFilter<'f> {
    check: &'f AsyncCheck,
    /// What it waits for: the credential, and where the thread puts its
    /// verdict. A thread that finds this gone does not ask any more.
    waits: Option<(Vec<u8>, Arc<OnceLock<Verdict>>)>,
}

impl Filter for CheckFilter<'_> {
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::BeforeRoute);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let check = self.check;
        let Some(credential) = cx.headers().get(&check.header) else {
            return check.decide(Verdict::Refused, cx);
        };
        let cached = cx.worker_state::<Cache>().and_then(|cache| cache.get(credential, cx.logger().monotonic()));
        if let Some(verdict) = cached {
            check.answers[Answer::Cached].inc();
            return check.decide(verdict, cx);
        }
        let (credential, verdict) = (credential.to_vec(), Arc::new(OnceLock::new()));
        let question = Question {
            credential: credential.clone(),
            deadline: Instant::now() + check.timeout,
            verdict: Arc::downgrade(&verdict),
            waiting: cx.resume_handle()?,
        };
        if check.ask(question).is_err() {
            check.answers[Answer::Failed].inc();
            return check.decide(Verdict::Failed, cx);
        }
        self.waits = Some((credential, verdict));
        Ok(Status::Pending)
    }

    fn on_resume(&mut self, cx: &mut Resumed<'_>) -> HookResult {
        let (credential, verdict) = self.waits.take().or_fault("resumed without a question")?;
        let verdict = verdict.get().copied().unwrap_or(Verdict::Failed);
        self.check.answers[match verdict {
            Verdict::Allowed => Answer::Allowed,
            Verdict::Refused => Answer::Refused,
            Verdict::Failed => Answer::Failed,
        }]
        .inc();
        // The next request may find the server well again.
        if verdict != Verdict::Failed {
            if let Some(cache) = cx.worker_state::<Cache>() {
                cache.put(credential, verdict, cx.logger().monotonic());
            }
        }
        self.check.decide(verdict, cx)
    }
}

sidegate_sdk::manifest!(include_str!("../manifest.json"));
sidegate_sdk::export!(AsyncCheck);
