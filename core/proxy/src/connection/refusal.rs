//! A request whose head was refused: no stream, but an answer and a line in
//! the access log.

use std::future::poll_fn;
use std::task::Poll;

use sidegate_api::{HeadState, ResetBy, ResponseFlags, StreamState};
use sidegate_net::WorkerContext;
use sidegate_stream::{Announced, Data, Downstream, End, Last, RequestError};

use crate::stream::{Timers, complete};
use crate::view::ListenerView;

/// Why there is no request.
pub(super) struct Refusal {
    /// To answer with; 0 where nobody is left to read it.
    pub(super) status: u16,
    pub(super) details: &'static str,
    pub(super) flag: ResponseFlags,
}

impl From<RequestError> for Refusal {
    fn from(RequestError { status, details }: RequestError) -> Self {
        let too_large = matches!(status, 413 | 414 | 431);
        let flag = if too_large { ResponseFlags::TOO_LARGE } else { ResponseFlags::DOWNSTREAM_PROTOCOL };
        Refusal { status, details, flag }
    }
}

impl Refusal {
    /// The client is gone.
    pub(super) fn gone(details: &'static str) -> Self {
        Refusal { status: 0, details, flag: ResponseFlags::DOWNSTREAM_CLOSED }
    }

    /// Answers and logs; says whether the answer went out.
    pub(super) async fn answer(
        self,
        worker: &WorkerContext,
        listener: &ListenerView,
        mut client: Downstream<'_>,
        state: &mut StreamState,
        timers: &Timers,
    ) -> bool {
        let Refusal { status, details, flag } = self;
        listener.stats.request_started();
        state.info.flags.insert(flag);
        state.info.details = details;
        if status == 0 {
            complete::refused(listener, state, 0, ResetBy::Downstream, client.new_traffic());
            return false;
        }
        let body = format!("{details}\n");
        state.response.status = status;
        state.response.state = HeadState::Open;
        state.response.headers.clear();
        // A fresh map has room for one short field.
        let _ = state.response.headers.add(b"content-type", b"text/plain; charset=utf-8");
        client.start(worker, &state.response, Announced::Length(body.len() as u64), Last::Yes);
        timers.down.set(listener.config.timeouts.response_write_idle);
        let mut left = body.as_bytes();
        let mut finished = false;
        let sent = poll_fn(|cx| {
            while !left.is_empty() {
                match client.poll_send(cx, Data::Slice(left)) {
                    Poll::Ready(Ok(count)) => left = &left[count..],
                    Poll::Ready(Err(_)) => return Poll::Ready(false),
                    Poll::Pending => return timers.down.poll(cx).map(|()| false),
                }
            }
            if !std::mem::replace(&mut finished, true) {
                client.finish(&state.response_trailers);
            }
            match client.poll_flush(cx) {
                Poll::Ready(result) => Poll::Ready(result.is_ok()),
                Poll::Pending => timers.down.poll(cx).map(|()| false),
            }
        })
        .await;
        timers.down.set(None);
        state.info.bytes_sent = (body.len() - left.len()) as u64;
        complete::refused(listener, state, status, ResetBy::Nobody, client.new_traffic());
        if !sent && matches!(client, Downstream::H2(_)) {
            client.end(End::Reset(sidegate_stream::Reason::Cancel));
        }
        sent
    }
}
