//! Events of the protocol as bytes, written straight from a stream's maps.

use bytes::{BufMut, Bytes};
use prost::encoding::{encode_varint, encoded_len_varint};
use sidegate_api::{BodyDirection, Completion, EndOfStream, FilterCx, HeaderMapKind, Headers, Variable, VariableValue};

use super::hook::Hook;
use super::known::Known;
use super::settings::StreamingSettings;
use crate::streaming::factory::RouteConfig;

/// One piece of a body's hook.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) more: bool,
    /// The trailers of a whole body go along.
    pub(crate) with_trailers: bool,
}

/// What an event of a stream carries beside its hook.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extras<'a> {
    pub(crate) settings: &'a StreamingSettings,
    pub(crate) known: &'a Known,
}

/// The message of a hook that is about a head or trailers.
pub(crate) fn fields(cx: &FilterCx<'_>, hook: Hook, extras: Extras<'_>) -> Bytes {
    let headers = cx.headers(hook.map());
    let mut out = Writer::with_capacity(128 + headers.byte_len() + 8 * headers.len());
    match hook {
        Hook::RequestHeaders(phase, end) => {
            out.number(1, phase as u64);
            for (tag, variable) in
                [(2, Variable::Method), (3, Variable::Scheme), (4, Variable::Authority), (5, Variable::Target)]
            {
                if let Some(VariableValue::Bytes(value)) = cx.variable(variable) {
                    out.bytes(tag, value);
                }
            }
            out.fields(6, headers);
            out.flag(7, end == EndOfStream::End);
            out.variables(8, 9, cx, extras);
            out.bytes(10, route_config(cx).as_bytes());
            out.number(11, cx.body_limit() as u64);
        }
        Hook::ResponseHeaders(end) => {
            out.number(1, cx.stream().response.status.into());
            out.fields(2, headers);
            out.flag(3, end == EndOfStream::End);
            out.variables(4, 5, cx, extras);
            out.bytes(6, route_config(cx).as_bytes());
            out.number(7, cx.body_limit() as u64);
        }
        Hook::RequestTrailers | Hook::ResponseTrailers => out.fields(1, headers),
        Hook::RequestBody(_) | Hook::ResponseBody(_) => {}
    }
    out.finish()
}

/// The message of a piece of a body.
pub(crate) fn body(cx: &FilterCx<'_>, hook: Hook, end: EndOfStream, piece: Piece) -> Bytes {
    let buffer = cx.body(hook.direction());
    let bytes = buffer.and_then(|buffer| buffer.as_slice().get(piece.from..piece.to)).unwrap_or_default();
    let mut out = Writer::with_capacity(32 + bytes.len());
    out.bytes(1, bytes);
    out.flag(2, piece.more);
    out.flag(3, buffer.is_none_or(|buffer| buffer.is_last() || end == EndOfStream::End));
    out.flag(4, end == EndOfStream::End);
    if piece.with_trailers && !piece.more {
        out.fields(
            5,
            cx.headers(match hook.direction() {
                BodyDirection::Request => HeaderMapKind::RequestTrailers,
                BodyDirection::Response => HeaderMapKind::ResponseTrailers,
            }),
        );
    }
    out.finish()
}

pub(crate) fn completion(cx: &FilterCx<'_>, completion: &Completion, extras: Extras<'_>) -> Bytes {
    let mut out = Writer::with_capacity(64);
    let micros = |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    out.number(1, completion.status.into());
    out.number(2, completion.flags.bits().into());
    out.number(3, completion.bytes_received);
    out.number(4, completion.bytes_sent);
    out.number(5, micros(completion.duration));
    out.number(6, completion.upstream_duration.map_or(0, |duration| micros(duration).max(1)));
    out.number(7, completion.reset_by as u64);
    out.variables(8, 9, cx, extras);
    // Present, even where all of it is zero.
    let inner = out.finish();
    let mut out = Writer::with_capacity(inner.len() + 8);
    out.message(1, &inner);
    out.finish()
}

