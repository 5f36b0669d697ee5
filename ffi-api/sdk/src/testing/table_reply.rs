//! The in-memory host's replies: the last one that a hook set decides.

use std::mem::size_of;

use sidegate_abi as abi;

use super::state::{Field, SetReply, StreamState};
use super::table::{fields, stream_of};
use super::table_headers::{check_field, MAX_FIELDS};
use super::table_stream::{excerpt, MAX_BODY};
use crate::host::lent;
use crate::HostError;

/// A reply that a filter set.
pub(super) struct ReplyState {
    pub(super) status: u16,
    pub(super) headers: Vec<Field>,
    pub(super) body: Vec<u8>,
}

pub(super) unsafe extern "C" fn reply(stream: *mut abi::Stream, reply: *const abi::Reply) -> u32 {
    // SAFETY: in the stream's hook; the reply is lent for the call.
    let (stream, reply) = unsafe { (stream_of(stream), &*reply) };
    // SAFETY: as above.
    let (headers, body) = unsafe { (fields(reply.headers, reply.headers_len), lent(reply.body)) };
    let what = format!("reply {} with {}", reply.status, excerpt(body));
    let code = match checked(stream, reply, headers, body) {
        Ok(reply) => {
            stream.reply = SetReply::Taken(reply);
            abi::OK
        }
        Err((code, part)) => {
            let reason = HostError::from_code(code).map(|error| error.to_string()).unwrap_or_default();
            stream.reply = SetReply::Refused(format!("its call `reply` was refused: {part}: {reason}"));
            code
        }
    };
    stream.note(|| what, code)
}

/// The reply, or why it is not taken and what of it.
fn checked(
    stream: &StreamState,
    raw: &abi::Reply,
    headers: Vec<Field>,
    body: &[u8],
) -> Result<ReplyState, (u32, String)> {
    let known = size_of::<abi::Reply>() as u64;
    if raw.size < known {
        return Err((abi::BAD_ARGUMENT, "size".to_owned()));
    }
    if raw.flags != 0 {
        return Err((abi::BAD_VALUE, "flags".to_owned()));
    }
    let part = || format!("status {}", raw.status);
    let status = u16::try_from(raw.status).ok().filter(|status| (200..=599).contains(status));
    let status = status.ok_or_else(|| (abi::BAD_VALUE, part()))?;
    if stream.response_sent || stream.ended {
        return Err((abi::NOT_NOW, part()));
    }
    if body.len() > MAX_BODY {
        return Err((abi::LIMIT, format!("body of {} bytes", body.len())));
    }
    if headers.len() > MAX_FIELDS {
        return Err((abi::LIMIT, format!("{} fields", headers.len())));
    }
    for (name, value) in &headers {
        check_field(name, value).map_err(|code| (code, format!("field `{}`", name.escape_ascii())))?;
    }
    let headers = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    Ok(ReplyState { status, headers, body: body.to_vec() })
}

impl StreamState {
    /// Why a hook that set its reply and returned `status` fails, whatever the
    /// fault policy says.
    pub(super) fn contradiction(&self, status: u32) -> Option<String> {
        let what = match (&self.reply, status) {
            (SetReply::None, _) | (SetReply::Taken(_), abi::STATUS_STOP | abi::STATUS_TERMINATE) => return None,
            (SetReply::Taken(reply), _) => format!("its reply {} was dropped", reply.status),
            (SetReply::Refused(why), _) => why.clone(),
        };
        Some(match (status, &self.fault) {
            (abi::STATUS_FAULT, Some(said)) => format!("{what}; then it failed: {said}"),
            _ => format!("{what}; then the hook answered {}", name_of(status)),
        })
    }
}

fn name_of(status: u32) -> String {
    match status {
        abi::STATUS_CONTINUE => "Continue".to_owned(),
        abi::STATUS_STOP => "Stop".to_owned(),
        abi::STATUS_PENDING => "Pending".to_owned(),
        abi::STATUS_TERMINATE => "Terminate".to_owned(),
        abi::STATUS_REMATCH_ROUTE => "RematchRoute".to_owned(),
        abi::STATUS_RECHOOSE_HOST => "RechooseHost".to_owned(),
        abi::STATUS_FAULT => "Fault".to_owned(),
        other => other.to_string(),
    }
}
