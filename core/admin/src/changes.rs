//! The endpoints that change what runs. They order the change and answer when
//! it is made or refused.

use serde_json::{Value, json};

use crate::endpoints::Call;
use crate::reply::{Answer, Reply};
use crate::{Change, ChangeOutcome, Changed};

pub(crate) fn status(call: &Call<'_>) -> Reply {
    Reply::json(&call.source.config_status())
}

pub(crate) fn reload(call: &Call<'_>) -> Answer {
    order(call, Change::Reload)
}

pub(crate) fn rollback(call: &Call<'_>) -> Answer {
    order(call, Change::Rollback)
}

pub(crate) fn diff(call: &Call<'_>) -> Answer {
    let work = call.source.diff(call.body.to_vec());
    Answer::Later(Box::pin(async { work.await.into() }))
}

pub(crate) fn reload_module(call: &Call<'_>) -> Answer {
    // What is not understood is refused: whoever wants to go back does not want
    // whatever the file is.
    let mut asked = call.query.pairs();
    let sha256 = match (asked.next(), asked.next()) {
        (None, _) => None,
        (Some(("sha256", text)), None) => match digest(text) {
            Some(sha256) => Some(sha256),
            None => return refused(400, "bad_request", "expected 64 hexadecimal digits in `sha256=`").into(),
        },
        _ => return refused(400, "bad_request", "expected nothing but one `sha256=` in the query").into(),
    };
    order(call, Change::Module { name: call.name.to_owned(), sha256 })
}

fn order(call: &Call<'_>, change: Change) -> Answer {
    tracing::info!(peer = ?call.peer, ?change, "admin: a change is asked for");
    let work = call.source.change(change);
    Answer::Later(Box::pin(async { work.await.into() }))
}

pub(crate) fn refused(status: u16, kind: &str, message: &str) -> Reply {
    let error = json!({ "message": message, "kind": kind });
    Reply::json(&json!({ "ok": false, "refused": kind, "errors": [error], "warnings": [] })).with_status(status)
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(digest)
}

impl From<Changed> for Reply {
    fn from(changed: Changed) -> Self {
        let status = match changed.outcome {
            ChangeOutcome::Done => 200,
            ChangeOutcome::NotFound => 404,
            ChangeOutcome::Conflict => 409,
            ChangeOutcome::Stale => 412,
            ChangeOutcome::Refused => 422,
            ChangeOutcome::Unavailable => 503,
        };
        let reply = Reply::json(&Value::Object(changed.body)).with_status(status);
        match &changed.etag {
            Some(tag) => reply.with_etag(tag),
            None => reply,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::digest;

    #[test]
    fn a_digest_is_sixty_four_digits() {
        assert_eq!(digest(&"0a".repeat(32)), Some([10; 32]));
        assert_eq!(digest(&"FF".repeat(32)), Some([255; 32]));
        for wrong in ["", "0a", &"0g".repeat(32), &"0a".repeat(33), &"+1".repeat(32), &"ü".repeat(32)] {
            assert_eq!(digest(wrong), None, "{wrong}");
        }
    }
}
