//! What a bare hyper server does with the attack table, beside what the codec
//! does. The verdicts stand in `docs/src/http1-decision.md`; this test keeps that
//! page true. After a change of hyper or of the table, run it with
//! `SIDEGATE_PRINT_ROWS=1` and `--nocapture` and put the rows into the page.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that panics has failed")]

mod common;

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use common::attacks::{self, Attack, Want};
use common::hyper::exchange;
use common::mutation::{SEEDS, edits, mutate};
use common::request;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioTimer;
use proptest::prelude::*;
use sidegate_protocol::http1::Limits;

/// What hyper did with one input.
#[derive(Debug, Default)]
struct Seen {
    /// Status codes of its answers.
    statuses: Vec<String>,
    /// Requests that reached the service; `false` if the body then failed.
    served: Vec<bool>,
    closed: bool,
}

fn offer(input: &[u8]) -> Seen {
    let served = Rc::new(RefCell::new(Vec::new()));
    let seen_by_service = Rc::clone(&served);
    let service = service_fn(move |request: Request<Incoming>| {
        let served = Rc::clone(&seen_by_service);
        async move {
            let index = served.borrow().len();
            served.borrow_mut().push(false);
            // As a relay would: when the body fails, so does the exchange.
            request.into_body().collect().await?;
            served.borrow_mut()[index] = true;
            Ok::<_, hyper::Error>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let (output, closed) = exchange(&Builder::new(), service, input);
    let statuses = output.lines().filter_map(|line| line.strip_prefix("HTTP/1.")).map(|rest| rest[2..5].to_owned());
    Seen { statuses: statuses.collect(), served: served.take(), closed }
}

impl Seen {
    /// Whether the service was handed a whole request.
    fn takes(&self) -> bool {
        self.served.contains(&true)
    }

    fn text(&self) -> String {
        let end = if self.closed { "closed without an answer" } else { "waits for more" };
        match (self.served.as_slice(), self.statuses.join(", ")) {
            ([], statuses) if statuses.is_empty() => end.to_owned(),
            ([], statuses) => format!("{statuses} past the service"),
            ([true], _) => "taken".to_owned(),
            ([false], statuses) if statuses.is_empty() => format!("head taken, then {end}"),
            ([false], statuses) => format!("head taken, then {statuses}"),
            (served, statuses) => format!("taken as {} requests: {statuses}", served.len()),
        }
    }
}

fn ours(attack: &Attack) -> String {
    match attack.want {
        Want::Refused(status, details) => format!("{status} `{details}`"),
        Want::Taken(authority, target) => format!("host `{authority}`, target `{target}`"),
    }
}

fn row(attack: &Attack, seen: &Seen) -> String {
    let required = match attack.want {
        Want::Refused(status, _) => status.to_string(),
        Want::Taken(..) => "taken".to_owned(),
    };
    format!("| {} | {required} | {} | {} |", attack.name, seen.text(), ours(attack))
}

#[test]
fn the_decision_page_says_what_is_observed() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/http1-decision.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut missing = Vec::new();
    for attack in attacks::requests() {
        let row = row(&attack, &offer(&attack.input));
        if !page.lines().any(|line| line == row) {
            missing.push(row);
        }
    }
    if std::env::var_os("SIDEGATE_PRINT_ROWS").is_some() {
        println!("{}", missing.join("\n"));
    }
    assert!(missing.is_empty(), "rows that are observed but not on the page:\n{}", missing.join("\n"));
}

#[test]
fn what_the_codec_takes_hyper_takes_too() {
    // RFC 9110 section 8.6 allows a recipient either.
    const HYPER_IS_STRICTER: [&str; 1] = ["CL `5, 5`"];
    let limits = Limits { max_body: Some(1_000_000), ..Limits::default() };
    for attack in attacks::requests() {
        if request(&attack.input, &[], &limits).is_ok() {
            let stricter = HYPER_IS_STRICTER.contains(&attack.name);
            assert_eq!(offer(&attack.input).takes(), !stricter, "{}", attack.name);
        }
    }
}

proptest! {
    #[test]
    fn what_the_codec_takes_of_broken_requests_hyper_reads_the_same(seed in 0..3_usize, edits in edits()) {
        let input = mutate(SEEDS[seed], &edits);
        if let Ok(ours) = request(&input, &[], &Limits::default()) {
            // Clients send these unescaped; hyper takes some of them only.
            prop_assume!(!ours.target.contains(['"', '<', '>', '^', '`', '{', '|', '}']));
            let served = serve(&input[..ours.consumed]);
            prop_assert!(served.is_some(), "hyper refuses what the codec takes as {:?}", ours);
            let (method, body) = served.unwrap_or_default();
            prop_assert_eq!((method, body), (ours.method, ours.body));
        }
    }
}

/// Method and body of the request in `input`, as a service sees them.
fn serve(input: &[u8]) -> Option<(String, Vec<u8>)> {
    let served = Rc::new(RefCell::new(None));
    let seen_by_service = Rc::clone(&served);
    let service = service_fn(move |request: Request<Incoming>| {
        let served = Rc::clone(&seen_by_service);
        async move {
            let method = request.method().to_string();
            let body = request.into_body().collect().await?.to_bytes().to_vec();
            *served.borrow_mut() = Some((method, body));
            Ok::<_, hyper::Error>(Response::new(Empty::<Bytes>::new()))
        }
    });
    exchange(&Builder::new(), service, input);
    served.take()
}

/// All that the service learns of the request in `input`, its body included.
fn as_served(input: &[u8]) -> String {
    let served = Rc::new(RefCell::new(String::new()));
    let seen_by_service = Rc::clone(&served);
    let service = service_fn(move |request: Request<Incoming>| {
        let served = Rc::clone(&seen_by_service);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?;
            let trailers = body.trailers().cloned();
            let (method, uri, version, headers) = (head.method, head.uri, head.version, head.headers);
            *served.borrow_mut() = format!("{method} {uri} {version:?} {headers:?} {:?} {trailers:?}", body.to_bytes());
            Ok::<_, hyper::Error>(Response::new(Empty::<Bytes>::new()))
        }
    });
    exchange(&Builder::new(), service, input);
    let served = served.take();
    assert!(!served.is_empty(), "{}", String::from_utf8_lossy(input));
    served
}

#[test]
fn some_faults_are_gone_before_the_service_could_refuse_them() {
    let head = "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = "1\r\nb\r\n0\r\n\r\n";
    let clean = as_served(format!("{head}{body}").as_bytes());
    for (fault, head, body) in [
        ("CL with TE", &*head.replace("host: a", "host: a\r\ncontent-length: 5"), body),
        ("TE with CL", &head.replace("chunked", "chunked\r\ncontent-length: 5"), body),
        ("LF ends the lines", &head.replace("\r\n", "\n"), body),
        ("fragment", &head.replace("/x", "/x#y"), body),
        ("100 CRLF before the request line", &format!("{}{head}", "\r\n".repeat(100)), body),
        ("chunk extension bare `;`", head, "1;\r\nb\r\n0\r\n\r\n"),
        ("chunk extension with NUL", head, "1;\0\r\nb\r\n0\r\n\r\n"),
        ("chunk size before a blank", head, "1 \r\nb\r\n0\r\n\r\n"),
    ] {
        assert_eq!(as_served(format!("{head}{body}").as_bytes()), clean, "{fault}");
    }
}

#[test]
fn a_header_timeout_closes_without_an_answer() {
    let service =
        service_fn(|_: Request<Incoming>| async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) });
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
    assert_eq!(exchange(&builder, service, b"GET / HTTP/1.1\r\nhost: a\r\n"), (String::new(), true));
}

