//! A value in a line, and how each kind of line shows it.

use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;
use sidegate_api::ResponseFlags;

use super::mosn::{write_go_duration, write_local};
use crate::escape::{write_json, write_value, write_word};
use crate::timestamp::{digits, write_rfc3339};

/// What a variable is in one stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Absent,
    /// One word, unless a peer wants to confuse.
    Word(&'a [u8]),
    /// May hold blanks.
    Text(&'a [u8]),
    /// One of ours, without anything to escape.
    Name(&'static str),
    Integer(u64),
    /// Shown in local time, as in MOSN.
    LocalTime(SystemTime, &'a TimeZone),
    /// Shown as in Go.
    GoDuration(Duration),
    /// Shown as in MOSN.
    Bits(u32),
    /// Shown in milliseconds.
    Duration(Duration),
    Time(SystemTime),
    Flags(ResponseFlags),
}

impl<'a> Value<'a> {
    pub(super) fn word(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(Value::Absent, Value::Word)
    }

    pub(super) fn text(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(Value::Absent, Value::Text)
    }

    pub(super) fn integer(number: Option<u64>) -> Self {
        number.map_or(Value::Absent, Value::Integer)
    }

    pub(super) fn micros(micros: Option<u64>) -> Self {
        micros.map_or(Value::Absent, |micros| Value::Duration(Duration::from_micros(micros)))
    }

    /// In a line of text: `-` where there is nothing.
    pub(super) fn write_text(self, out: &mut Vec<u8>) {
        match self {
            Value::Absent => out.push(b'-'),
            Value::Word(bytes) => write_word(out, bytes),
            Value::Text(bytes) => write_value(out, bytes),
            other => other.write_ours(out),
        }
    }

    /// As a whole JSON value: numbers as numbers, `null` where there is nothing.
    pub(super) fn write_json(self, out: &mut Vec<u8>) {
        match self {
            Value::Absent => out.extend_from_slice(b"null"),
            Value::Flags(flags) if flags == ResponseFlags::default() => out.extend_from_slice(b"null"),
            Value::Integer(_) | Value::Duration(_) => self.write_ours(out),
            other => {
                out.push(b'"');
                other.write_in_json(out);
                out.push(b'"');
            }
        }
    }

    /// Within a JSON string.
    pub(super) fn write_in_json(self, out: &mut Vec<u8>) {
        match self {
            Value::Absent => out.push(b'-'),
            Value::Word(bytes) | Value::Text(bytes) => write_json(out, bytes),
            other => other.write_ours(out),
        }
    }

    /// What no peer has a say in.
    fn write_ours(self, out: &mut Vec<u8>) {
        match self {
            Value::Absent | Value::Word(_) | Value::Text(_) => {}
            Value::Name(name) => out.extend_from_slice(name.as_bytes()),
            Value::Integer(number) => write_integer(out, number),
            Value::Duration(duration) => write_millis(out, duration),
            Value::Time(time) => write_rfc3339(out, time),
            Value::Flags(flags) => flags.write_to(out),
            Value::LocalTime(time, zone) => write_local(out, time, zone),
            Value::GoDuration(duration) => write_go_duration(out, duration),
            Value::Bits(bits) => out.extend_from_slice(format!("0x{bits:x}").as_bytes()),
        }
    }
}

fn write_integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Milliseconds with three decimals.
fn write_millis(out: &mut Vec<u8>, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    write_integer(out, micros / 1000);
    out.push(b'.');
    digits::<3>(out, micros % 1000);
}
