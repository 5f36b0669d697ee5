//! Clients and origin of a proxy under measurement, in one thread.
//!
//! With both ends in one event loop nobody waits for the scheduler, so that
//! what is measured is the proxy, and a request costs this side less than it
//! costs any proxy. In the open loop it never sleeps: a request leaves when it
//! is due and its latency counts from then.
//!
//! ```text
//! stdout  {"origin_port":40123}                            once, at the start
//! stdin   {"port":2046,"path":"/","connections":64,…}      a run; see [`plan::Plan`]
//! stdout  {"requests":52000,"errors":0,"p50_us":…}         its result; see [`report::Report`]
//! ```
//!
//! Between runs it goes on as an origin. It ends with its standard input.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "its results are its output")]

mod chunks;
mod client;
mod clock;
mod ends;
mod origin;
mod plan;
mod poller;
mod report;
mod response;
mod stalled;
mod tls;

use std::io::{BufRead, Write, stdin, stdout};
use std::sync::mpsc;

use ends::Ends;

fn main() -> std::io::Result<()> {
    let mut ends = Ends::new()?;
    println!("{{\"origin_port\":{}}}", ends.origin_port()?);
    stdout().flush()?;
    let (lines, orders) = mpsc::channel();
    let wake = ends.waker()?;
    // Reads ahead of the event loop; it sleeps while a run goes on.
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
            wake.wake();
        }
        drop(lines);
        wake.wake();
    });
    loop {
        match orders.try_recv() {
            Ok(line) => {
                let answer = match serde_json::from_str(&line) {
                    Ok(plan) => ends.run(&plan).map(|report| serde_json::json!(report)),
                    Err(error) => Err(std::io::Error::other(format!("cannot read the plan: {error}"))),
                };
                let answer = answer.unwrap_or_else(|error| serde_json::json!({ "failure": error.to_string() }));
                println!("{answer}");
                stdout().flush()?;
            }
            Err(mpsc::TryRecvError::Empty) => ends.serve()?,
            Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
        }
    }
}
