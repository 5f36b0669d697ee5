//! What a body of a stream passes between its sender and its receiver.

use sidegate_api::{BodyDirection, Headers, StreamState};
use sidegate_stream::{Replay, Way};
use sidegate_telemetry::LogNeeds;

use super::measured;
use crate::chain::FilterChain;
use crate::view::HookTable;

/// Who looks at the parts of a body.
#[derive(Clone, Copy)]
pub(crate) struct Watched<'s> {
    pub(crate) chain: &'s FilterChain,
    pub(crate) hooks: &'s HookTable,
    pub(crate) collected: Collecting,
}

/// Whether the parts of a body are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collecting {
    No,
    /// They stop for that, whether or not a filter sees them.
    Yes,
}

impl Watched<'_> {
    #[inline]
    fn stops(self, direction: BodyDirection) -> bool {
        self.collected == Collecting::Yes || self.chain.sees_any(self.hooks, direction)
    }
}

/// From the client to the upstream.
pub(crate) struct RequestWay<'s> {
    pub(crate) state: &'s mut StreamState,
    pub(crate) replay: &'s mut Replay,
    pub(crate) handed_over: &'s mut u64,
    pub(crate) watch: Watched<'s>,
    pub(crate) log_needs: &'s LogNeeds,
}

/// From the upstream, or from us, to the client.
pub(crate) struct ResponseWay<'s> {
    pub(crate) state: &'s mut StreamState,
    pub(crate) watch: Watched<'s>,
}

impl Way for RequestWay<'_> {
    #[inline]
    fn is_watched(&self) -> bool {
        self.watch.stops(BodyDirection::Request)
    }

    #[inline]
    fn came(&mut self, count: usize) {
        self.state.info.bytes_received += count as u64;
    }

    #[inline]
    fn ended(&mut self) {
        measured::received(self.state, self.log_needs);
    }

    #[inline]
    fn went(&mut self, bytes: &[u8]) {
        self.replay.add(bytes);
        *self.handed_over += bytes.len() as u64;
    }

    #[inline]
    fn buffer(&self) -> &[u8] {
        self.state.request_body.as_slice()
    }

    #[inline]
    fn drain(&mut self, count: usize) {
        self.replay.add(&self.state.request_body.as_slice()[..count]);
        self.state.request_body.drain(count);
        *self.handed_over += count as u64;
    }

    #[inline]
    fn replay(&self) -> &[u8] {
        self.replay.bytes()
    }

    #[inline]
    fn trailers(&mut self) -> &mut Headers {
        &mut self.state.request_trailers
    }
}

impl Way for ResponseWay<'_> {
    #[inline]
    fn is_watched(&self) -> bool {
        self.watch.stops(BodyDirection::Response)
    }

    #[inline]
    fn came(&mut self, _: usize) {}

    #[inline]
    fn ended(&mut self) {}

    #[inline]
    fn went(&mut self, bytes: &[u8]) {
        self.state.info.bytes_sent += bytes.len() as u64;
    }

    #[inline]
    fn buffer(&self) -> &[u8] {
        self.state.response_body.as_slice()
    }

    #[inline]
    fn drain(&mut self, count: usize) {
        self.state.response_body.drain(count);
        self.state.info.bytes_sent += count as u64;
    }

    #[inline]
    fn replay(&self) -> &[u8] {
        &[]
    }

    #[inline]
    fn trailers(&mut self) -> &mut Headers {
        &mut self.state.response_trailers
    }
}
