//! The variables without parameters.

use std::time::{Duration, SystemTime};

use sidegate_api::{Completion, ResetBy, StreamState, Variable, VariableValue};

use crate::escape::write_word;
use crate::timestamp::{digits, write_rfc3339};

/// A variable of an access log format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    StartTime,
    Duration,
    ResponseReceivedDuration,
    ProcessDuration,
    BytesReceived,
    BytesSent,
    ResponseCode,
    ResponseFlags,
    ResetBy,
    /// A variable that filters know too.
    Stream(Variable),
    /// MOSN has it and nothing measures it yet.
    Unmeasured,
}

impl Field {
    pub(super) const NAMES: [(&str, Field); 31] = [
        ("start_time", Field::StartTime),
        ("duration", Field::Duration),
        ("request_received_duration", Field::Unmeasured),
        ("request_finished_duration", Field::Unmeasured),
        ("response_received_duration", Field::ResponseReceivedDuration),
        ("process_duration", Field::ProcessDuration),
        ("bytes_received", Field::BytesReceived),
        ("bytes_sent", Field::BytesSent),
        ("protocol", Field::Stream(Variable::Protocol)),
        ("method", Field::Stream(Variable::Method)),
        ("scheme", Field::Stream(Variable::Scheme)),
        ("authority", Field::Stream(Variable::Authority)),
        ("path", Field::Stream(Variable::Path)),
        ("query", Field::Stream(Variable::Query)),
        ("target", Field::Stream(Variable::Target)),
        ("response_code", Field::ResponseCode),
        ("response_flag", Field::ResponseFlags),
        ("response_flags", Field::ResponseFlags),
        ("response_details", Field::Stream(Variable::ResponseDetails)),
        ("reset_by", Field::ResetBy),
        ("request_id", Field::Stream(Variable::RequestId)),
        ("listener", Field::Stream(Variable::ListenerName)),
        ("virtual_host", Field::Stream(Variable::VirtualHost)),
        ("route", Field::Stream(Variable::RouteName)),
        ("upstream_cluster", Field::Stream(Variable::ClusterName)),
        ("upstream_host", Field::Stream(Variable::UpstreamHost)),
        ("upstream_local_address", Field::Unmeasured),
        ("upstream_transport_failure_reason", Field::Unmeasured),
        ("downstream_remote_address", Field::Stream(Variable::DownstreamRemoteAddress)),
        ("downstream_remote_ip", Field::Stream(Variable::DownstreamRemoteIp)),
        ("downstream_local_address", Field::Stream(Variable::DownstreamLocalAddress)),
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
    }

    pub(super) fn write(self, out: &mut Vec<u8>, stream: &StreamState, completion: &Completion) {
        match self {
            // The stream's own clock is monotonic and knows no date.
            Field::StartTime => {
                let now = SystemTime::now();
                write_rfc3339(out, now.checked_sub(completion.duration).unwrap_or(now));
            }
            Field::Duration => write_duration(out, Some(completion.duration)),
            Field::ResponseReceivedDuration => write_duration(out, completion.upstream_duration),
            Field::ProcessDuration => write_duration(
                out,
                Some(completion.duration.saturating_sub(completion.upstream_duration.unwrap_or_default())),
            ),
            Field::BytesReceived => write_integer(out, completion.bytes_received),
            Field::BytesSent => write_integer(out, completion.bytes_sent),
            Field::ResponseCode if completion.status == 0 => out.push(b'-'),
            Field::ResponseCode => write_integer(out, completion.status.into()),
            Field::ResponseFlags => completion.flags.write_to(out),
            Field::ResetBy => out.extend_from_slice(match completion.reset_by {
                ResetBy::Nobody => b"-",
                ResetBy::Downstream => b"downstream",
                ResetBy::Upstream => b"upstream",
                ResetBy::Filter => b"filter",
                ResetBy::Proxy => b"proxy",
            }),
            Field::Stream(variable) => match variable.get(stream) {
                Some(VariableValue::Bytes(bytes)) => write_word(out, bytes),
                Some(VariableValue::Integer(number)) => write_integer(out, number),
                None => out.push(b'-'),
            },
            Field::Unmeasured => out.push(b'-'),
        }
    }
}

fn write_integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Milliseconds with three decimals.
fn write_duration(out: &mut Vec<u8>, duration: Option<Duration>) {
    let Some(duration) = duration else { return out.push(b'-') };
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    write_integer(out, micros / 1000);
    out.push(b'.');
    digits::<3>(out, micros % 1000);
}
