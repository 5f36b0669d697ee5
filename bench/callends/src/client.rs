//! Calls without anything around them.

use std::collections::HashMap;
use std::io::{self, BufRead, Write, stdin, stdout};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sidegate_proto::mosn::Request;
use sidegate_proto::mosn::plugin_client::PluginClient;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

use crate::connector::Connector;

/// By which a plugin refuses.
const DENIED: i32 = -1;

/// One run, as a line of JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    /// Where the plugin listens.
    socket: PathBuf,
    /// Calls under way; each is followed by the next.
    at_once: usize,
    seconds: f64,
}

/// What a run came to, as a line of JSON.
#[derive(Debug, Serialize)]
struct Report {
    requests: usize,
    rps: f64,
    /// Answers other than one that lets pass.
    errors: u64,
    p50_us: f64,
    p99_us: f64,
}

#[derive(Default)]
struct Calls {
    nanos: Vec<u64>,
    errors: u64,
}

/// Runs what standard input says.
pub(crate) fn run() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut known: HashMap<PathBuf, Channel> = HashMap::new();
    for line in stdin().lock().lines() {
        let answer = serde_json::from_str(&line?)
            .map_err(io::Error::other)
            .and_then(|plan| runtime.block_on(measure(&plan, &mut known)))
            .map(|report| serde_json::json!(report));
        let answer = answer.unwrap_or_else(|error| serde_json::json!({ "failure": error.to_string() }));
        println!("{answer}");
        stdout().flush()?;
    }
    Ok(())
}

async fn measure(plan: &Plan, known: &mut HashMap<PathBuf, Channel>) -> io::Result<Report> {
    let channel = match known.get(&plan.socket) {
        Some(channel) => channel.clone(),
        None => {
            let connector = Connector(plan.socket.clone());
            let channel = Endpoint::from_static("http://localhost").connect_with_connector(connector).await;
            let channel = channel.map_err(io::Error::other)?;
            known.insert(plan.socket.clone(), channel.clone());
            channel
        }
    };
    let began = Instant::now();
    let end = began + Duration::from_secs_f64(plan.seconds);
    let mut callers = JoinSet::new();
    for _ in 0..plan.at_once {
        callers.spawn(call_until(end, channel.clone()));
    }
    let mut all = Calls::default();
    while let Some(calls) = callers.join_next().await {
        let calls = calls.map_err(io::Error::other)??;
        all.nanos.extend(calls.nanos);
        all.errors += calls.errors;
    }
    let took = began.elapsed();
    all.nanos.sort_unstable();
    let quantile = |part: f64| {
        let place = (all.nanos.len() as f64 * part) as usize;
        all.nanos.get(place.min(all.nanos.len().saturating_sub(1))).map_or(0.0, |nanos| *nanos as f64 / 1000.0)
    };
    Ok(Report {
        requests: all.nanos.len(),
        rps: all.nanos.len() as f64 / took.as_secs_f64(),
        errors: all.errors,
        p50_us: quantile(0.5),
        p99_us: quantile(0.99),
    })
}

async fn call_until(end: Instant, channel: Channel) -> io::Result<Calls> {
    // As the proxy's calls about requests of `sidegate-ends`.
    let fields = [
        (":method", "GET"),
        (":path", "/"),
        (":scheme", "http"),
        (":authority", "127.0.0.1:2046"),
        ("Host", "127.0.0.1:2046"),
        ("User", "admin"),
    ];
    let header = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let request = Request { header, r#type: "request".to_owned(), ..Request::default() };
    let mut client = PluginClient::new(channel);
    let mut calls = Calls::default();
    loop {
        let began = Instant::now();
        if began >= end {
            return Ok(calls);
        }
        let mut request = tonic::Request::new(request.clone());
        request.set_timeout(Duration::from_secs(1));
        let answer = client.call(request).await.map_err(io::Error::other)?;
        calls.nanos.push(began.elapsed().as_nanos() as u64);
        if answer.get_ref().status == DENIED {
            calls.errors += 1;
        }
    }
}
