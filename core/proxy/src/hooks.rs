//! Walking filters through their hooks: the phases of a request, the body
//! chunks and trailers of both directions, waiting for `Pending`.

use std::future::poll_fn;
use std::task::Poll;

use sidegate_api::{
    BodyBuffer, BodyDirection, BodyInterest, EndOfStream, FaultPolicy, ReceiverPhase, ResetBy, ResponseFlags,
};
use sidegate_stream::BodyEvent;

use crate::body_pass::Hold;
use crate::chain::{CallEnv, Verdict};
use crate::halt::Halt;
use crate::held::SPARE_BYTES;
use crate::hook::Hook;
use crate::stream::Stream;
use crate::wait::Wait;

/// Where a request goes on after a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// In the next phase.
    Next,
    /// At the match of the route.
    Rematch,
    /// At the choice of a host.
    Rechoose,
}

/// What a filter's hook means for the filters after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Continue,
    EndPhase,
    Flow(Flow),
}

impl Stream<'_> {
    /// Runs the header hooks of `phase`, and waits for whole bodies where
    /// filters of this phase want them.
    pub(crate) async fn request_phase(&mut self, phase: ReceiverPhase) -> Result<Flow, Halt> {
        let listener = self.listener;
        self.pass_over(phase, 0, false);
        for &index in listener.plan.receive(phase) {
            let wants = &listener.plan.interests[index];
            if wants.phases.has(phase) {
                let end = self.request_end();
                match self.hook(index, Hook::RequestHeaders(phase, end)).await? {
                    Step::Continue => {}
                    Step::EndPhase => {
                        self.pass_over(phase, index + 1, true);
                        return Ok(Flow::Next);
                    }
                    Step::Flow(flow) => return Ok(flow),
                }
            }
            let waits = wants.request_body == BodyInterest::Whole && listener.plan.body_phase(index) == phase;
            if waits && self.chain.sees_body(index, BodyDirection::Request) && !self.asks_for_tunnel() {
                let order = &listener.plan.request_body;
                let Some(place) = order.iter().position(|&i| i == index) else { continue };
                if place >= self.request_pass.passed {
                    match self.has_request_body() {
                        true => self.hold_request(place).await?,
                        false => self.hold_nothing(BodyDirection::Request),
                    }
                    self.pass_held(BodyDirection::Request, order, place + 1).await?;
                }
            }
        }
        Ok(Flow::Next)
    }

    /// Shows filters that may give the request a body that it has none. Called
    /// before a connection is taken, since they may just as well refuse it.
    pub(crate) async fn show_empty_request(&mut self) -> Result<(), Halt> {
        if self.asks_for_tunnel() {
            return Ok(());
        }
        let listener = self.listener;
        let order = &listener.plan.request_body;
        self.hold_nothing(BodyDirection::Request);
        self.pass_held(BodyDirection::Request, order, order.len()).await
    }

    /// There is no body to collect; filters may make one.
    pub(crate) fn hold_nothing(&mut self, direction: BodyDirection) {
        if self.pass(direction).is_held() {
            return;
        }
        self.pass(direction).hold = Hold::Empty;
        match direction {
            BodyDirection::Request => self.state.request_body.clear(),
            BodyDirection::Response => self.state.response_body.clear(),
        }
    }

    /// Says whether filters from place `from` on whose body hooks stand in
    /// `phase` are to be passed over.
    fn pass_over(&mut self, phase: ReceiverPhase, from: usize, over: bool) {
        let plan = &self.listener.plan;
        for &index in plan.request_body.iter().filter(|&&index| index >= from && plan.body_phase(index) == phase) {
            self.chain.pass_over(index, BodyDirection::Request, over);
        }
    }

    /// Collects the whole request body; each chunk first passes the streaming
    /// filters in front of `place`.
    pub(crate) async fn hold_request(&mut self, place: usize) -> Result<(), Halt> {
        if self.request_pass.hold == Hold::Whole {
            let listener = self.listener;
            return self.pass_held(BodyDirection::Request, &listener.plan.request_body, place).await;
        }
        self.ask_for_body().await?;
        let listener = self.listener;
        let before = &listener.plan.request_body[..place];
        loop {
            let patience = self.await_body();
            self.timers.down.set(patience);
            let event = self.next_request_event().await?;
            self.body_came();
            match event {
                BodyEvent::Data(count) => {
                    self.state.info.bytes_received += count as u64;
                    self.state.request_body.replace(self.client.data().as_slice());
                    self.client.consume(count);
                    self.chunk(BodyDirection::Request, before, EndOfStream::More).await?;
                    self.make_room(BodyDirection::Request, self.start.body).await?;
                }
                BodyEvent::End => {
                    self.state.request_body.clear();
                    let end = self.body_ends(BodyDirection::Request);
                    self.chunk(BodyDirection::Request, before, end).await?;
                    self.trailers(BodyDirection::Request, before).await?;
                    self.make_room(BodyDirection::Request, self.start.body).await?;
                    self.keep_chunk()?;
                    break;
                }
            }
            self.keep_chunk()?;
        }
        self.timers.down.set(None);
        std::mem::swap(&mut self.state.request_body, &mut self.request_pass.whole);
        self.request_pass.whole = BodyBuffer::new();
        self.request_pass.hold = Hold::Whole;
        self.request_pass.passed = place;
        self.recount_here().await;
        Ok(())
    }

    fn keep_chunk(&mut self) -> Result<(), Halt> {
        let whole = &mut self.request_pass.whole;
        whole.append(self.state.request_body.as_slice());
        let chunk = &mut self.state.request_body;
        chunk.clear();
        chunk.shrink(SPARE_BYTES);
        if whole.len() > self.listener.config.limits.max_buffered_body {
            return Err(Halt::error(413, "buffered_body_too_large", ResponseFlags::TOO_LARGE, ResetBy::Downstream));
        }
        Ok(())
    }

    async fn next_request_event(&mut self) -> Result<BodyEvent, Halt> {
        poll_fn(|cx| {
            if let Poll::Ready(event) = self.client.poll_body(cx, &mut self.state.request_trailers) {
                if matches!(event, Ok(BodyEvent::End)) {
                    self.note_received();
                }
                return Poll::Ready(event.map_err(Halt::request_body));
            }
            // Who waits for the rest of a body needs no buffer for it.
            self.client.release();
            self.timers.down.poll(cx).map(|()| Err(self.pace.halt()))
        })
        .await
    }

    /// Lets a held body pass the filters up to `until` in `order`.
    pub(crate) async fn pass_held(
        &mut self,
        direction: BodyDirection,
        order: &[usize],
        until: usize,
    ) -> Result<(), Halt> {
        let from = self.pass(direction).passed;
        if from >= until {
            return Ok(());
        }
        self.pass(direction).passed = until;
        let end = self.body_ends(direction);
        self.chunk(direction, &order[from..until], end).await?;
        // Filters may have made it larger.
        self.recount_here().await;
        self.trailers(direction, &order[from..until]).await
    }

    /// Lets the chunk in the stream's buffer pass these filters.
    pub(crate) async fn chunk(
        &mut self,
        direction: BodyDirection,
        filters: &[usize],
        end: EndOfStream,
    ) -> Result<(), Halt> {
        let mut ended = None;
        for &index in filters {
            let wants = &self.listener.plan.interests[index];
            let (interest, hook, body) = match direction {
                BodyDirection::Request => (wants.request_body, Hook::RequestBody(end), &self.state.request_body),
                BodyDirection::Response => (wants.response_body, Hook::ResponseBody(end), &self.state.response_body),
            };
            let shown = match interest {
                BodyInterest::None => false,
                // There is nothing to see.
                BodyInterest::Observe => !body.is_empty() || self.pass_of(direction).hold != Hold::Empty,
                BodyInterest::Stream | BodyInterest::Whole => true,
            };
            if shown && self.sees(index, direction, ended) {
                ended = self.body_hook(index, direction, hook).await?.or(ended);
            }
        }
        Ok(())
    }

    /// Shows the trailers to these filters, if there are any.
    pub(crate) async fn trailers(&mut self, direction: BodyDirection, filters: &[usize]) -> Result<(), Halt> {
        let mut ended = None;
        for &index in filters {
            let wants = &self.listener.plan.interests[index];
            let (wanted, hook, trailers) = match direction {
                BodyDirection::Request => (wants.request_trailers, Hook::RequestTrailers, &self.state.request_trailers),
                BodyDirection::Response => {
                    (wants.response_trailers, Hook::ResponseTrailers, &self.state.response_trailers)
                }
            };
            if wanted.wanted() && !trailers.is_empty() && self.sees(index, direction, ended) {
                ended = self.body_hook(index, direction, hook).await?.or(ended);
            }
        }
        Ok(())
    }

    /// Whether a filter sees this part of a body: it does not if its phase was
    /// `ended`, for this part or from the head on.
    fn sees(&self, index: usize, direction: BodyDirection, ended: Option<ReceiverPhase>) -> bool {
        self.chain.sees_body(index, direction) && ended != Some(self.phase_in(index, direction))
    }

    /// What is in the stream's buffer ends the body: the end flag for it, since
    /// trailers may still follow.
    pub(crate) fn body_ends(&mut self, direction: BodyDirection) -> EndOfStream {
        let state = &mut *self.state;
        let (body, trailers) = match direction {
            BodyDirection::Request => (&mut state.request_body, &state.request_trailers),
            BodyDirection::Response => (&mut state.response_body, &state.response_trailers),
        };
        body.set_last(true);
        if trailers.is_empty() { EndOfStream::End } else { EndOfStream::More }
    }

    /// Whether a filter sees body or trailers of `direction` on this stream.
    pub(crate) fn watches(&self, direction: BodyDirection) -> bool {
        self.listener.plan.body(direction).any(|(index, _)| self.chain.sees_body(index, direction))
    }

    /// Whether a filter may change the length of that body.
    pub(crate) fn edits(&self, direction: BodyDirection) -> bool {
        self.listener.plan.body(direction).any(|(index, interest)| {
            matches!(interest, BodyInterest::Stream | BodyInterest::Whole) && self.chain.sees_body(index, direction)
        })
    }

    /// Calls a body or trailer hook; comes back with the phase that it ended.
    async fn body_hook(
        &mut self,
        index: usize,
        direction: BodyDirection,
        hook: Hook,
    ) -> Result<Option<ReceiverPhase>, Halt> {
        let step = self.hook(index, hook).await?;
        Ok((step == Step::EndPhase).then(|| self.phase_in(index, direction)))
    }

    /// A response knows one phase only, whichever it is called.
    fn phase_in(&self, index: usize, direction: BodyDirection) -> ReceiverPhase {
        match direction {
            BodyDirection::Request => self.listener.plan.body_phase(index),
            BodyDirection::Response => ReceiverPhase::AfterChooseHost,
        }
    }

    /// Calls one hook and waits for as long as it is pending.
    pub(crate) async fn hook(&mut self, index: usize, hook: Hook) -> Result<Step, Halt> {
        let mut hook = hook;
        let mut wait = Wait::default();
        loop {
            let env = CallEnv { listener: self.listener, route: self.route, worker: self.worker.index };
            match self.chain.call(index, hook, self.state, &env) {
                Verdict::Continue => return Ok(Step::Continue),
                Verdict::EndPhase => return Ok(Step::EndPhase),
                Verdict::Rematch => return Ok(Step::Flow(Flow::Rematch)),
                Verdict::Rechoose => return Ok(Step::Flow(Flow::Rechoose)),
                Verdict::Reply(reply) => {
                    self.note_answer(index);
                    if let Some(entry) = self.chain.entry(index) {
                        entry.replies.count(reply.status);
                    }
                    return Err(Halt::filter_reply(reply));
                }
                Verdict::Terminate => {
                    self.note_answer(index);
                    return Err(Halt::Cut(ResetBy::Filter, ResponseFlags::FILTER_TERMINATED, "filter_terminated"));
                }
                Verdict::Fault(policy) => return self.fault(index, policy),
                Verdict::Pending => match self.wait(&mut wait).await? {
                    Ok(()) => hook = hook.resumed(),
                    Err(overdue) => {
                        let env = CallEnv { listener: self.listener, route: self.route, worker: self.worker.index };
                        let policy = self.chain.expire(index, overdue.into(), &env);
                        return self.fault(index, policy);
                    }
                },
            }
        }
    }

    /// What a fault policy makes of a stream, after a fault of the filter at
    /// `index`.
    pub(crate) fn fault(&mut self, index: usize, policy: FaultPolicy) -> Result<Step, Halt> {
        self.state.info.flags.insert(ResponseFlags::FILTER_FAULT);
        if policy != FaultPolicy::Pass {
            self.note_answer(index);
        }
        match policy {
            FaultPolicy::Pass => Ok(Step::Continue),
            FaultPolicy::Reply500 => {
                Err(Halt::error(500, "filter_fault", ResponseFlags::FILTER_FAULT, ResetBy::Nobody))
            }
            FaultPolicy::Reset => Err(Halt::Cut(ResetBy::Filter, ResponseFlags::FILTER_FAULT, "filter_fault")),
        }
    }
}
