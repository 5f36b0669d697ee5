//! Answers 429 to requests above a rate. Each worker has its own token
//! buckets, so that no request takes a lock; a worker gets its share of the
//! rate, which is fair because the proxy spreads connections over them. What
//! is in the buckets survives a reload of the module.

#![forbid(unsafe_code)]

mod all_buckets;
mod bucket;
mod handover;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use sidegate_sdk::config;
use sidegate_sdk::prelude::*;

use all_buckets::AllBuckets;
use bucket::{nanos, Buckets, Pace};

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
    /// Of routes only: those with the same name share one limit, which survives
    /// a reload.
    #[serde(default)]
    name: String,
}

/// A route's part of the work: what a worker gets, and the buckets of all.
struct Share {
    pace: Pace,
    buckets: Arc<Buckets>,
}

struct RateLimit {
    pace: Pace,
    buckets: AllBuckets,
    passed: Counter,
    limited: Counter,
}

impl Limit {
    /// What a worker gets of it.
    fn pace(&self, workers: u32) -> Result<Pace, ConfigError> {
        let burst = self.burst.unwrap_or(self.requests);
        for (key, value) in [("requests", self.requests), ("burst", burst)] {
            if value == 0 {
                return Err(ConfigError::new(key, "expected a number above 0, found 0"));
            }
        }
        if self.per.is_zero() {
            return Err(ConfigError::new("per", "expected a duration above zero"));
        }
        let workers = f64::from(workers);
        let token = (nanos(self.per) as f64 * workers / f64::from(self.requests)).max(1.0);
        // A worker lets one request through however small its share is.
        let burst = (f64::from(burst) / workers).max(1.0);
        Ok(Pace { token: token.round() as u64, whole: (token.round() * burst).ceil() as u64 })
    }
}

impl FilterFactory for RateLimit {
    type Config = Limit;
    type Filter<'f> = RateFilter<'f>;

    fn new(limit: Limit, env: &mut FactoryEnv) -> Result<Self, ConfigError> {
        if !limit.name.is_empty() {
            return Err(ConfigError::new("name", "expected no name: the filter's own limit needs none"));
        }
        Ok(RateLimit {
            pace: limit.pace(env.workers())?,
            buckets: AllBuckets::new(env.workers()),
            passed: env.counter("rate_limit_requests_total", &[("result", "passed")])?,
            limited: env.counter("rate_limit_requests_total", &[("result", "limited")])?,
        })
    }

    fn filter<'f>(&'f self, env: &FilterEnv<'_>) -> RateFilter<'f> {
        RateFilter { limit: self, worker: env.worker() }
    }

    fn route_config(&self, config: ConfigValue) -> Result<RouteObject, ConfigError> {
        let limit: Limit = config.parse()?;
        let pace = limit.pace(self.buckets.workers())?;
        Ok(RouteObject::new(Share { pace, buckets: self.buckets.named(&limit.name)? }))
    }

    fn export_state(&self) -> Option<Vec<u8>> {
        Some(self.buckets.export())
    }

    fn import_state(&self, state: &[u8]) -> Result<(), Fault> {
        self.buckets.import(state)
    }
}

struct RateFilter<'f> {
    limit: &'f RateLimit,
    worker: u32,
}

impl Filter for RateFilter<'_> {
    // After the route, whose limit it may be.
    const HOOKS: Hooks = Hooks::new().request_headers(Phase::AfterRoute);

    fn on_request_headers(&mut self, cx: &mut RequestHeaders<'_>) -> HookResult {
        let RateLimit { pace, buckets, passed, limited } = self.limit;
        let (pace, buckets) = match cx.route_config::<Share>() {
            Some(share) => (share.pace, &share.buckets),
            None => (*pace, buckets.own()),
        };
        let taken = buckets.take(self.worker, pace, cx.logger().monotonic());
        let Err(wait) = taken else {
            passed.inc();
            return Ok(Status::Continue);
        };
        limited.inc();
        let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
        cx.reply(Reply::text(429, "too many requests\n").header("retry-after", seconds.to_string()))
    }
}

sidegate_sdk::manifest!(include_str!("../manifest.json"));
sidegate_sdk::export!(RateLimit);

#[cfg(test)]
mod tests;
