//! Facts as MOSN writes them, for those who parse its logs. Where MOSN means
//! something else by a name than we do, its meaning counts here.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sidegate_api::{Completion, Protocol, ResponseFlags, StreamState, Variable};

use super::fact::Fact;
use super::needs::LogNeeds;
use super::value::Value;
use crate::timestamp::digits;

/// A fact that MOSN writes in another way than we do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MosnFact {
    /// In local time: `2006/01/02 15:04:05.000`.
    StartTime(TimeZone),
    /// As Go writes durations; `0s` if it was not measured.
    Duration(Fact),
    /// `Http1` or `Http2`.
    Protocol(Fact),
    /// 0 if there was none.
    ResponseCode,
    /// Whether anything went wrong: `true` or `false`.
    Failed,
    /// What went wrong, as MOSN's bits: `0x0`.
    FailureBits,
    /// Address of the host, under the name of our end of the connection.
    UpstreamAddress,
    /// Configured name of the host.
    UpstreamHostname,
}

impl MosnFact {
    /// MOSN's way to write `fact`; `None`: it is ours.
    pub(super) fn of_fact(fact: Fact) -> Option<Self> {
        Some(match fact {
            // Where the zone is not known it is the same in most containers.
            Fact::StartTime => MosnFact::StartTime(TimeZone::try_system().unwrap_or(TimeZone::UTC)),
            // MOSN has read the whole request when it sends it on.
            Fact::RequestReceived => MosnFact::Duration(Fact::RequestForwarded),
            Fact::Duration | Fact::RequestForwarded | Fact::ResponseReceived | Fact::Process => {
                MosnFact::Duration(fact)
            }
            Fact::Stream(Variable::Protocol) | Fact::UpstreamProtocol => MosnFact::Protocol(fact),
            Fact::ResponseCode => MosnFact::ResponseCode,
            Fact::ResponseFlags => MosnFact::Failed,
            Fact::UpstreamFailure => MosnFact::FailureBits,
            Fact::UpstreamLocalAddress => MosnFact::UpstreamAddress,
            Fact::Stream(Variable::UpstreamHost) => MosnFact::UpstreamHostname,
            _ => return None,
        })
    }

    pub(super) fn needs(&self) -> LogNeeds {
        match self {
            MosnFact::Duration(fact) => fact.needs(),
            MosnFact::UpstreamHostname => LogNeeds { upstream_hostname: true, ..LogNeeds::default() },
            _ => LogNeeds::default(),
        }
    }

    pub(super) fn of<'a>(&'a self, stream: &'a StreamState, completion: &Completion) -> Value<'a> {
        match self {
            MosnFact::StartTime(zone) => match Fact::StartTime.of(stream, completion) {
                Value::Time(time) => Value::LocalTime(time, zone),
                other => other,
            },
            MosnFact::Duration(fact) => match fact.of(stream, completion) {
                Value::Duration(duration) => Value::GoDuration(duration),
                _ => Value::GoDuration(Duration::ZERO),
            },
            MosnFact::Protocol(fact) => {
                let protocol = match fact {
                    Fact::UpstreamProtocol => stream.info.upstream_protocol,
                    _ => stream.info.protocol,
                };
                Value::Name(if protocol == Protocol::Http2 { "Http2" } else { "Http1" })
            }
            MosnFact::ResponseCode => Value::Integer(completion.status.into()),
            MosnFact::Failed => Value::Name(if bits(completion.flags) == 0 { "false" } else { "true" }),
            MosnFact::FailureBits => Value::Bits(bits(completion.flags)),
            MosnFact::UpstreamAddress => Fact::Stream(Variable::UpstreamHost).of(stream, completion),
            MosnFact::UpstreamHostname => Value::word(stream.info.upstream_hostname.as_deref().map(str::as_bytes)),
        }
    }
}

