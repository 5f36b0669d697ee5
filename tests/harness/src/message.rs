//! HTTP/1 messages as a strict reader sees them: what a lenient reader might
//! accept from the proxy is a failure here.

use serde_json::Value;

/// Start line and fields of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Request or status line, without CRLF.
    pub start: String,
    /// Fields in order, names as sent, values without outer blanks.
    pub fields: Vec<(String, String)>,
}

/// How a body was delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// By the end of the connection.
    UntilClose,
}

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Start line and fields.
    pub head: Head,
    /// How the body was delimited.
    pub framing: Framing,
    /// The body without framing.
    pub body: Vec<u8>,
    /// Fields after a chunked body.
    pub trailers: Vec<(String, String)>,
    /// Statuses of the 1xx responses that came before.
    pub interim: Vec<u16>,
}

impl Head {
    /// Parses the bytes of a head including its empty line.
    pub fn parse(raw: &[u8]) -> Result<Self, String> {
        let text: String = raw.iter().map(|&b| b as char).collect();
        let text = text.strip_suffix("\r\n\r\n").ok_or("head without an empty line")?;
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let mut fields = Vec::new();
        for line in lines {
            if line.contains(['\r', '\n', '\0']) {
                return Err(format!("control byte in line {line:?}"));
            }
            let (name, value) = line.split_once(':').ok_or_else(|| format!("line without a colon: {line:?}"))?;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(format!("bad field name in {line:?}"));
            }
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
        if start.contains(['\r', '\n', '\0']) {
            return Err(format!("control byte in start line {start:?}"));
        }
        Ok(Head { start, fields })
    }

    /// First value of `name`, compared without case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All values of `name`, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// Whether `name` is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Status code of a status line; 0 if it is none.
    pub fn status(&self) -> u16 {
        let mut words = self.start.split(' ');
        match (words.next(), words.next()) {
            (Some(version), Some(code))
                if (version == "HTTP/2" || version.starts_with("HTTP/1.")) && code.len() == 3 =>
            {
                code.parse().unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Method of a request line.
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// Target of a request line.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// Start line and fields, names in lower case, fields sorted: heads are
    /// equal if these are, whatever order and case they travelled in.
    pub fn canonical(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.fields.iter().map(|(name, value)| format!("{}: {value}", name.to_ascii_lowercase())).collect();
        lines.sort();
        lines.insert(0, self.start.clone());
        lines
    }

    /// How the body of a request with this head is delimited.
    pub(crate) fn request_framing(&self) -> Result<Framing, String> {
        self.declared_framing().map(|framing| framing.unwrap_or(Framing::None))
    }

    /// How the body of the response with this head to `method` is delimited.
    pub(crate) fn response_framing(&self, method: &str) -> Result<Framing, String> {
        let declared = self.declared_framing()?;
        let status = self.status();
        if method == "HEAD" || matches!(status, 100..200 | 204 | 304) {
            return Ok(Framing::None);
        }
        Ok(declared.unwrap_or(Framing::UntilClose))
    }

    fn declared_framing(&self) -> Result<Option<Framing>, String> {
        let (codings, lengths) = (self.all("transfer-encoding"), self.all("content-length"));
        match (codings.as_slice(), lengths.as_slice()) {
            ([], []) => Ok(None),
            ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Framing::Chunked)),
            ([], [length]) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
                length.parse().map(|length| Some(Framing::Length(length))).map_err(|e| e.to_string())
            }
            _ => Err(format!("ambiguous framing: {:?}", self.fields)),
        }
    }
}

impl Message {
    /// Status code of a response; 0 for a request.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// First value of header `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("body is no JSON ({e}): {:?}", self.text()))
    }

    /// First value of trailer `name`.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A chunk-size line: hexadecimal digits and nothing else, since the proxy
/// has no reason to send extensions on.
pub(crate) fn chunk_size(line: &[u8]) -> Result<u64, String> {
    let text = std::str::from_utf8(line).map_err(|e| e.to_string())?;
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!("bad chunk size {text:?}"));
    }
    u64::from_str_radix(text, 16).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_framing_is_an_error() {
        for fields in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked",
            "Content-Length: 1\r\nContent-Length: 1",
            "Content-Length: +1",
            "Transfer-Encoding: chunked, chunked",
        ] {
            let head = Head::parse(format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes()).unwrap();
            assert!(head.request_framing().is_err(), "{fields}");
        }
    }

    #[test]
    fn bodiless_answers_have_no_body() {
        let head = Head::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").unwrap();
        assert_eq!(head.response_framing("HEAD"), Ok(Framing::None));
        assert_eq!(head.response_framing("GET"), Ok(Framing::Length(5)));
        let head = Head::parse(b"HTTP/1.1 204 No\r\n\r\n").unwrap();
        assert_eq!(head.response_framing("GET"), Ok(Framing::None));
    }

    #[test]
    fn bad_lines_are_errors() {
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n").is_err());
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n").is_err());
        assert!(chunk_size(b"0x1").is_err());
        assert!(chunk_size(b"1;a").is_err());
        assert_eq!(chunk_size(b"1F"), Ok(31));
    }
}
