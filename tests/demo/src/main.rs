//! What `make demo` runs: a small origin, Sidegate with the auth module loaded
//! from its `.so`, requests with what came back, and another version of the
//! module that takes its place while requests go through.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

mod arguments;
mod configuration;
mod mutual_tls;
mod requests;
mod switch;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use sidegate_harness::{Origin, Pair, Proxy, ProxyOptions, Signal, Spoken, TempDir};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::arguments::{Arguments, Chain, Mode};
use crate::configuration::Sidegate;
use crate::mutual_tls::Second;

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)).and_then(|arguments| demo(&arguments)) {
        Ok(Verdict::AsExpected) => ExitCode::SUCCESS,
        Ok(Verdict::Otherwise) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("demo: {why}");
            ExitCode::from(2)
        }
    }
}

enum Verdict {
    AsExpected,
    Otherwise,
}

fn demo(arguments: &Arguments) -> Result<Verdict, String> {
    let port = arguments.port;
    if let Err(e) = TcpListener::bind(("127.0.0.1", port)) {
        return Err(format!(
            "127.0.0.1:{port} cannot be used ({e}); choose another port: make demo DEMO_PORT={}",
            port.checked_add(1).unwrap_or(2046)
        ));
    }
    let (built, next) = (existing(&arguments.module)?, existing(&arguments.next)?);
    // From before the proxy starts, so that an early Ctrl-C does not leave it behind.
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|e| format!("cannot wait for Ctrl-C: {e}"))?;

    let spoken = arguments.spoken;
    let origin = Pair { down: spoken, up: spoken }.run(Origin::echo);
    let dir = TempDir::new();
    // A copy, which the demo may replace.
    let module = dir.join("auth.so");
    std::fs::copy(&built, &module).map_err(|e| format!("cannot copy {}: {e}", built.display()))?;
    let second = match arguments.chain {
        Chain::One => None,
        Chain::TwoWithTls => Some(Second::start(&arguments.binary, spoken, &origin.address().to_string())?),
    };
    let settings = Sidegate {
        address: format!("127.0.0.1:{port}"),
        clients: spoken,
        host: spoken,
        origin: second.as_ref().map_or_else(|| origin.address().to_string(), Second::address),
        filters: json!([{
            "type": "loadso",
            "so_config": {"so_path": module.to_string_lossy()},
            "config": {"User": "admin"}
        }]),
        adds: json!([]),
        tls_with_clients: None,
        tls_with_host: second.as_ref().map(Second::tls),
    };
    let file = dir.write("config.json", format!("{:#}\n", settings.configuration()));
    let options = ProxyOptions { binary: Some(arguments.binary.clone()), ..ProxyOptions::default() };
    let mut proxy = Proxy::try_run(dir, &file, &options)?;

    let (speaks, also) = match spoken {
        Spoken::Http1 => ("HTTP/1.1", ""),
        Spoken::Http2 => ("HTTP/2", ", which speaks HTTP/1.1 and HTTP/2"),
    };
    println!("An origin that speaks {speaks} listens on {}.", origin.address());
    let name = if second.is_some() { "Sidegate A" } else { "Sidegate" };
    println!("{name} listens on 127.0.0.1:{port}{also}; its filter comes from");
    println!("  {}, a copy of\n  {}", module.display(), built.display());
    println!("with the configuration {}.\n", json!({"User": "admin"}));
    let ask = || requests::run(&proxy, spoken, second.as_ref().map(|_| Second::identity()).as_deref());
    let alone = || second.as_ref().map_or(Ok(true), |second| second.turns_others_away(&arguments.binary));
    // The same requests have the same answers after the switch.
    let right = ask() && alone()? && switch::run(&proxy, spoken, &module, &next)? && ask();
    let verdict = if right { Verdict::AsExpected } else { Verdict::Otherwise };

    if let Mode::Stay = arguments.mode {
        println!("Try it yourself:");
        requests::print_curl_lines(port, spoken);
        println!("  curl http://{}/api/v1/modules", proxy.admin());
        println!("The configuration is {}.\nCtrl-C ends the demo.", file.display());
        signals.forever().next();
    }
    if proxy.try_exit().is_none() {
        proxy.signal(Signal::TERM);
    }
    proxy.wait_exit();
    Ok(verdict)
}

fn existing(module: &Path) -> Result<PathBuf, String> {
    module.canonicalize().map_err(|e| format!("no module {}: {e}; run `make build`", module.display()))
}
