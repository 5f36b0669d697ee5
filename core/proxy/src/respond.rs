//! Responses on their way to the client: the upstream's and our own.

use std::future::poll_fn;
use std::task::Poll;

use sidegate_api::{BodyDirection, BodyInterest, EndOfStream, HeadState, LocalReply, Method, ResetBy, ResponseFlags};
use sidegate_protocol::http1::{
    BodyLength, CHUNK_END, ChunkPrefix, Persistence, ResponseFraming, ResponseMeta, encode_response_head, http_date,
};

use crate::body_pass::Hold;
use crate::halt::Halt;
use crate::hook::Hook;
use crate::hooks::Step;
use crate::relay::{Attempt, Download};
use crate::stream::{After, Responded, Stream};

/// Bytes of a reply from which on it is counted as held.
const COUNTED_REPLY: usize = 16 * 1024;
/// Bytes of a request body that are read for nothing rather than closing the
/// connection.
const DROPPED_BODY: usize = 64 * 1024;

impl Stream<'_> {
    /// Takes the upstream's response through the response filters and starts
    /// it on its way to the client.
    pub(crate) async fn respond(&mut self, attempt: &mut Attempt, meta: ResponseMeta) -> Result<(), Halt> {
        self.give_cookie();
        self.edit_by_route()?;
        self.response_phase(Some(attempt), meta.body).await?;
        let framing = self.response_framing(meta.body);
        self.write_response_head(framing);
        attempt.download = match framing {
            ResponseFraming::NoBody | ResponseFraming::Length(0) => Download::Flushing,
            _ if self.response_pass.is_held() => Download::Buffered(EndOfStream::End),
            // Chunked for a filter's trailers only.
            _ if matches!(meta.body, BodyLength::None | BodyLength::Length(0)) => Download::Buffered(EndOfStream::End),
            _ => Download::Reading,
        };
        if attempt.download == Download::Flushing && !attempt.connection.wire.is_body_done() {
            // The response has no body, or a filter made it one without: what
            // the upstream still sends is not for anybody.
            attempt.meta = None;
        }
        Ok(())
    }

    /// Sends a reply of our own, through the response filters unless they have
    /// run already.
    pub(crate) async fn local_reply(&mut self, reply: Box<LocalReply>) -> Result<After, Halt> {
        let mut reply = *reply;
        self.state.response.status = reply.status;
        self.state.response.reason.clear();
        self.state.response.state = HeadState::Open;
        std::mem::swap(&mut self.state.response.headers, &mut reply.headers);
        self.state.response_trailers.clear();
        self.state.response_body.replace(&reply.body);
        self.response_pass.hold = if reply.body.is_empty() { Hold::Empty } else { Hold::Whole };
        self.response_pass.passed = 0;
        if reply.body.len() > COUNTED_REPLY {
            self.recount_here().await;
        }
        if self.responded == Responded::No {
            self.edit_by_route()?;
            self.response_phase(None, BodyLength::Length(reply.body.len() as u64)).await?;
        }
        let framing = self.response_framing(BodyLength::Length(0));
        if self.state.request.method == Method::Head && !matches!(self.state.response.status, 204 | 205 | 304) {
            // What GET would have got; a full map is no reason to fail here.
            let length = self.state.response_body.len().to_string();
            let _ = self.state.response.headers.set(b"content-length", length.as_bytes());
        }
        self.drop_request_body().await;
        self.write_response_head(framing);
        if !matches!(framing, ResponseFraming::NoBody | ResponseFraming::Length(0)) {
            let wire = &mut self.down.wire;
            let body = self.state.response_body.as_slice();
            if framing == ResponseFraming::Chunked {
                // Only trailers that a filter added make a reply chunked.
                // An empty chunk would end the body in front of them.
                self.state.info.bytes_sent += body.len() as u64;
                if !body.is_empty() {
                    wire.output.head().extend_from_slice(ChunkPrefix::new(body.len() as u64).as_slice());
                    wire.output.head().extend_from_slice(body);
                    wire.output.head().extend_from_slice(CHUNK_END);
                }
                wire.output.finish(&self.state.response_trailers);
            } else {
                self.state.info.bytes_sent += body.len() as u64;
                wire.output.head().extend_from_slice(body);
            }
        }
        self.flush_down().await?;
        Ok(if self.sent_persistence == Persistence::KeepAlive { After::KeepAlive } else { After::Close })
    }

    /// A reply of ours does not need the request's body. If it is small and
    /// there, it is dropped, and the connection can carry another request.
    async fn drop_request_body(&mut self) {
        let has_body = self.has_request_body();
        let wire = &mut self.down.wire;
        if has_body && self.meta.persistence == Persistence::KeepAlive && !wire.is_body_done() {
            let dropped = poll_fn(|cx| Poll::Ready(wire.drop_arrived_body(cx, DROPPED_BODY))).await;
            self.state.info.bytes_received += dropped;
        }
    }

    fn edit_by_route(&mut self) -> Result<(), Halt> {
        let Some(matched) = self.matched() else { return Ok(()) };
        matched.apply_response(self.state, self.scratch).map_err(|_| {
            Halt::error(502, "too_many_response_headers", ResponseFlags::UPSTREAM_PROTOCOL, ResetBy::Upstream)
        })
    }

    async fn response_phase(&mut self, mut attempt: Option<&mut Attempt>, body: BodyLength) -> Result<(), Halt> {
        let listener = self.listener;
        let plan = &listener.plan;
        self.responded = Responded::Yes;
        let empty = matches!(body, BodyLength::None | BodyLength::Length(0));
        for &index in &plan.respond {
            let wants = &plan.interests[index];
            if wants.response_headers.wanted() {
                let end = self.response_end(empty);
                if self.hook(index, Hook::ResponseHeaders(end)).await? == Step::EndPhase {
                    for &later in plan.response_body.iter().filter(|&&later| later > index) {
                        self.chain.pass_over(later, BodyDirection::Response, true);
                    }
                    break;
                }
            }
            let whole = wants.response_body == BodyInterest::Whole;
            if whole && self.may_have_body() && self.chain.sees_body(index, BodyDirection::Response) {
                let Some(place) = plan.response_body.iter().position(|&i| i == index) else { continue };
                match attempt.as_deref_mut() {
                    Some(attempt) if !empty && !self.response_pass.is_held() => {
                        self.hold_response(attempt, place).await?;
                    }
                    _ => self.hold_nothing(BodyDirection::Response),
                }
                self.pass_held(BodyDirection::Response, &plan.response_body, place + 1).await?;
            }
        }
        if !self.may_have_body() {
            return Ok(());
        }
        if empty && self.edits(BodyDirection::Response) {
            self.hold_nothing(BodyDirection::Response);
        }
        if self.response_pass.is_held() {
            self.pass_held(BodyDirection::Response, &plan.response_body, plan.response_body.len()).await?;
        }
        Ok(())
    }

    /// Whether body or trailers follow the response's head, its own or what
    /// filters made; `empty`: it came without.
    fn response_end(&self, empty: bool) -> EndOfStream {
        let made = self.response_pass.hold == Hold::Empty
            && !(self.state.response_body.is_empty() && self.state.response_trailers.is_empty());
        if self.may_have_body() && (!empty || made) { EndOfStream::More } else { EndOfStream::End }
    }

    /// Whether the response is of a kind that has content. RFC 9110 section
    /// 15.3.6 denies it to 205, which is framed like others all the same.
    fn may_have_body(&self) -> bool {
        self.state.request.method != Method::Head && !matches!(self.state.response.status, 204 | 205 | 304)
    }

    fn response_framing(&mut self, body: BodyLength) -> ResponseFraming {
        if !self.may_have_body() {
            if self.edits(BodyDirection::Response) {
                // The length that GET would have is not known here.
                self.state.response.headers.remove(b"content-length");
            }
            let announces = self.state.response.status == 205 && self.state.request.method != Method::Head;
            return if announces { ResponseFraming::Length(0) } else { ResponseFraming::NoBody };
        }
        let framing = if self.response_pass.is_held() {
            match self.state.response_trailers.is_empty() {
                true => ResponseFraming::Length(self.state.response_body.len() as u64),
                false => ResponseFraming::Chunked,
            }
        } else {
            match body {
                // A filter added some.
                _ if !self.state.response_trailers.is_empty() => ResponseFraming::Chunked,
                BodyLength::None => ResponseFraming::Length(0),
                BodyLength::Length(length) if length == 0 || !self.edits(BodyDirection::Response) => {
                    ResponseFraming::Length(length)
                }
                BodyLength::Length(_) | BodyLength::Chunked | BodyLength::UntilClose => ResponseFraming::Chunked,
            }
        };
        framing.for_client(self.meta.version)
    }

    fn write_response_head(&mut self, framing: ResponseFraming) {
        let persistence = self.persistence();
        let output = &mut self.down.wire.output;
        let (head, version) = (&self.state.response, self.meta.version);
        let case = self.listener.config.header_case;
        let format = |now, text: &mut Vec<u8>| text.extend_from_slice(&http_date(now));
        self.sent_persistence = self.worker.with_date(format, |date| {
            encode_response_head(output.head(), head, framing, version, persistence, date, case)
        });
        self.state.trailers_closed[BodyDirection::Response as usize] = framing != ResponseFraming::Chunked;
        let body = match framing {
            ResponseFraming::NoBody => BodyLength::None,
            ResponseFraming::Length(length) => BodyLength::Length(length),
            ResponseFraming::Chunked => BodyLength::Chunked,
            ResponseFraming::UntilClose => BodyLength::UntilClose,
        };
        output.start_body(body, case);
        self.sent_status = head.status;
        self.state.response.state = HeadState::Sent;
    }

    /// Writes out what waits for the client.
    pub(crate) async fn flush_down(&mut self) -> Result<(), Halt> {
        self.timers.down.set(self.listener.config.timeouts.response_write_idle);
        let result = poll_fn(|cx| {
            if let Poll::Ready(result) = self.down.wire.poll_flush(cx) {
                return Poll::Ready(result.map_err(|_| Halt::client_gone()));
            }
            self.timers.down.poll(cx).map(|()| Err(Halt::client_gone()))
        })
        .await;
        self.timers.down.set(None);
        result
    }
}
