//! A well-formed response that an origin sends.

/// Builds the bytes of a response.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    chunked: bool,
    trailers: Vec<(String, String)>,
    close: bool,
}

impl Reply {
    /// A response with this status and an empty body.
    pub fn new(status: u16) -> Self {
        Reply { status, fields: Vec::new(), body: Vec::new(), chunked: false, trailers: Vec::new(), close: false }
    }

    /// 200 with `body`.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Reply::new(200).body(body)
    }

    /// Adds a field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the body chunked instead of with its length.
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Adds a trailer; implies chunked.
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self.chunked()
    }

    /// Says `Connection: close` and closes afterwards.
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// Whether the origin closes after it.
    pub fn closes(&self) -> bool {
        self.close
    }

    pub(crate) fn get_status(&self) -> u16 {
        self.status
    }

    pub(crate) fn get_body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn get_trailers(&self) -> &[(String, String)] {
        &self.trailers
    }

    /// Its fields as HTTP/2 sends them, with the length unless it is left open.
    pub(crate) fn h2_fields(&self) -> Vec<(String, String)> {
        let mut fields = self.fields.clone();
        for (name, _) in &mut fields {
            name.make_ascii_lowercase();
        }
        if !self.chunked && !matches!(self.status, 204 | 304) {
            fields.push(("content-length".to_owned(), self.body.len().to_string()));
        }
        fields
    }

    /// The bytes on the wire. `without_body` for answers to HEAD, and for 204
    /// and 304.
    pub fn to_bytes(&self, without_body: bool) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} Reason\r\n", self.status).into_bytes();
        for (name, value) in &self.fields {
            out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        if self.close {
            out.extend_from_slice(b"Connection: close\r\n");
        }
        let bodiless = matches!(self.status, 204 | 304);
        if self.chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        } else if bodiless {
            out.extend_from_slice(b"\r\n");
        } else {
            out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes());
        }
        if without_body || bodiless {
            return out;
        }
        if !self.chunked {
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
}
