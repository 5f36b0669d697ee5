//! Heads of requests.

use std::mem::MaybeUninit;

use sidegate_api::{HeadState, Method, Protocol, RequestHead};

use super::error::RequestError;
use super::fields::{self, Framing, Known};
use super::head_search::HeadSearch;
use super::lines::{self, FIELDS_ON_STACK, Slot};
use super::target::{self, Scratch, TargetForm};
use super::upgrade::{Upgrade, UpgradeField};
use super::{BodyLength, Decoded, Expect, Limits, Persistence, Spelling, Trailers, authority};

/// Line ends tolerated before a request line (RFC 9112 section 2.2).
const MAX_BLANK_LINES: usize = 4;
/// Registered methods have at most 17 bytes.
const MAX_METHOD_BYTES: usize = 32;

/// Decodes the request heads of one connection, one after the other.
#[derive(Debug, Default)]
pub struct RequestDecoder {
    search: HeadSearch,
    scratch: Scratch,
}

/// What a request's head says beside its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestMeta {
    /// Length of the head, up to the end of its last blank line.
    pub head_bytes: u32,
    /// Version of the request line.
    pub version: Protocol,
    /// How the body ends; never `UntilClose`.
    pub body: BodyLength,
    /// What the client wants of the connection.
    pub persistence: Persistence,
    /// What the client waits for.
    pub expect: Expect,
    /// Whether it takes trailers.
    pub trailers: Trailers,
    /// Whether it asks for another protocol; the head then has the field.
    pub upgrade: Upgrade,
}

impl RequestDecoder {
    /// A decoder without allocations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes the head that `buf` starts with into `head`, whose former
    /// content is replaced except for the scheme: the transport decides that,
    /// not the client (it is set to `http` if empty).
    ///
    /// After `Partial`, call again with the same bytes and more after them;
    /// it never asks for more than `max_head_bytes` and a few blank lines.
    pub fn decode(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        head: &mut RequestHead,
    ) -> Result<Decoded<RequestMeta>, RequestError> {
        clear(head);
        let blank = blank_lines(buf)?;
        let text = &buf[blank..];
        if text.is_empty() || text == b"\r" {
            return Ok(Decoded::Partial);
        }
        let parsed = if self.search.is_due(text) { self.parse(text, limits, head)? } else { None };
        match parsed {
            Some((consumed, meta)) => {
                self.reset();
                Ok(Decoded::Complete { consumed: blank + consumed, meta })
            }
            None if text.len() >= limits.max_head_bytes => {
                self.note_request_line(text, limits, head);
                Err(too_large(text, limits))
            }
            None => Ok(Decoded::Partial),
        }
    }

    /// Forgets a head that was begun, and keeps memory up to a bound.
    pub fn reset(&mut self) {
        self.search.reset();
        self.scratch.shrink(1024);
    }

    fn parse(
        &mut self,
        text: &[u8],
        limits: &Limits,
        head: &mut RequestHead,
    ) -> Result<Option<(usize, RequestMeta)>, RequestError> {
        let mut slots = [const { MaybeUninit::uninit() }; FIELDS_ON_STACK];
        let parsed = self.parse_in(text, limits, head, &mut slots[..limits.max_headers.min(FIELDS_ON_STACK)]);
        match parsed {
            Err(error) if error.details == lines::TOO_MANY && limits.max_headers > FIELDS_ON_STACK => {
                self.parse_in(text, limits, head, &mut lines::slots_on_heap(limits.max_headers))
            }
            parsed => parsed,
        }
    }

