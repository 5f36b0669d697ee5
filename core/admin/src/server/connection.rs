//! One connection: requests in, replies out, with the proxy's own codec, so
//! that what is refused on the data path is refused here.

use std::time::{Duration, SystemTime};

use sidegate_api::{HeaderCase, Headers, Method, Protocol, RequestHead};
use sidegate_protocol::http1::{
    BodyDecoder, BodyLength, BodyStep, CHUNK_END, CONTINUE, ChunkPrefix, Decoded, Expect, Limits, Persistence,
    RequestDecoder, RequestMeta, ResponseFraming, encode_last_chunk, encode_response_head, http_date, only_blank_lines,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};

use super::places::Activity;
use super::{Body, Site};
use crate::access::Peer;
use crate::reply::{Answer, Reply, ReplyBody};

/// From the first byte of a head, or from the start of a connection, to the
/// head's end.
const HEAD_TIME: Duration = Duration::from_secs(5);
const BODY_TIME: Duration = Duration::from_secs(5);
/// For a client to take its answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// Between two requests.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// After this a connection is closed with its next answer.
const LIFE: Duration = Duration::from_secs(120);
/// For a client that sends on what was refused to read the reason before the
/// connection is gone.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;
const READ_SIZE: usize = 4096;

/// A connection and what was read ahead on it.
pub(super) struct Connection<S> {
    stream: S,
    peer: Peer,
    activity: Activity,
    /// Turns true when the server ends.
    closing: watch::Receiver<bool>,
    limits: Limits,
    decoder: RequestDecoder,
    head: RequestHead,
    unread: Vec<u8>,
    born: Instant,
}

