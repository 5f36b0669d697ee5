//! What an answer, or none, makes of the stream.

use bytes::Bytes;
use sidegate_api::{BodyDirection, FilterCx, LocalReply, Status};
use sidegate_proto::v1;

use super::super::apply::apply;
use super::super::hook::Hook;
use super::super::order::Order;
use super::{Filter, State};
use crate::call::Failure;
use crate::settings::OnError;

impl Filter {
    /// Does what the answer says.
    pub(super) fn obey(&mut self, cx: &mut FilterCx<'_>, hook: Hook, answer: &v1::Answer) -> Status {
        let status = match apply(cx, hook, answer) {
            Ok(status) => status,
            Err(why) => return self.bad(cx, why),
        };
        let waives: &[BodyDirection] = match v1::Interest::try_from(answer.interest) {
            Ok(v1::Interest::All) => return status,
            Ok(v1::Interest::NoRequestBody) => &[BodyDirection::Request],
            Ok(v1::Interest::NoResponseBody) => &[BodyDirection::Response],
            Ok(v1::Interest::NoBodies | v1::Interest::None) => &[BodyDirection::Request, BodyDirection::Response],
            Err(_) => return self.bad(cx, format!("no interest has number {}", answer.interest)),
        };
        for &direction in waives {
            self.waived[direction as usize] = true;
            if hook.is_head() {
                cx.waive_body(direction);
            }
        }
        if answer.interest == v1::Interest::None as i32
            && let State::Open(cell) = &self.state
        {
            self.state = State::Muted(cell.clone());
        }
        status
    }

    #[cold]
    fn bad(&mut self, cx: &mut FilterCx<'_>, why: String) -> Status {
        let failure = Failure::BadAnswer(why);
        self.count(&failure);
        self.failed(cx, &failure)
    }

    pub(super) fn count(&self, failure: &Failure) {
        if let Some(plugin) = &self.usage.plugin {
            plugin.shared.metrics.failed(failure);
        }
    }

    /// The plugin has lost the stream, or the stream the plugin: it is asked
    /// nothing more.
    #[cold]
    pub(super) fn failed(&mut self, cx: &mut FilterCx<'_>, failure: &Failure) -> Status {
        self.usage.tell(failure);
        self.end(Bytes::new());
        match self.usage.settings.on_error {
            OnError::Allow => {
                cx.waive_body(BodyDirection::Request);
                cx.waive_body(BodyDirection::Response);
                Status::Continue
            }
            OnError::Deny => match cx.reply(LocalReply::new(500, "plugin_failed")) {
                Ok(()) => Status::Stop,
                // The response is on its way: all that is left is to end it.
                Err(_) => Status::Terminate,
            },
        }
    }

    pub(super) fn end(&mut self, completion: Bytes) {
        let state = std::mem::replace(&mut self.state, State::Over);
        if let (State::Open(cell) | State::Muted(cell), Some(line)) = (state, &self.line) {
            line.order(Order::End { stream: cell.id, completion });
        }
    }
}
