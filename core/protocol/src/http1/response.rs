//! Heads of responses.

use std::mem::MaybeUninit;

use sidegate_api::{HeadState, Method, Protocol, ResponseHead};

use super::error::{RequestError, ResponseError};
use super::fields::{self, Framing, Known};
use super::head_search::HeadSearch;
use super::lines::{self, FIELDS_ON_STACK, Slot};
use super::reason::is_registered;
use super::upgrade::{Upgrade, UpgradeField};
use super::{BodyLength, Decoded, Grammar, Limits, Persistence, Spelling};

/// Decodes the response heads of one connection, one after the other.
#[derive(Debug, Default)]
pub struct ResponseDecoder {
    search: HeadSearch,
    offered: Upgrade,
    grammar: Grammar,
}

/// What a response's head says beside its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseMeta {
    /// Version of the status line.
    pub version: Protocol,
    /// How the body ends.
    pub body: BodyLength,
    /// Whether the connection can be used again after the body.
    pub persistence: Persistence,
}

impl ResponseDecoder {
    /// A decoder without allocations.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says whether the request whose response comes next asked for another
    /// protocol. Only then may it be `101`, and the head then has the one
    /// `upgrade` field.
    pub fn offer(&mut self, upgrade: Upgrade) {
        self.offered = upgrade;
    }

    /// Says how exactly the host keeps to the grammar.
    pub fn tolerate(&mut self, grammar: Grammar) {
        self.grammar = grammar;
    }

    /// Decodes the head that `buf` starts with into `head`, whose former
    /// content is replaced. Informational responses come out like others, with
    /// a status below 200 and no body; the final one follows.
    ///
    /// After `Partial`, call again with the same bytes and more after them.
    pub fn decode(
        &mut self,
        buf: &[u8],
        limits: &Limits,
        request_method: &Method,
        head: &mut ResponseHead,
    ) -> Result<Decoded<ResponseMeta>, ResponseError> {
        head.status = 0;
        head.reason.clear();
        head.headers.clear();
        head.state = HeadState::Open;
        match buf {
            [] => return Ok(Decoded::Partial),
            // Bytes before a status line are left-overs of the response
            // before: connection and we disagree on where that one ended.
            [b'\r' | b'\n', ..] => return Err(ResponseError { details: "start_line_invalid" }),
            _ => {}
        }
        let asked = Asked { method: request_method, upgrade: self.offered, grammar: self.grammar };
        let parsed = if self.search.is_due(buf) { parse(buf, limits, asked, head)? } else { None };
        match parsed {
            Some((consumed, meta)) => {
                self.reset();
                Ok(Decoded::Complete { consumed, meta })
            }
            None if buf.len() >= limits.max_head_bytes => Err(TOO_LARGE),
            None => Ok(Decoded::Partial),
        }
    }

    /// Forgets a head that was begun.
    pub fn reset(&mut self) {
        self.search.reset();
    }
}

/// What a response means depends on what was asked, and of whom.
#[derive(Clone, Copy)]
struct Asked<'a> {
    method: &'a Method,
    upgrade: Upgrade,
    grammar: Grammar,
}

const TOO_LARGE: ResponseError = ResponseError { details: "headers_too_large" };

fn parse(
    buf: &[u8],
    limits: &Limits,
    asked: Asked<'_>,
    head: &mut ResponseHead,
) -> Result<Option<(usize, ResponseMeta)>, ResponseError> {
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS_ON_STACK];
    let parsed = parse_in(buf, limits, asked, head, &mut slots[..limits.max_headers.min(FIELDS_ON_STACK)]);
    match parsed {
        Err(error) if error.details == lines::TOO_MANY && limits.max_headers > FIELDS_ON_STACK => {
            parse_in(buf, limits, asked, head, &mut lines::slots_on_heap(limits.max_headers))
        }
        parsed => parsed,
    }
}