/// `Event`, as an element of the field `events` of `HostMessage`.
pub(crate) fn event(out: &mut Vec<u8>, stream: u64, hook: u32, kind: u8, inner: &[u8]) {
    const EVENTS: u8 = 2 << 3 | 2;
    let length = 1
        + encoded_len_varint(stream)
        + if hook == 0 { 0 } else { 1 + encoded_len_varint(hook.into()) }
        + 1
        + encoded_len_varint(inner.len() as u64)
        + inner.len();
    out.push(EVENTS);
    encode_varint(length as u64, out);
    out.push(1 << 3);
    encode_varint(stream, out);
    if hook != 0 {
        out.push(2 << 3);
        encode_varint(hook.into(), out);
    }
    out.push(kind << 3 | 2);
    encode_varint(inner.len() as u64, out);
    out.put_slice(inner);
}

fn route_config<'a>(cx: &'a FilterCx<'_>) -> &'a str {
    let object = cx.route_config().and_then(|object| object.as_any().downcast_ref::<RouteConfig>());
    object.map_or("", |config| &config.0)
}

/// Fields of a message; what has its default is left out, as in proto3. All
/// numbers are below 16, so that a tag is one byte.
struct Writer(Vec<u8>);

impl Writer {
    fn with_capacity(bytes: usize) -> Self {
        Writer(Vec::with_capacity(bytes))
    }

    fn finish(self) -> Bytes {
        self.0.into()
    }

    fn number(&mut self, tag: u8, value: u64) {
        if value != 0 {
            self.0.push(tag << 3);
            encode_varint(value, &mut self.0);
        }
    }

    fn flag(&mut self, tag: u8, value: bool) {
        self.number(tag, value.into());
    }

    fn bytes(&mut self, tag: u8, value: &[u8]) {
        if !value.is_empty() {
            self.message(tag, value);
        }
    }

    fn message(&mut self, tag: u8, value: &[u8]) {
        self.0.push(tag << 3 | 2);
        encode_varint(value.len() as u64, &mut self.0);
        self.0.put_slice(value);
    }

    fn pair(&mut self, tag: u8, name: &[u8], value: &[u8]) {
        let of = |part: &[u8]| if part.is_empty() { 0 } else { 1 + encoded_len_varint(part.len() as u64) + part.len() };
        self.0.push(tag << 3 | 2);
        encode_varint((of(name) + of(value)) as u64, &mut self.0);
        self.bytes(1, name);
        self.bytes(2, value);
    }

    fn fields(&mut self, tag: u8, headers: &Headers) {
        for (name, value) in headers.iter() {
            self.pair(tag, name, value);
        }
    }

    fn variables(&mut self, tag: u8, shared_tag: u8, cx: &FilterCx<'_>, extras: Extras<'_>) {
        let Extras { settings, known } = extras;
        for &variable in &settings.variables {
            self.variable(tag, cx, variable);
        }
        if known.asks_for_any() {
            let asked = Variable::ALL.into_iter().filter(|variable| known.asks_for(*variable));
            for variable in asked.filter(|variable| !settings.variables.contains(variable)) {
                self.variable(tag, cx, variable);
            }
        }
        for name in &settings.shared {
            if let Some(value) = cx.named(name.as_bytes()) {
                self.pair(shared_tag, name.as_bytes(), value);
            }
        }
    }

    fn variable(&mut self, tag: u8, cx: &FilterCx<'_>, variable: Variable) {
        let digits;
        let value = match cx.variable(variable) {
            None => return,
            Some(VariableValue::Bytes(bytes)) => bytes,
            Some(VariableValue::Integer(number)) => {
                digits = number.to_string();
                digits.as_bytes()
            }
        };
        let of_value = if value.is_empty() { 0 } else { 1 + encoded_len_varint(value.len() as u64) + value.len() };
        let number = variable as u64;
        self.0.push(tag << 3 | 2);
        encode_varint((1 + encoded_len_varint(number) + of_value) as u64, &mut self.0);
        self.number(1, number);
        self.bytes(2, value);
    }
}

#[cfg(test)]
mod tests;
