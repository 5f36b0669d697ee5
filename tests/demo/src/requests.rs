//! The requests of the demo and what should come back.

use sidegate_harness::{Call, Client, Proxy, Spoken};

struct Request {
    /// A header field, or none.
    field: Option<(&'static str, &'static str)>,
    status: u16,
    why: &'static str,
}

const REQUESTS: [Request; 3] = [
    Request { field: None, status: 403, why: "the module refuses a request without the header" },
    Request { field: Some(("User", "guest")), status: 403, why: "and one with another value" },
    Request { field: Some(("User", "admin")), status: 200, why: "this one comes from the origin" },
];

/// Sends them all, prints what came back and answers whether all was as
/// expected. What comes from the origin is to hold `identity`.
pub fn run(proxy: &Proxy, spoken: Spoken, identity: Option<&str>) -> bool {
    let mut right = true;
    for request in &REQUESTS {
        println!("$ {}", request.curl_line(proxy.address().port(), spoken));
        let mut call = Call::get("/hello").authority(&proxy.address().to_string()).header("user-agent", "demo");
        if let Some((name, value)) = request.field {
            call = call.header(name, value);
        }
        match Client::connect(spoken, proxy.address()).try_call(&call) {
            Ok(got) => {
                println!("{}\n{}", got.head.start, got.text().trim_end());
                let known = identity.filter(|_| request.status == 200);
                let is_known = known.is_none_or(|identity| got.text().contains(identity));
                let as_expected = got.status() == request.status && is_known;
                right &= as_expected;
                match as_expected {
                    true => println!("  as expected: {}{}\n", request.why, also(known)),
                    false if !is_known => println!("  WRONG: the origin did not hear who asked\n"),
                    false => println!("  WRONG: expected {}, because {}\n", request.status, request.why),
                }
            }
            Err(e) => {
                right = false;
                println!("  WRONG: no response ({e}), expected {}\n", request.status);
            }
        }
    }
    right
}

fn also(identity: Option<&str>) -> &'static str {
    match identity {
        Some(_) => ", which heard from B whose certificate A has",
        None => "",
    }
}

/// The same requests for a reader to send.
pub fn print_curl_lines(port: u16, spoken: Spoken) {
    for request in &REQUESTS {
        println!("  {}", request.curl_line(port, spoken));
    }
}

impl Request {
    fn curl_line(&self, port: u16, spoken: Spoken) -> String {
        let field = self.field.map(|(name, value)| format!("-H '{name}: {value}' ")).unwrap_or_default();
        let option = match spoken {
            Spoken::Http1 => "",
            Spoken::Http2 => "--http2-prior-knowledge ",
        };
        format!("curl -i {option}{field}http://127.0.0.1:{port}/hello")
    }
}