fn parse_in<'buf>(
    buf: &'buf [u8],
    limits: &Limits,
    asked: Asked<'_>,
    head: &mut ResponseHead,
    slots: &mut [Slot<'buf>],
) -> Result<Option<(usize, ResponseMeta)>, ResponseError> {
    let mut response = httparse::Response::new(&mut []);
    let strict = httparse::ParserConfig::default();
    let consumed = match strict.parse_response_with_uninit_headers(&mut response, buf, slots) {
        Ok(httparse::Status::Complete(consumed)) => consumed,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(lines::parse_error(error).into()),
    };
    let (Some(version), Some(status)) = (response.version, response.code) else {
        return Err(ResponseError { details: "start_line_invalid" });
    };
    if consumed > limits.max_head_bytes {
        return Err(TOO_LARGE);
    }
    if asked.grammar != Grammar::BareLineFeeds {
        lines::check_line_ends(&buf[..consumed], response.headers)?;
    }
    let version = if version == 0 { Protocol::Http10 } else { Protocol::Http11 };
    head.status = check_status(status)?;
    if let Some(reason) = response.reason
        && !reason.is_empty()
        && !is_registered(status, reason)
    {
        head.reason.set(status, reason);
    }
    if limits.spelling == Spelling::Keep {
        lines::note_spelling(response.headers, &mut head.headers);
    }
    let meta = read_fields(version, asked, response.headers, head)?;
    if limits.max_body.is_some_and(|max| matches!(meta.body, BodyLength::Length(length) if length > max)) {
        return Err(ResponseError { details: "body_too_large" });
    }
    Ok(Some((consumed, meta)))
}

/// RFC 9110 section 15: what is outside of the classes is treated as 5xx, and
/// no less passed on.
fn check_status(status: u16) -> Result<u16, ResponseError> {
    match status {
        100..=999 => Ok(status),
        _ => Err(ResponseError { details: "status_invalid" }),
    }
}

fn read_fields(
    version: Protocol,
    asked: Asked<'_>,
    fields: &[httparse::Header<'_>],
    head: &mut ResponseHead,
) -> Result<ResponseMeta, RequestError> {
    let mut framing = Framing::default();
    let mut upgrade = UpgradeField::Absent;
    for field in fields {
        match fields::classify(field.name) {
            // Host and Expect mean nothing in a response; they are content.
            Known::EndToEnd | Known::Host | Known::Expect => {
                fields::add(&mut head.headers, field.name.as_bytes(), field.value)?;
            }
            Known::ContentLength => framing.content_length(field.value)?,
            Known::TransferEncoding => framing.transfer_encoding(field.value)?,
            Known::Connection => framing.has_connection_field(),
            Known::Upgrade => upgrade.note(field.value),
            Known::Te | Known::Dropped => {}
        }
    }
    let hop = framing.finish(version, fields, &mut head.headers)?;
    let mut persistence = hop.persistence;
    if head.status == 101 {
        if asked.upgrade == Upgrade::None {
            return Err(RequestError::bad("upgrade_not_asked_for"));
        }
        let protocol = upgrade.protocol().filter(|_| hop.names_upgrade && version == Protocol::Http11);
        fields::add(&mut head.headers, b"upgrade", protocol.ok_or(RequestError::bad("upgrade_invalid"))?)?;
    }
    let body = match head.status {
        // RFC 9110 section 8.6: these may not announce a length.
        100..=199 | 204 => {
            head.headers.remove(b"content-length");
            BodyLength::None
        }
        304 => BodyLength::None,
        _ if *asked.method == Method::Head => BodyLength::None,
        _ if framing.chunked => BodyLength::Chunked,
        _ => framing.content_length.map_or(BodyLength::UntilClose, BodyLength::Length),
    };
    if body == BodyLength::UntilClose {
        persistence = Persistence::Close;
    }
    Ok(ResponseMeta { version, body, persistence })
}
