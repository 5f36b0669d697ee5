//! Raw bytes against what must become of them, as tables.

mod chunks;
mod fields;
mod framing;
mod hosts;
mod request_lines;
mod sequences;

use sidegate_harness::{ConfigBuilder, Origin, Proxy, Seen, Signal, WireError};

/// What must become of an input.
#[derive(Debug, Clone, Copy)]
enum Expect {
    /// This status, the connection closes, and the origin sees nothing.
    Refused(u16),
    /// One of these, likewise.
    RefusedAs(&'static [u16]),
    /// Refused after the head may have been forwarded: status 400 and a close,
    /// and the origin never sees the end of a request.
    BadBody,
    /// The origin gets exactly this head (start line, then fields in lower
    /// case and sorted) and this body.
    Forwarded(&'static [&'static str], &'static str),
    /// Either refused with 400, or forwarded exactly so.
    Either(&'static [&'static str], &'static str),
}

/// One input.
struct Case {
    name: &'static str,
    raw: &'static [u8],
    expect: Expect,
}

const fn case(name: &'static str, raw: &'static str, expect: Expect) -> Case {
    Case { name, raw: raw.as_bytes(), expect }
}

const fn bytes(name: &'static str, raw: &'static [u8], expect: Expect) -> Case {
    Case { name, raw, expect }
}

/// Sends every case to a proxy of its own, followed by a request that must
/// never be taken for one after a refusal, and reports all that went wrong.
#[track_caller]
fn run(cases: &[Case]) {
    let mut wrong = Vec::new();
    for case in cases {
        let origin = Origin::echo();
        let proxy = Proxy::start(&ConfigBuilder::to(origin.address()).adding_nothing());
        if let Err(why) = judge(case, &origin, proxy) {
            wrong.push(format!("- {}: {:?}\n    {why}", case.name, String::from_utf8_lossy(case.raw)));
        }
    }
    assert!(wrong.is_empty(), "{} of {} inputs went wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

const AFTERWARDS: &str = "GET /afterwards HTTP/1.1\r\nHost: a\r\n\r\n";

fn judge(case: &Case, origin: &Origin, proxy: Proxy) -> Result<(), String> {
    let mut client = proxy.connect();
    let _ = client.try_send(case.raw);
    let method = if case.raw.starts_with(b"HEAD") { "HEAD" } else { "GET" };
    let (refused_as, forwarded): (&[u16], _) = match &case.expect {
        Expect::Refused(status) => (std::slice::from_ref(status), None),
        Expect::RefusedAs(statuses) => (statuses, None),
        Expect::BadBody => (&[400], None),
        Expect::Forwarded(head, body) => (&[], Some((*head, *body))),
        Expect::Either(head, body) => (&[400], Some((*head, *body))),
    };
    if forwarded.is_none() {
        // Were the refusal not final, this would be answered.
        let _ = client.try_send(AFTERWARDS);
        // An input that waits for more must be told that there is none.
        client.shutdown_write();
    }
    let answer = client.try_response(method).map_err(|e| format!("no answer: {e}"))?;
    if refused_as.contains(&answer.status()) {
        client.shutdown_write();
        match client.try_response("GET") {
            Err(WireError::Closed | WireError::Reset) => {}
            other => return Err(format!("after the refusal the connection goes on: {other:?}")),
        }
        let seen = all_seen(origin, proxy);
        let allowed = matches!(case.expect, Expect::BadBody);
        let harmless = seen.iter().all(|seen| allowed && !seen.complete && seen.head.target() != "/afterwards");
        return if harmless {
            Ok(())
        } else {
            Err(format!("refused with {}, yet forwarded: {seen:?}", answer.status()))
        };
    }
    let Some((head, body)) = forwarded else {
        let seen = all_seen(origin, proxy);
        return Err(format!("answered {} instead of {refused_as:?}; the origin saw {seen:?}", answer.status()));
    };
    // Whatever was left over would be read before this.
    client.send("GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    match client.try_response("GET") {
        Ok(next) if next.json()["target"] == "/next" => {}
        other => return Err(format!("the next request on the connection: {other:?}")),
    }
    // The proxy lingers until its client has closed too.
    drop(client);
    let seen = all_seen(origin, proxy);
    let [first, _next] = seen.as_slice() else {
        return Err(format!("answered {}, and the origin saw {} requests: {seen:?}", answer.status(), seen.len()));
    };
    if answer.status() != 200 || !first.complete {
        return Err(format!("answered {}, complete: {}", answer.status(), first.complete));
    }
    if first.head.canonical() != head {
        return Err(format!("forwarded as {:?}", first.head.canonical()));
    }
    if first.body != body.as_bytes() {
        return Err(format!("forwarded with body {:?}", String::from_utf8_lossy(&first.body)));
    }
    Ok(())
}

/// Ends the proxy, so that nothing more can reach the origin, and answers all
/// that did.
fn all_seen(origin: &Origin, mut proxy: Proxy) -> Vec<Seen> {
    proxy.signal(Signal::TERM);
    proxy.wait_exit();
    origin.wait("the end of the proxy's connections", |origin| origin.open_connections() == 0);
    origin.seen()
}
