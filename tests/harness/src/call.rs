//! A request without a protocol and a client of either, for tests that hold
//! for all.

use std::net::SocketAddr;

use crate::{H2Client, H2Stream, Head, Message, Pair, Wire};

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

    /// What the bytes of a request in HTTP/1.1 say, its body by its length or
    /// in one chunk; panics on one that a well-behaved client does not send.
    #[track_caller]
    pub fn parse(raw: &[u8]) -> Call {
        let end = raw.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head") + 4;
        let head = Head::parse(&raw[..end]).unwrap_or_else(|why| panic!("no request: {why}"));
        assert!(head.start.ends_with(" HTTP/1.1"), "only HTTP/1.1 can be said in HTTP/2: {:?}", head.start);
        let mut call = Call::new(head.method(), head.target()).body(&raw[end..]);
        for (name, value) in head.fields {
            match name.to_ascii_lowercase().as_str() {
                "host" => call.authority = value,
                "content-length" => {}
                "connection" if value == "close" => {}
                "transfer-encoding" => panic!("use Call for a body of unknown length"),
                _ => call.fields.push((name, value)),
            }
        }
        call
    }

    /// Adds fields, each as a line with its CRLF.
    pub fn lines(mut self, lines: &str) -> Call {
        for line in lines.split_terminator("\r\n") {
            let (name, value) = line.split_once(':').expect("a field");
            self.fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
        self
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

    /// Panics on a target that HTTP/2 clients do not send.
    pub(crate) fn uri(&self) -> http::Uri {
        let parts = http::Uri::builder().scheme("http").authority(self.authority.as_str());
        parts.path_and_query(self.target.as_str()).build().expect("a target that can be sent")
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

/// A request whose response is not read yet. Dropping it closes the
/// connection.
pub enum Begun {
    /// HTTP/1.1.
    H1(Wire, String),
    /// HTTP/2, with the connection that it needs.
    H2(H2Stream, H2Client),
}

impl Begun {
    /// Reads the response; panics if there is none.
    #[track_caller]
    pub fn message(&mut self) -> Message {
        match self {
            Begun::H1(wire, method) => wire.response_to(method),
            Begun::H2(stream, _) => stream.message().unwrap_or_else(|why| panic!("no response: {why}")),
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
    /// Connects, with the protocol that clients of this test speak.
    #[track_caller]
    pub fn to(address: SocketAddr) -> Client {
        Client::connect(Pair::current().down, address)
    }

    /// Our own address.
    pub fn local(&self) -> SocketAddr {
        match self {
            Client::H1(wire) => wire.local(),
            Client::H2(client) => client.local(),
        }
    }

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

    /// Sends a request without a body and reads nothing yet.
    #[track_caller]
    pub fn begin(self, call: &Call) -> Begun {
        match self {
            Client::H1(mut wire) => {
                wire.send(call.to_bytes());
                Begun::H1(wire, call.method.clone())
            }
            Client::H2(client) => {
                let stream = client.open(call).unwrap_or_else(|why| panic!("cannot send: {why}"));
                Begun::H2(stream, client)
            }
        }
    }

    /// The same; panics if there is no response.
    #[track_caller]
    pub fn call(&mut self, call: &Call) -> Message {
        self.try_call(call).unwrap_or_else(|why| panic!("no response to {} {}: {why}", call.method, call.target))
    }
}