    fn parse_in<'buf>(
        &mut self,
        text: &'buf [u8],
        limits: &Limits,
        head: &mut RequestHead,
        slots: &mut [Slot<'buf>],
    ) -> Result<Option<(usize, RequestMeta)>, RequestError> {
        let mut request = httparse::Request::new(&mut []);
        let consumed = match request.parse_with_uninit_headers(text, slots) {
            Ok(httparse::Status::Complete(consumed)) => consumed,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => {
                self.note_request_line(text, limits, head);
                return Err(refine(error, text));
            }
        };
        let (Some(method), Some(path), Some(version)) = (request.method, request.path, request.version) else {
            return Err(RequestError::bad("start_line_invalid"));
        };
        if consumed > limits.max_head_bytes {
            self.note_request_line(text, limits, head);
            return Err(too_large(text, limits));
        }
        let form = self.request_line(method, path, limits, head)?;
        lines::check_line_ends(&text[..consumed], request.headers)?;
        let version = if version == 0 { Protocol::Http10 } else { Protocol::Http11 };
        if limits.spelling == Spelling::Keep {
            lines::note_spelling(request.headers, &mut head.headers);
        }
        let mut meta = read_fields(version, form, request.headers, limits, head)?;
        // A head is shorter than its limit, and that fits.
        meta.head_bytes = u32::try_from(consumed).unwrap_or(u32::MAX);
        Ok(Some((consumed, meta)))
    }

    /// Fills in what the access log can say of a request that is refused
    /// anyway: its method and target, as far as those are in order.
    fn note_request_line(&mut self, text: &[u8], limits: &Limits, head: &mut RequestHead) {
        let mut request = httparse::Request::new(&mut []);
        let _ = request.parse(text);
        if let (Some(method), Some(path)) = (request.method, request.path) {
            let _ = self.request_line(method, path, limits, head);
        }
    }

    fn request_line(
        &mut self,
        method: &str,
        path: &str,
        limits: &Limits,
        head: &mut RequestHead,
    ) -> Result<TargetForm, RequestError> {
        request_line(method, path, limits, head, &mut self.scratch)
    }
}

/// Checks method and target and writes them into `head`.
pub(crate) fn request_line(
    method: &str,
    path: &str,
    limits: &Limits,
    head: &mut RequestHead,
    scratch: &mut Scratch,
) -> Result<TargetForm, RequestError> {
    if method.len() > MAX_METHOD_BYTES {
        return Err(RequestError::new(501, "method_too_long"));
    }
    head.method = Method::parse(method.as_bytes()).ok_or(RequestError::bad("method_invalid"))?;
    target::decode(path, limits, head, scratch)
}

/// Whether `buf` holds nothing but line ends (or the start of one) that are
/// tolerated before a request: no request has begun.
pub fn only_blank_lines(buf: &[u8]) -> bool {
    blank_lines(buf).is_ok_and(|blank| matches!(&buf[blank..], [] | [b'\r']))
}

fn blank_lines(buf: &[u8]) -> Result<usize, RequestError> {
    let mut at = 0;
    while let [b'\r', b'\n', ..] = &buf[at..] {
        at += 2;
        if at > 2 * MAX_BLANK_LINES {
            return Err(RequestError::bad("too_many_blank_lines"));
        }
    }
    match &buf[at..] {
        [b'\n', ..] => Err(RequestError::bad("bare_line_feed")),
        [b'\r', _, ..] => Err(RequestError::bad("bare_carriage_return")),
        _ => Ok(at),
    }
}

/// Forgets the request before, except for its scheme.
pub(crate) fn clear(head: &mut RequestHead) {
    head.method = Method::Get;
    head.authority.clear();
    head.clear_target();
    head.headers.clear();
    head.state = HeadState::Open;
    if head.scheme.is_empty() {
        head.scheme = "http";
    }
}

