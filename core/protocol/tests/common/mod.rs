//! Drives the decoders over whole inputs.

#![allow(dead_code, reason = "each test binary uses its part")]

pub mod attacks;
pub mod hyper;
pub mod mutation;

use sidegate_api::{Headers, Method, RequestHead, ResponseHead};
use sidegate_protocol::http1::{
    BodyDecoder, BodyError, BodyLength, BodyStep, Decoded, Limits, RequestDecoder, RequestError, RequestMeta,
    ResponseDecoder, ResponseError, ResponseMeta,
};

/// A request as the next layer would see it.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub method: String,
    pub target: String,
    pub authority: String,
    pub headers: Vec<(String, String)>,
    pub meta: RequestMeta,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    pub consumed: usize,
}

/// Why there was none.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    Refused(u16, &'static str),
    /// The input ended in the middle.
    Unfinished,
}

pub fn fields(headers: &Headers) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|(name, value)| (text(name), text(value))).collect()
}

/// Decodes the first request in `input`, which arrives in pieces that end at
/// `cuts` (ascending) and with the input's end.
pub fn request(input: &[u8], cuts: &[usize], limits: &Limits) -> Result<Message, Refusal> {
    let mut ends = cuts.iter().copied().filter(|&cut| cut < input.len()).chain([input.len()]);
    let mut head = RequestHead::default();
    let mut decoder = RequestDecoder::new();
    let (mut end, consumed, meta) = loop {
        let end = ends.next().ok_or(Refusal::Unfinished)?;
        match decoder.decode(&input[..end], limits, &mut head) {
            Ok(Decoded::Partial) => {}
            Ok(Decoded::Complete { consumed, meta }) => break (end, consumed, meta),
            Err(RequestError { status, details }) => return Err(Refusal::Refused(status, details)),
        }
    };
    let mut decoder = BodyDecoder::new(meta.body, limits);
    let mut trailers = Headers::new();
    let (mut at, mut body) = (consumed, Vec::new());
    loop {
        match decoder.decode(&input[at..end], &mut trailers) {
            Ok(BodyStep::Data { start, end }) => {
                assert!(end > start, "empty data");
                body.extend_from_slice(&input[at + start..at + end]);
                at += end;
            }
            Ok(BodyStep::NeedMore { consumed }) => {
                at += consumed;
                end = ends.next().ok_or(Refusal::Unfinished)?;
            }
            Ok(BodyStep::End { consumed }) => {
                at += consumed;
                break;
            }
            Err(BodyError { status, details }) => return Err(Refusal::Refused(status, details)),
        }
    }
    assert!(decoder.is_done());
    Ok(Message {
        method: head.method.as_str().to_owned(),
        target: head.target().to_owned(),
        authority: head.authority.clone(),
        headers: fields(&head.headers),
        meta,
        body,
        trailers: fields(&trailers),
        consumed: at,
    })
}

/// Decodes the first response head in `input`.
pub fn response(input: &[u8], method: &Method) -> Result<(ResponseHead, ResponseMeta, usize), ResponseError> {
    let mut head = ResponseHead::default();
    match ResponseDecoder::new().decode(input, &Limits::default(), method, &mut head)? {
        Decoded::Complete { consumed, meta } => Ok((head, meta, consumed)),
        Decoded::Partial => panic!("unfinished: {:?}", String::from_utf8_lossy(input)),
    }
}

/// Decodes a whole body.
pub fn body(input: &[u8], length: BodyLength, limits: &Limits) -> Result<(Vec<u8>, Headers), BodyError> {
    let mut decoder = BodyDecoder::new(length, limits);
    let mut trailers = Headers::new();
    let (mut at, mut body) = (0, Vec::new());
    loop {
        match decoder.decode(&input[at..], &mut trailers)? {
            BodyStep::Data { start, end } => {
                body.extend_from_slice(&input[at + start..at + end]);
                at += end;
            }
            BodyStep::NeedMore { .. } => {
                decoder.at_eof()?;
                return Ok((body, trailers));
            }
            BodyStep::End { .. } => return Ok((body, trailers)),
        }
    }
}
