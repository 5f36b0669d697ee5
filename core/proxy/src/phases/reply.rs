//! Our own responses.

use std::future::poll_fn;
use std::task::Poll;

use sidegate_api::{EndOfStream, HeadState, LocalReply, Method};
use sidegate_stream::{Announced, End, Flow, Last, Left, Nobody};

use crate::outcome::Stop;
use crate::phases::respond;
use crate::stream::{Answer, Collecting, Content, ResponseWay, Stream, Watched, held};

/// Bytes of a reply from which on it is counted as held.
const COUNTED_REPLY: usize = 16 * 1024;

/// Bytes of a request body that are read for nothing rather than closing the
/// connection.
const DROPPED_BODY: usize = 64 * 1024;

/// Sends a reply of our own, through the response filters unless they have
/// run already.
pub(crate) async fn send(s: &mut Stream<'_>, reply: Box<LocalReply>) -> Result<End, Stop> {
    let mut reply = *reply;
    s.state.response.status = reply.status;
    s.state.response.reason.clear();
    s.state.response.state = HeadState::Open;
    std::mem::swap(&mut s.state.response.headers, &mut reply.headers);
    s.state.response_trailers.clear();
    s.state.response_body.replace(&reply.body);
    s.response.collected.content = if reply.body.is_empty() { Content::Made } else { Content::Whole };
    s.response.collected.passed = 0;
    if reply.body.len() > COUNTED_REPLY {
        held::recount_here(s).await;
    }
    if s.answer == Answer::Open {
        respond::edit_by_route(s)?;
        let length = Announced::Length(reply.body.len() as u64);
        if let Err(outcome) = respond::response_phase(s, None, length).await {
            return Err(outcome.last());
        }
    }
    let announced = respond::announce(s, Announced::Length(0));
    if s.state.request.method == Method::Head && !matches!(s.state.response.status, 204 | 205 | 304) {
        // What GET would have got; a full map is no reason to fail here.
        let length = s.state.response_body.len().to_string();
        let _ = s.state.response.headers.set(b"content-length", length.as_bytes());
    }
    drop_request_body(s).await;
    respond::begin(s, announced);
    s.response.flow = Flow::new(if announced.is_empty() { Left::Flush } else { Left::Drain(EndOfStream::End) });
    send_out(s).await?;
    Ok(End::Reusable)
}

/// A reply of ours does not need the request's body. If it is small and
/// there, it is dropped, and the connection can carry another request.
async fn drop_request_body(s: &mut Stream<'_>) {
    if s.has_request_body() && s.last == Last::No {
        let dropped = poll_fn(|cx| Poll::Ready(s.client.drop_arrived_body(cx, DROPPED_BODY))).await;
        s.state.info.bytes_received += dropped;
    }
}

/// Sends the reply that is in the stream's buffer, as fast as the client takes
/// it.
async fn send_out(s: &mut Stream<'_>) -> Result<(), Stop> {
    let listener = s.listener;
    let mut before = None;
    let result = poll_fn(|cx| {
        let watch = Watched { chain: s.chain, hooks: &listener.hooks, collected: Collecting::No };
        let mut way = ResponseWay { state: s.state, watch };
        if let Poll::Ready(sent) = s.response.flow.poll(cx, &mut Nobody, &mut s.client, &mut way) {
            return Poll::Ready(sent.map(|_| ()).map_err(|_| Stop::client_gone()));
        }
        let now = Some(s.state.info.bytes_sent);
        if before != now {
            before = now;
            s.timers.down.set(listener.config.timeouts.response_write_idle);
        }
        s.timers.down.poll(cx).map(|()| Err(Stop::client_gone()))
    })
    .await;
    s.timers.down.set(None);
    result
}