fn read_fields(
    version: Protocol,
    form: TargetForm,
    fields: &[httparse::Header<'_>],
    limits: &Limits,
    head: &mut RequestHead,
) -> Result<RequestMeta, RequestError> {
    let mut framing = Framing::default();
    let mut hosts = 0;
    let mut expect = Expect::None;
    let mut trailers = Trailers::Unasked;
    let mut upgrade = UpgradeField::Absent;
    for field in fields {
        match fields::classify(field.name) {
            Known::EndToEnd => fields::add(&mut head.headers, field.name.as_bytes(), field.value)?,
            Known::Host => {
                hosts += 1;
                read_host(field.value, form, hosts, head)?;
            }
            Known::ContentLength => framing.content_length(field.value)?,
            Known::TransferEncoding => framing.transfer_encoding(field.value)?,
            Known::Connection => framing.has_connection_field(),
            // RFC 9110 section 10.1.1: from HTTP/1.0 it is ignored.
            Known::Expect if version == Protocol::Http10 => {}
            Known::Expect if field.value.eq_ignore_ascii_case(b"100-continue") => {
                // Kept to be read; upstream it goes by `expect`.
                expect = Expect::Continue;
                head.headers.remove(b"expect");
                fields::add(&mut head.headers, b"expect", field.value)?;
            }
            Known::Expect => return Err(RequestError::new(417, "expectation_unknown")),
            Known::Upgrade => upgrade.note(field.value),
            Known::Te => {
                if fields::wants_trailers(field.value) {
                    trailers = Trailers::Wanted;
                }
            }
            Known::Dropped => {}
        }
    }
    if hosts == 0 && version == Protocol::Http11 {
        return Err(RequestError::bad("host_missing"));
    }
    let hop = framing.finish(version, fields, &mut head.headers)?;
    let body = match framing.content_length {
        _ if framing.chunked => BodyLength::Chunked,
        Some(length) if limits.max_body.is_some_and(|max| length > max) => {
            return Err(RequestError::new(413, "body_too_large"));
        }
        Some(length) => BodyLength::Length(length),
        None => BodyLength::None,
    };
    // Nobody waits to send a body that does not exist.
    if matches!(body, BodyLength::None | BodyLength::Length(0)) {
        expect = Expect::None;
    }
    // Where a body would end and the other protocol begin is one more thing
    // that two parsers can understand differently: such a request is a plain
    // one (RFC 9110 section 7.8 lets any server ignore the field).
    let bodiless = matches!(body, BodyLength::None | BodyLength::Length(0));
    let upgrade = match upgrade.protocol() {
        Some(protocol) if hop.names_upgrade && bodiless && version == Protocol::Http11 => {
            fields::add(&mut head.headers, b"upgrade", protocol)?;
            Upgrade::Asked
        }
        _ => Upgrade::None,
    };
    Ok(RequestMeta { head_bytes: 0, version, body, persistence: hop.persistence, expect, trailers, upgrade })
}

/// The field is checked even where the target replaces it (RFC 9112 section
/// 3.2): a bad one is a sign of two minds on who the host is.
pub(crate) fn read_host(
    value: &[u8],
    form: TargetForm,
    count: usize,
    head: &mut RequestHead,
) -> Result<(), RequestError> {
    if count > 1 {
        return Err(RequestError::bad("host_repeated"));
    }
    let host = std::str::from_utf8(value).map_err(|_| RequestError::bad("host_invalid"))?;
    authority::check(host).map_err(RequestError::bad)?;
    if form == TargetForm::NeedsHost {
        target::set_authority(head, host);
    }
    Ok(())
}

/// Finds the better answer where httparse has one error for several faults.
fn refine(error: httparse::Error, text: &[u8]) -> RequestError {
    let line = text.split(|&b| b == b'\r' || b == b'\n').next().unwrap_or_default();
    match error {
        httparse::Error::Version => {
            let version = line.splitn(3, |&b| b == b' ').nth(2).unwrap_or_default();
            match version {
                [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', ..] if !version.contains(&b' ') => {
                    RequestError::new(505, "version_unsupported")
                }
                _ => lines::parse_error(error),
            }
        }
        httparse::Error::Token if method_too_long(line) => RequestError::new(501, "method_too_long"),
        _ => lines::parse_error(error),
    }
}

fn too_large(text: &[u8], limits: &Limits) -> RequestError {
    let head = &text[..limits.max_head_bytes.min(text.len())];
    if method_too_long(head) {
        RequestError::new(501, "method_too_long")
    } else if memchr::memchr(b'\n', head).is_none() {
        RequestError::new(414, "request_line_too_long")
    } else {
        RequestError::new(431, "headers_too_large")
    }
}

fn method_too_long(line: &[u8]) -> bool {
    line.get(..=MAX_METHOD_BYTES).is_some_and(sidegate_api::is_token)
}
