//! One HTTP stream of a session: its filter, and what waits for that.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use sidegate_proto::v1;
use sidegate_proto::v1::event::Kind;

use crate::{Answer, Filter};

/// What a hook came to: the filter, and how much of a body it took.
pub(crate) struct Done {
    pub(crate) stream: u64,
    pub(crate) filter: Box<dyn Filter>,
    pub(crate) hook: u32,
    /// `None` at the end of the stream.
    pub(crate) answer: Option<Answer>,
    pub(crate) observed: v1::Credit,
}

pub(crate) type Running = Pin<Box<dyn Future<Output = Done> + Send>>;

pub(crate) struct Stream {
    /// `None` while a hook is under way.
    filter: Option<Box<dyn Filter>>,
    waiting: VecDeque<v1::Event>,
    /// Pieces of a body's hook that is not whole yet.
    pieces: BytesMut,
}

impl Stream {
    pub(crate) fn new(filter: Box<dyn Filter>) -> Self {
        Stream { filter: Some(filter), waiting: VecDeque::new(), pieces: BytesMut::new() }
    }

    /// Takes an event. Bytes of a body that only waits for its rest are
    /// credited at once.
    pub(crate) fn push(&mut self, mut event: v1::Event) -> Option<v1::Credit> {
        let is_answered = event.hook != 0;
        let mut credit = v1::Credit::default();
        let (chunk, bytes) = match &mut event.kind {
            Some(Kind::RequestBody(chunk)) => (chunk, &mut credit.request_bytes),
            Some(Kind::ResponseBody(chunk)) => (chunk, &mut credit.response_bytes),
            _ => {
                self.waiting.push_back(event);
                return None;
            }
        };
        if is_answered && chunk.more {
            *bytes = chunk.data.len() as u64;
            self.pieces.extend_from_slice(&chunk.data);
            return Some(credit);
        }
        if is_answered && !self.pieces.is_empty() {
            self.pieces.extend_from_slice(&chunk.data);
            chunk.data = std::mem::take(&mut self.pieces).freeze();
        }
        self.waiting.push_back(event);
        None
    }

    /// The next hook, if none is under way.
    pub(crate) fn next(&mut self) -> Option<Running> {
        if self.waiting.is_empty() {
            return None;
        }
        let filter = self.filter.take()?;
        self.waiting.pop_front().map(|event| Box::pin(run(filter, event)) as Running)
    }

    pub(crate) fn give_back(&mut self, filter: Box<dyn Filter>) {
        self.filter = Some(filter);
    }
}

/// What a future has come to by now.
pub(crate) async fn once(running: &mut Running) -> Option<Done> {
    poll_fn(|cx| match running.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

async fn run(mut filter: Box<dyn Filter>, event: v1::Event) -> Done {
    let (stream, hook) = (event.stream, event.hook);
    let mut observed = v1::Credit::default();
    let length = |data: &Bytes| if hook == 0 { data.len() as u64 } else { 0 };
    let answer = match event.kind {
        Some(Kind::RequestHeaders(head)) => Some(filter.request_headers(head).await),
        Some(Kind::RequestBody(chunk)) => {
            observed.request_bytes = length(&chunk.data);
            Some(filter.request_body(chunk).await)
        }
        Some(Kind::RequestTrailers(trailers)) => Some(filter.request_trailers(trailers).await),
        Some(Kind::ResponseHeaders(head)) => Some(filter.response_headers(head).await),
        Some(Kind::ResponseBody(chunk)) => {
            observed.response_bytes = length(&chunk.data);
            Some(filter.response_body(chunk).await)
        }
        Some(Kind::ResponseTrailers(trailers)) => Some(filter.response_trailers(trailers).await),
        Some(Kind::End(end)) => {
            filter.end(end.completion).await;
            None
        }
        // A hook of a later minor that has to be answered.
        None => Some(Answer::proceed()),
    };
    Done { stream, filter, hook, answer, observed }
}