/// Why there is no request.
enum NoRequest {
    /// The client left, said nothing for too long, or the server ends.
    Over,
    /// To be answered; where the next request would start is unknown.
    Refused(Reply),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, peer: Peer, activity: Activity, closing: watch::Receiver<bool>) -> Self {
        let limits = Limits { max_head_bytes: 16 * 1024, max_headers: 64, ..Limits::default() };
        let (decoder, head, unread) = (RequestDecoder::new(), RequestHead::default(), Vec::new());
        Connection { stream, peer, activity, closing, limits, decoder, head, unread, born: Instant::now() }
    }

    /// Serves until one side has had enough.
    pub(super) async fn serve(mut self, site: &impl Site) {
        let mut deadline = self.born + HEAD_TIME;
        loop {
            let meta = match self.read_head(deadline).await {
                Ok(meta) => meta,
                Err(NoRequest::Over) => return,
                Err(NoRequest::Refused(reply)) => {
                    let _ = self.write(reply, Protocol::Http11, Persistence::Close).await;
                    return self.linger().await;
                }
            };
            self.activity.answers();
            let (reply, is_at_end) = self.answer(site, &meta).await;
            let persistence = match self.is_last() || !is_at_end {
                true => Persistence::Close,
                false => meta.persistence,
            };
            let Ok(persistence) = self.write(reply, meta.version, persistence).await else { return };
            self.activity.waits();
            if persistence == Persistence::Close {
                return match is_at_end {
                    true => {}
                    false => self.linger().await,
                };
            }
            deadline = (Instant::now() + IDLE_TIME).min(self.born + LIFE);
        }
    }

    fn is_last(&self) -> bool {
        *self.closing.borrow() || self.born.elapsed() >= LIFE
    }

    /// Reads a head. `deadline` is for its first byte; a head that is begun has
    /// a time of its own.
    async fn read_head(&mut self, mut deadline: Instant) -> Result<RequestMeta, NoRequest> {
        let mut has_begun = false;
        loop {
            if !has_begun && !only_blank_lines(&self.unread) {
                has_begun = true;
                deadline = Instant::now() + HEAD_TIME;
            }
            match self.decoder.decode(&self.unread, &self.limits, &mut self.head) {
                Ok(Decoded::Complete { consumed, meta }) => {
                    self.unread.drain(..consumed);
                    return Ok(meta);
                }
                Ok(Decoded::Partial) => {}
                Err(error) => return Err(NoRequest::Refused(Reply::text(error.status, error.details))),
            }
            // What is there is read before an end is looked for.
            let read = tokio::select! {
                biased;
                read = timeout_at(deadline, fill(&mut self.stream, &mut self.unread)) => read,
                _ = self.closing.wait_for(|closing| *closing) => return Err(NoRequest::Over),
            };
            match read {
                Ok(Ok(1..)) => {}
                Err(_) if has_begun => return Err(NoRequest::Refused(Reply::text(408, "the head took too long"))),
                _ => return Err(NoRequest::Over),
            }
        }
    }

    /// The reply, and whether the request was read to its end.
    async fn answer(&mut self, site: &impl Site, meta: &RequestMeta) -> (Reply, bool) {
        let has_none = matches!(meta.body, BodyLength::None | BodyLength::Length(0));
        match site.admit(&self.head, self.peer) {
            Err(reply) => (reply, has_none),
            Ok(Body::Ignored) => (finished(site.reply(&self.head, self.peer, &[])).await, has_none),
            Ok(Body::Needed(most)) => match timeout(BODY_TIME, self.read_body(meta, most)).await {
                Ok(Ok(body)) => (finished(site.reply(&self.head, self.peer, &body)).await, true),
                Ok(Err(reply)) => (reply, false),
                Err(_) => (Reply::text(408, "the body took too long"), false),
            },
        }
    }

    async fn read_body(&mut self, meta: &RequestMeta, most: u64) -> Result<Vec<u8>, Reply> {
        if matches!(meta.body, BodyLength::Length(length) if length > most) {
            return Err(Reply::text(413, "the body is too large"));
        }
        let mut decoder = BodyDecoder::new(meta.body, &Limits { max_body: Some(most), ..self.limits });
        let (mut body, mut trailers) = (Vec::new(), Headers::default());
        if meta.expect == Expect::Continue && self.stream.write_all(CONTINUE).await.is_err() {
            return Err(Reply::bad_request("the body could not be read"));
        }
        loop {
            match decoder.decode(&self.unread, &mut trailers) {
                Ok(BodyStep::Data { start, end }) => {
                    body.extend_from_slice(&self.unread[start..end]);
                    self.unread.drain(..end);
                }
                Ok(BodyStep::End { consumed }) => {
                    self.unread.drain(..consumed);
                    return Ok(body);
                }
                Ok(BodyStep::NeedMore { consumed }) => {
                    self.unread.drain(..consumed);
                    if !matches!(fill(&mut self.stream, &mut self.unread).await, Ok(1..)) {
                        return Err(Reply::bad_request("the body could not be read"));
                    }
                }
                Err(error) => return Err(Reply::text(error.status, error.details)),
            }
        }
    }

    async fn write(
        &mut self,
        reply: Reply,
        version: Protocol,
        persistence: Persistence,
    ) -> std::io::Result<Persistence> {
        let (head, framing, body) = reply.into_parts(self.head.method == Method::Head);
        let framing = framing.for_client(version);
        let mut out = Vec::with_capacity(512);
        let date = http_date(SystemTime::now());
        let persistence =
            encode_response_head(&mut out, &head, framing, version, persistence, &date, HeaderCase::Lower);
        match body {
            ReplyBody::Whole(body) => {
                out.extend_from_slice(body.as_bytes());
                self.send(&out, Instant::now() + ANSWER_TIME).await?;
            }
            ReplyBody::Pieces(pieces) => {
                let end = Instant::now() + LIFE;
                for piece in pieces {
                    // An empty chunk would be the last.
                    if !piece.is_empty() {
                        encode_piece(&mut out, &piece, framing);
                    }
                    self.send(&out, end.min(Instant::now() + ANSWER_TIME)).await?;
                    out.clear();
                    // A client that takes whatever comes leaves time to others,
                    // too.
                    yield_now().await;
                }
                if framing == ResponseFraming::Chunked {
                    encode_last_chunk(&mut out, &Headers::default(), HeaderCase::Lower);
                    self.send(&out, end).await?;
                }
            }
        }
        Ok(persistence)
    }

    async fn send(&mut self, bytes: &[u8], deadline: Instant) -> std::io::Result<()> {
        match timeout_at(deadline, self.stream.write_all(bytes)).await {
            Ok(written) => written,
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    }

    /// Ends our side and takes what the client still sends, for a while: with
    /// bytes unread, closing is a reset, which takes the answer away from a
    /// client that has not read it.
    async fn linger(mut self) {
        self.activity.waits();
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let stream = &mut self.stream;
        let rest = async {
            let (mut scrap, mut taken) = ([0; READ_SIZE], 0);
            while let Ok(count @ 1..) = stream.read(&mut scrap).await {
                taken += count;
                if taken > LINGER_BYTES {
                    return;
                }
            }
        };
        tokio::select! {
            _ = timeout(LINGER_TIME, rest) => {}
            _ = self.closing.wait_for(|closing| *closing) => {}
        }
    }
}

fn encode_piece(out: &mut Vec<u8>, piece: &str, framing: ResponseFraming) {
    match framing {
        ResponseFraming::Chunked => {
            out.extend_from_slice(ChunkPrefix::new(piece.len() as u64).as_slice());
            out.extend_from_slice(piece.as_bytes());
            out.extend_from_slice(CHUNK_END);
        }
        _ => out.extend_from_slice(piece.as_bytes()),
    }
}

async fn finished(answer: Answer) -> Reply {
    match answer {
        Answer::Now(reply) => reply,
        Answer::Later(work) => work.await,
    }
}

async fn fill(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> std::io::Result<usize> {
    buffer.reserve(READ_SIZE);
    stream.read_buf(buffer).await
}
