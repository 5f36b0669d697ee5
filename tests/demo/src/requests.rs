//! The requests of the demo and what should come back.

use sidegate_harness::Proxy;

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
/// expected.
pub fn run(proxy: &Proxy) -> bool {
    let mut right = true;
    for request in &REQUESTS {
        println!("$ {}", request.curl_line(proxy.address().port()));
        let field = request.field.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
        let raw = format!(
            "GET /hello HTTP/1.1\r\nHost: {}\r\nUser-Agent: demo\r\nConnection: close\r\n{field}\r\n",
            proxy.address()
        );
        match proxy.connect().send(raw).try_response("GET") {
            Ok(got) => {
                println!("{}\n{}", got.head.start, got.text().trim_end());
                let as_expected = got.status() == request.status;
                right &= as_expected;
                match as_expected {
                    true => println!("  as expected: {}\n", request.why),
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

/// The same requests for a reader to send.
pub fn print_curl_lines(port: u16) {
    for request in &REQUESTS {
        println!("  {}", request.curl_line(port));
    }
}

impl Request {
    fn curl_line(&self, port: u16) -> String {
        let field = self.field.map(|(name, value)| format!("-H '{name}: {value}' ")).unwrap_or_default();
        format!("curl -i {field}http://127.0.0.1:{port}/hello")
    }
}
