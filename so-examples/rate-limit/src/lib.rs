//! Answers 429 to requests above a rate. Each worker has its own token
//! buckets, so that no request takes a lock; a worker gets its share of the
//! rate, which is fair because the proxy spreads connections over them.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::Deserialize;
use sidegate_sdk::config;
use sidegate_sdk::prelude::*;

/// `{"requests": 100, "per": "1s", "burst": 20}`, for the filter and for a
/// route.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    requests: u32,
    #[serde(with = "config::duration")]
    per: Duration,
    /// Requests that may come at once; default: `requests`.
    burst: Option<u32>,
}

/// One worker's part of a limit.
struct Share {
    /// Which bucket it fills: one for the filter, one for each route with a
    /// limit of its own.
    bucket: u32,
    per_second: f64,
    burst: f64,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Duration,
}

impl Bucket {
    /// Takes a token at `now`, or says how long it takes until there is one.
    fn take(&mut self, share: &Share, now: Duration) -> Result<(), Duration> {
        let gained = now.saturating_sub(self.filled).as_secs_f64() * share.per_second;
        self.tokens = (self.tokens + gained).min(share.burst);
        self.filled = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / share.per_second))
    }
}

/// A worker's buckets: nobody else looks at them.
type Buckets = RefCell<HashMap<u32, Bucket>>;

struct RateLimit {
    workers: u32,
    share: Share,
    buckets: AtomicU32,
    passed: Counter,
    limited: Counter,
}

impl Share {
    fn new(limit: &Limit, workers: u32, bucket: u32) -> Result<Share, ConfigError> {
        let burst = limit.burst.unwrap_or(limit.requests);
        for (key, value) in [("requests", limit.requests), ("burst", burst)] {
            if value == 0 {
                return Err(ConfigError::new(key, "expected a number above 0, found 0"));
            }
        }
        if limit.per.is_zero() {
            return Err(ConfigError::new("per", "expected a duration above zero"));
        }
        let workers = f64::from(workers);
        Ok(Share {
            bucket,
            per_second: f64::from(limit.requests) / limit.per.as_secs_f64() / workers,
            // A worker lets one request through however small its share is.
            burst: (f64::from(burst) / workers).max(1.0),
        })
    }
}

impl FilterFactory for RateLimit {
    type Config = Limit;
    type Filter<'f> = RateFilter<'f>;

    fn new(limit: Limit, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        Ok(RateLimit {
            workers: env.workers(),
            share: Share::new(&limit, env.workers(), 0)?,
            buckets: AtomicU32::new(1),
            passed: env.counter("rate_limit_requests_total", &[("result", "passed")])?,
            limited: env.counter("rate_limit_requests_total", &[("result", "limited")])?,
        })
    }

    fn filter<'f>(&'f self, _: &FilterEnv<'_>) -> RateFilter<'f> {
        RateFilter(self)
    }

    fn route_config(&self, config: ConfigValue) -> Result<RouteObject, ConfigError> {
        let bucket = self.buckets.fetch_add(1, Ordering::Relaxed);
        Ok(RouteObject::new(Share::new(&config.parse::<Limit>()?, self.workers, bucket)?))
    }

    fn worker_state(&self, _: u32) -> Option<WorkerObject> {
        Some(WorkerObject::new(Buckets::default()))
    }
}

struct RateFilter<'f>(&'f RateLimit);

impl Filter for RateFilter<'_> {
    // After the route, whose limit it may be.
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::AfterRoute);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let share = cx.route_config::<Share>().unwrap_or(&self.0.share);
        let now = cx.logger().monotonic();
        let buckets = cx.worker_state::<Buckets>().or_fault("no worker state")?;
        let full = Bucket { tokens: share.burst, filled: now };
        let taken = buckets.borrow_mut().entry(share.bucket).or_insert(full).take(share, now);
        let Err(wait) = taken else {
            self.0.passed.inc();
            return Ok(Status::Continue);
        };
        self.0.limited.inc();
        let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
        cx.reply(Reply::text(429, "too many requests\n").header("retry-after", seconds.to_string()))
    }
}

sidegate_sdk::export!(RateLimit);

#[cfg(test)]
mod tests;
