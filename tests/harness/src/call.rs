//! A request without a protocol, a client and an origin of either, for tests
//! that hold for all.

use std::net::SocketAddr;

use crate::{H2Client, H2Origin, Message, Origin, Reply, Seen, Wire};

/// A request that a well-behaved client makes.
#[derive(Debug, Clone)]
pub struct Call {
    method: String,
    target: String,
    authority: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    trailers: Vec<(String, String)>,
    open: bool,
}

impl Call {
    /// A request to authority `test`.
    pub fn new(method: &str, target: &str) -> Call {
        Call {
            method: method.to_owned(),
            target: target.to_owned(),
            authority: "test".to_owned(),
            fields: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
            open: false,
        }
    }

    /// GET.
    pub fn get(target: &str) -> Call {
        Call::new("GET", target)
    }

    /// POST of `body`.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Call {
        Call::new("POST", target).body(body)
    }

    /// Sets `Host` or `:authority`.
    pub fn authority(mut self, authority: &str) -> Call {
        self.authority = authority.to_owned();
        self
    }

    /// Adds a field.
    pub fn header(mut self, name: &str, value: &str) -> Call {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body; its length is announced.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Call {
        self.body = body.into();
        self
    }

    /// Does not announce the length of the body.
    pub fn open(mut self) -> Call {
        self.open = true;
        self
    }

    /// Adds a trailer; the length of the body is not announced then.
    pub fn trailer(mut self, name: &str, value: &str) -> Call {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self.open()
    }

    /// Its bytes as HTTP/1.1.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", self.method, self.target, self.authority);
        for (name, value) in self.announced("Content-Length") {
            out += &format!("{name}: {value}\r\n");
        }
        if self.open {
            out += "Transfer-Encoding: chunked\r\n";
        }
        let mut out = (out + "\r\n").into_bytes();
        if !self.open {
            out.extend_from_slice(&self.body);
            return out;
        }
        for chunk in self.body.chunks(16 * 1024) {
            out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            out.extend_from_slice(chunk);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n");
        for (name, value) in &self.trailers {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    pub(crate) fn get_method(&self) -> &str {
        &self.method
    }

    pub(crate) fn get_body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn get_trailers(&self) -> &[(String, String)] {
        &self.trailers
    }

    pub(crate) fn is_bodiless(&self) -> bool {
        self.body.is_empty() && self.trailers.is_empty()
    }

    pub(crate) fn uri(&self) -> String {
        if self.target == "*" {
            format!("http://{}", self.authority)
        } else {
            format!("http://{}{}", self.authority, self.target)
        }
    }

    /// Fields as HTTP/2 sends them.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let mut fields = self.announced("content-length");
        for (name, _) in &mut fields {
            name.make_ascii_lowercase();
        }
        fields
    }

    fn announced(&self, length: &str) -> Vec<(String, String)> {
        let mut fields = self.fields.clone();
        if !self.open && !self.body.is_empty() {
            fields.push((length.to_owned(), self.body.len().to_string()));
        }
        fields
    }
}

/// What a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoken {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
}

impl Spoken {
    /// As `downstream_protocol` and `upstream_protocol` have it.
    pub fn word(self) -> &'static str {
        match self {
            Spoken::Http1 => "Http1",
            Spoken::Http2 => "Http2",
        }
    }
}

/// A client of either protocol with one connection.
pub enum Client {
    /// HTTP/1.1.
    H1(Wire),
    /// HTTP/2.
    H2(H2Client),
}

impl Client {
    /// Connects.
    #[track_caller]
    pub fn connect(spoken: Spoken, address: SocketAddr) -> Client {
        match spoken {
            Spoken::Http1 => Client::H1(Wire::connect(address)),
            Spoken::Http2 => Client::H2(H2Client::connect(address)),
        }
    }

    /// Makes a request and reads its response; says what went wrong otherwise.
    pub fn try_call(&mut self, call: &Call) -> Result<Message, String> {
        match self {
            Client::H1(wire) => {
                // The proxy may answer, and close, before it has read all.
                let _ = wire.try_send(call.to_bytes());
                wire.try_response(&call.method).map_err(|error| error.to_string())
            }
            Client::H2(client) => client.try_call(call).map_err(|error| error.to_string()),
        }
    }

    /// The same; panics if there is no response.
    #[track_caller]
    pub fn call(&mut self, call: &Call) -> Message {
        self.try_call(call).unwrap_or_else(|why| panic!("no response to {} {}: {why}", call.method, call.target))
    }
}

/// An origin of either protocol.
pub enum AnyOrigin {
    /// HTTP/1.1.
    H1(Origin),
    /// HTTP/2.
    H2(H2Origin),
}

impl AnyOrigin {
    /// Answers each request with what `handler` makes of it.
    pub fn http(spoken: Spoken, handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> AnyOrigin {
        match spoken {
            Spoken::Http1 => AnyOrigin::H1(Origin::http(handler)),
            Spoken::Http2 => AnyOrigin::H2(H2Origin::http(handler)),
        }
    }

    /// Answers 200 with what it saw, as JSON.
    pub fn echo(spoken: Spoken) -> AnyOrigin {
        match spoken {
            Spoken::Http1 => AnyOrigin::H1(Origin::echo()),
            Spoken::Http2 => AnyOrigin::H2(H2Origin::echo()),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        match self {
            AnyOrigin::H1(origin) => origin.address(),
            AnyOrigin::H2(origin) => origin.address(),
        }
    }

    /// Requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        match self {
            AnyOrigin::H1(origin) => origin.seen(),
            AnyOrigin::H2(origin) => origin.seen(),
        }
    }

    /// Number of requests so far.
    pub fn count(&self) -> usize {
        self.seen().len()
    }

    /// The last request; panics if there is none.
    #[track_caller]
    pub fn last(&self) -> Seen {
        self.seen().pop().expect("the origin saw no request")
    }
}
