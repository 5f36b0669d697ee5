//! Responses on their way to the client: the upstream's and our own.

use std::future::poll_fn;
use std::task::Poll;

use sidegate_api::{BodyDirection, BodyInterest, EndOfStream, HeadState, LocalReply, Method, ResetBy, ResponseFlags};
use sidegate_stream::{Announced, Data, End, Last, ResponseStart};

use crate::body_pass::Hold;
use crate::halt::Halt;
use crate::hook::Hook;
use crate::hooks::Step;
use crate::relay::{Attempt, Download};
use crate::stream::{Responded, Stream};

/// Bytes of a reply from which on it is counted as held.
const COUNTED_REPLY: usize = 16 * 1024;
/// Bytes of a request body that are read for nothing rather than closing the
/// connection.
const DROPPED_BODY: usize = 64 * 1024;

impl Stream<'_> {
    /// Takes the upstream's response through the response filters and starts
    /// it on its way to the client.
    pub(crate) async fn respond(&mut self, attempt: &mut Attempt, start: ResponseStart) -> Result<(), Halt> {
        self.give_cookie();
        self.edit_by_route()?;
        self.response_phase(Some(attempt), start.body).await?;
        let announced = self.announce_response(start.body);
        self.start_response(announced);
        attempt.download = match announced {
            // What the upstream still sends, if a filter took the body away, is
            // not for anybody.
            Announced::Nothing | Announced::Length(0) => Download::Flushing,
            _ if self.response_pass.is_held() => Download::Buffered(EndOfStream::End),
            // Open for a filter's trailers only.
            _ if start.body.is_empty() => Download::Buffered(EndOfStream::End),
            _ => Download::Reading,
        };
        Ok(())
    }

    /// Sends a reply of our own, through the response filters unless they have
    /// run already.
    pub(crate) async fn local_reply(&mut self, reply: Box<LocalReply>) -> Result<End, Halt> {
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
            self.response_phase(None, Announced::Length(reply.body.len() as u64)).await?;
        }
        let announced = self.announce_response(Announced::Length(0));
        if self.state.request.method == Method::Head && !matches!(self.state.response.status, 204 | 205 | 304) {
            // What GET would have got; a full map is no reason to fail here.
            let length = self.state.response_body.len().to_string();
            let _ = self.state.response.headers.set(b"content-length", length.as_bytes());
        }
        self.drop_request_body().await;
        self.start_response(announced);
        if !announced.is_empty() {
            self.send_reply_body().await?;
            self.client.finish(&self.state.response_trailers);
        }
        self.flush_down().await?;
        Ok(End::Reusable)
    }

    /// A reply of ours does not need the request's body. If it is small and
    /// there, it is dropped, and the connection can carry another request.
    async fn drop_request_body(&mut self) {
        if self.has_request_body() && self.last == Last::No {
            let dropped = poll_fn(|cx| Poll::Ready(self.client.drop_arrived_body(cx, DROPPED_BODY))).await;
            self.state.info.bytes_received += dropped;
        }
    }

    fn edit_by_route(&mut self) -> Result<(), Halt> {
        let Some(matched) = self.matched() else { return Ok(()) };
        matched.apply_response(self.state, self.scratch).map_err(|_| {
            Halt::error(502, "too_many_response_headers", ResponseFlags::UPSTREAM_PROTOCOL, ResetBy::Upstream)
        })
    }

    async fn response_phase(&mut self, mut attempt: Option<&mut Attempt>, body: Announced) -> Result<(), Halt> {
        let listener = self.listener;
        let plan = &listener.plan;
        self.responded = Responded::Yes;
        let empty = body.is_empty();
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

    /// How the body is announced to the client that came `body`.
    fn announce_response(&mut self, body: Announced) -> Announced {
        if !self.may_have_body() {
            if self.edits(BodyDirection::Response) {
                // The length that GET would have is not known here.
                self.state.response.headers.remove(b"content-length");
            }
            let announces = self.state.response.status == 205 && self.state.request.method != Method::Head;
            return if announces { Announced::Length(0) } else { Announced::Nothing };
        }
        if self.response_pass.is_held() {
            return match self.state.response_trailers.is_empty() {
                true => Announced::Length(self.state.response_body.len() as u64),
                false => Announced::Open,
            };
        }
        match body {
            // A filter added some.
            _ if !self.state.response_trailers.is_empty() => Announced::Open,
            Announced::Nothing => Announced::Length(0),
            Announced::Length(length) if length == 0 || !self.edits(BodyDirection::Response) => body,
            Announced::Length(_) | Announced::Open => Announced::Open,
        }
    }

    fn start_response(&mut self, announced: Announced) {
        let last = self.is_last();
        self.client.start(self.worker, &self.state.response, announced, last);
        self.state.trailers_closed[BodyDirection::Response as usize] = !self.client.carries_trailers();
        self.sent_status = self.state.response.status;
        self.state.response.state = HeadState::Sent;
    }

    /// Sends the reply that is in the stream's buffer.
    async fn send_reply_body(&mut self) -> Result<(), Halt> {
        self.timers.down.set(self.listener.config.timeouts.response_write_idle);
        let result = poll_fn(|cx| {
            let body = &mut self.state.response_body;
            while !body.is_empty() {
                match self.client.poll_send(cx, Data::Slice(body.as_slice())) {
                    Poll::Ready(Ok(count)) => {
                        body.drain(count);
                        self.state.info.bytes_sent += count as u64;
                        self.timers.down.set(self.listener.config.timeouts.response_write_idle);
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(Halt::client_gone())),
                    Poll::Pending => return self.timers.down.poll(cx).map(|()| Err(Halt::client_gone())),
                }
            }
            Poll::Ready(Ok(()))
        })
        .await;
        self.timers.down.set(None);
        result
    }

    /// Writes out what waits for the client.
    pub(crate) async fn flush_down(&mut self) -> Result<(), Halt> {
        self.timers.down.set(self.listener.config.timeouts.response_write_idle);
        let result = poll_fn(|cx| {
            if let Poll::Ready(result) = self.client.poll_flush(cx) {
                return Poll::Ready(result.map_err(|_| Halt::client_gone()));
            }
            self.timers.down.poll(cx).map(|()| Err(Halt::client_gone()))
        })
        .await;
        self.timers.down.set(None);
        result
    }
}