#[test]
fn interim_responses_cannot_be_sent() {
    let service = service_fn(|_: Request<Incoming>| async {
        let mut response = Response::new(Empty::<Bytes>::new());
        *response.status_mut() = hyper::StatusCode::EARLY_HINTS;
        Ok::<_, Infallible>(response)
    });
    let (output, _) = exchange(&Builder::new(), service, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(output.starts_with("HTTP/1.1 500 "), "{output}");
}

#[test]
fn trailers_that_were_not_announced_are_lost() {
    for (announced, arrives) in [(false, false), (true, true)] {
        let service = service_fn(move |_: Request<Incoming>| async move {
            let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
            let body = Full::new(Bytes::from_static(b"hello")).with_trailers(async { Some(Ok(trailers)) });
            let mut response = Response::new(BoxBody::new(body));
            response.headers_mut().insert("transfer-encoding", "chunked".parse().unwrap());
            if announced {
                response.headers_mut().insert("trailer", "x-sum".parse().unwrap());
            }
            Ok::<_, Infallible>(response)
        });
        let input = b"GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n";
        let (output, _) = exchange(&Builder::new(), service, input);
        assert!(output.contains("hello"), "{output}");
        assert_eq!(output.contains("x-sum: 1"), arrives, "{output}");
    }
}