/// MOSN's flags, as far as we have the case. What it has none for (a filter
/// that replies, a client that breaks the protocol or leaves) is 0 there, too.
fn bits(flags: ResponseFlags) -> u32 {
    [
        (ResponseFlags::NO_HEALTHY_UPSTREAM, 0x2),
        (ResponseFlags::UPSTREAM_TIMEOUT, 0x4),
        (ResponseFlags::UPSTREAM_PROTOCOL, 0x10),
        (ResponseFlags::UPSTREAM_CONNECT, 0x20),
        (ResponseFlags::EXHAUSTED, 0x20),
        (ResponseFlags::UPSTREAM_CLOSED, 0x40),
        (ResponseFlags::OVERFLOW, 0x80),
        (ResponseFlags::NO_ROUTE, 0x100),
        (ResponseFlags::TOO_LARGE, 0x1000),
        (ResponseFlags::FILTER_TERMINATED, 0x2000),
    ]
    .into_iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .fold(0, |bits, (_, bit)| bits | bit)
}

/// As Go's `time.Duration` writes itself: `1h2m3.5s`, `1.5ms`, `250µs`, `0s`.
pub(super) fn write_go_duration(out: &mut Vec<u8>, duration: Duration) {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let integer = |out: &mut Vec<u8>, value: u64| out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    let (unit, name) = match nanos {
        0 => return out.extend_from_slice(b"0s"),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let mut whole = nanos / unit;
    if name == "s" {
        let (hours, minutes) = (whole / 3600, whole / 60 % 60);
        if hours > 0 {
            integer(out, hours);
            out.push(b'h');
        }
        if hours > 0 || minutes > 0 {
            integer(out, minutes);
            out.push(b'm');
        }
        whole %= 60;
    }
    integer(out, whole);
    let (mut fraction, mut scale) = (nanos % unit, unit);
    if fraction > 0 {
        out.push(b'.');
        while fraction > 0 {
            scale /= 10;
            integer(out, fraction / scale);
            fraction %= scale;
        }
    }
    out.extend_from_slice(name.as_bytes());
}

/// `2006/01/02 15:04:05.000` in `zone`.
pub(super) fn write_local(out: &mut Vec<u8>, time: SystemTime, zone: &TimeZone) {
    let stamp = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    let time = zone.to_datetime(stamp);
    let part = |value: i8| u64::try_from(value).unwrap_or(0);
    digits::<4>(out, u64::try_from(time.year()).unwrap_or(0));
    out.push(b'/');
    digits::<2>(out, part(time.month()));
    out.push(b'/');
    digits::<2>(out, part(time.day()));
    out.push(b' ');
    digits::<2>(out, part(time.hour()));
    out.push(b':');
    digits::<2>(out, part(time.minute()));
    out.push(b':');
    digits::<2>(out, part(time.second()));
    out.push(b'.');
    digits::<3>(out, u64::try_from(time.subsec_nanosecond() / 1_000_000).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        // What Go's `time.Duration(n).String()` gives.
        for (nanos, expected) in [
            (0, "0s"),
            (1, "1ns"),
            (999, "999ns"),
            (1_000, "1µs"),
            (1_100, "1.1µs"),
            (250_000, "250µs"),
            (1_000_000, "1ms"),
            (1_500_000, "1.5ms"),
            (2_002_003, "2.002003ms"),
            (999_999_999, "999.999999ms"),
            (1_000_000_000, "1s"),
            (1_050_000_000, "1.05s"),
            (60_000_000_000, "1m0s"),
            (61_000_000_001, "1m1.000000001s"),
            (3_600_000_000_000, "1h0m0s"),
            (5_025_250_000_000, "1h23m45.25s"),
        ] {
            let mut out = Vec::new();
            write_go_duration(&mut out, Duration::from_nanos(nanos));
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{nanos}");
        }
    }

    #[test]
    fn times_are_local() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_042);
        for (zone, expected) in [
            (TimeZone::UTC, "2023/11/14 22:13:20.042"),
            (TimeZone::fixed(jiff::tz::offset(8)), "2023/11/15 06:13:20.042"),
        ] {
            let mut out = Vec::new();
            write_local(&mut out, time, &zone);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
