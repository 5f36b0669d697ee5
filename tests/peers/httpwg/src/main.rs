//! `sidegate-httpwg ADDRESS [MILLISECONDS]`: the cases of `httpwg` one after
//! another, each on a connection of its own. A line each: `ok` or `FAILED`, a
//! tab, the case's name, and for a failure a tab and why. Exits with 1 if any
//! failed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use buffet::IntoHalves;
use buffet::net::TcpStream;
use httpwg::{Config, Conn};

type Catalog<IO> = HashMap<&'static str, HashMap<&'static str, HashMap<&'static str, BoxedTest<IO>>>>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address: Option<SocketAddr> = arguments.next().and_then(|text| text.parse().ok());
    let patience = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(500);
    let Some(address) = address else {
        eprintln!("usage: sidegate-httpwg IP:PORT [MILLISECONDS TO WAIT FOR A FRAME]");
        return ExitCode::from(2);
    };
    // A case that fails may panic; its text comes with its line.
    std::panic::set_hook(Box::new(|_| {}));
    match buffet::start(run(address, Duration::from_millis(patience))) {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

async fn run(address: SocketAddr, patience: Duration) -> usize {
    let config = Rc::new(Config { timeout: patience, ..Config::default() });
    let mut failed = 0;
    for (name, case) in sorted(catalog::<TcpStream>()) {
        let outcome = match TcpStream::connect(address).await {
            Ok(stream) => judge(case(Conn::new(config.clone(), stream)), patience * 20).await,
            Err(error) => Err(error.to_string()),
        };
        match outcome {
            Ok(()) => println!("ok\t{name}"),
            Err(error) => {
                failed += 1;
                println!("FAILED\t{name}\t{}", error.replace(['\n', '\t'], " "));
            }
        }
    }
    failed
}

/// The outcome of a case, whether it returns one, panics or does not end.
async fn judge(case: impl Future<Output = eyre::Result<()>> + 'static, limit: Duration) -> Result<(), String> {
    match tokio::time::timeout(limit, tokio::task::spawn_local(case)).await {
        Ok(Ok(outcome)) => outcome.map_err(|error| error.to_string()),
        Ok(Err(ended)) if ended.is_panic() => {
            let panic = ended.into_panic();
            let text = panic.downcast_ref::<String>().cloned();
            Err(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
        }
        Ok(Err(ended)) => Err(ended.to_string()),
        Err(_) => Err("did not end".to_owned()),
    }
}

fn sorted<IO: IntoHalves + 'static>(catalog: Catalog<IO>) -> Vec<(String, BoxedTest<IO>)> {
    let mut cases = Vec::new();
    for (rfc, sections) in catalog {
        for (section, tests) in sections {
            cases.extend(tests.into_iter().map(|(test, run)| (format!("{rfc}: {section}: {test}"), run)));
        }
    }
    cases.sort_by(|(a, _), (b, _)| a.cmp(b));
    cases
}

httpwg_macros::gen_catalog!(catalog);
