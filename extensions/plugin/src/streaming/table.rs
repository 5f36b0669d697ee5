//! The HTTP streams on one call: whose answer is whose.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use sidegate_api::BodyDirection;
use sidegate_proto::v1;

use super::encode;
use super::order::{Cell, Event, Order, Reply, Word};
use crate::call::Failure;

/// Number of `end` in `Event`.
const END: u8 = 9;

#[derive(Debug, Default)]
pub(crate) struct Table {
    streams: HashMap<u64, Entry>,
    /// The largest number that the plugin has heard of, on this call.
    largest: u64,
}

/// A plugin broke the protocol in a way that makes the whole call worthless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("it speaks of stream {0}, which never began")]
    UnknownStream(u64),
    #[error("it sent an event that says nothing")]
    NoKind,
}

#[derive(Debug)]
struct Entry {
    cell: Arc<Cell>,
    /// The last hook that is answered, and whether that is still to come.
    hook: u32,
    is_due: bool,
    direction: BodyDirection,
    limit: usize,
    sent: [u64; 2],
    waits: Waits,
    /// Pieces of an answer.
    partial: Option<Box<v1::Answer>>,
    /// What comes before anybody waits for it.
    early: Option<Result<Box<v1::Answer>, Failure>>,
}

#[derive(Debug)]
enum Waits {
    No,
    ForAnswer(Reply),
    ForCredit(BodyDirection, Reply),
}

impl Waits {
    fn take(&mut self) -> Option<Reply> {
        match std::mem::replace(self, Waits::No) {
            Waits::No => None,
            Waits::ForAnswer(reply) | Waits::ForCredit(_, reply) => Some(reply),
        }
    }
}

impl Table {
    /// Writes what the plugin has to hear because of an order.
    pub(crate) fn obey(&mut self, order: Order, out: &mut Vec<u8>) {
        match order {
            Order::Settle(reply) => reply.say(Ok(Word::Settled)),
            Order::Event(event) => self.event(*event, out),
            Order::Credit { stream, direction, seen, reply } => match self.streams.get_mut(&stream.id) {
                None => reply.say(Err(Failure::Lost)),
                Some(entry) => match entry.early.take() {
                    Some(early) => reply.say(early.map(Word::Answer)),
                    None if stream.credited(direction) != seen => reply.say(Ok(Word::Credit)),
                    None => entry.waits = Waits::ForCredit(direction, reply),
                },
            },
            Order::End { stream, completion } => {
                if self.streams.remove(&stream).is_some() {
                    encode::event(out, stream, 0, END, &completion);
                }
            }
        }
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        let Event { stream: cell, begins, hook, kind, bytes, body, direction, limit, reply, _queued } = event;
        let id = cell.id;
        if begins {
            if reply.as_ref().is_some_and(Reply::is_gone) {
                // It has ended while the plugin was not there.
                return;
            }
            self.largest = self.largest.max(id);
            let fresh = Entry {
                cell,
                hook: 0,
                is_due: false,
                direction,
                limit,
                sent: [0; 2],
                waits: Waits::No,
                partial: None,
                early: None,
            };
            self.streams.insert(id, fresh);
        }
        let Some(entry) = self.streams.get_mut(&id) else {
            // The call is gone on which the plugin heard of it.
            if let Some(reply) = reply {
                reply.say(Err(Failure::Lost));
            }
            return;
        };
        if hook != 0 && hook != entry.hook {
            (entry.hook, entry.is_due, entry.direction, entry.limit) = (hook, true, direction, limit);
            entry.partial = None;
            // A failure stays until somebody hears of it.
            entry.early.take_if(|early| early.is_ok());
        }
        entry.sent[direction as usize] += body;
        let Some(early) = entry.early.take() else {
            if let Some(reply) = reply {
                entry.waits = Waits::ForAnswer(reply);
            }
            encode::event(out, id, hook, kind, &bytes);
            return;
        };
        // The rest of it is not wanted, and nobody credits what is not sent.
        entry.cell.set_credited(direction, entry.sent[direction as usize]);
        match reply {
            Some(reply) => reply.say(early.map(Word::Answer)),
            None => entry.early = Some(early),
        }
    }

    /// Takes what the plugin said.
    pub(crate) fn take(&mut self, said: v1::PluginEvent) -> Result<(), Violation> {
        let id = said.stream;
        if id == 0 || id > self.largest {
            return Err(Violation::UnknownStream(id));
        }
        // A kind that is not known here may be skipped only if it does not end
        // a wait, and nobody can tell.
        let kind = said.kind.ok_or(Violation::NoKind)?;
        // What has ended here may be under way there.
        let Some(entry) = self.streams.get_mut(&id) else { return Ok(()) };
        match kind {
            v1::plugin_event::Kind::Credit(credit) => {
                entry.credit(BodyDirection::Request, credit.request_bytes);
                entry.credit(BodyDirection::Response, credit.response_bytes);
            }
            v1::plugin_event::Kind::Answer(answer) => entry.answer(Box::new(answer)),
        }
        Ok(())
    }

    /// The call has ended, and with it all of its streams.
    pub(crate) fn lose(&mut self, failure: &Failure) {
        for (_, mut entry) in self.streams.drain() {
            if let Some(reply) = entry.waits.take() {
                reply.say(Err(failure.clone()));
            }
        }
        self.largest = 0;
    }
}

impl Entry {
    fn credit(&mut self, direction: BodyDirection, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let credited = self.cell.credited(direction).saturating_add(bytes);
        if credited > self.sent[direction as usize] {
            return self.fail(format!("it credits {bytes} bytes more than it got"));
        }
        self.cell.set_credited(direction, credited);
        if matches!(&self.waits, Waits::ForCredit(waits, _) if *waits == direction)
            && let Some(reply) = self.waits.take()
        {
            reply.say(Ok(Word::Credit));
        }
    }

    fn answer(&mut self, mut answer: Box<v1::Answer>) {
        if answer.hook != self.hook || !self.is_due {
            return self.fail(format!("it answers hook {}, which does not wait for that", answer.hook));
        }
        if let Some(mut begun) = self.partial.take() {
            begun.append(&mut answer);
            answer = begun;
        }
        if answer.body_bytes() > self.limit {
            return self.fail(format!("its answer has more than {} bytes of a body", self.limit));
        }
        if answer.more {
            self.partial = Some(answer);
            return;
        }
        self.is_due = false;
        let direction = self.direction;
        self.cell.set_credited(direction, self.sent[direction as usize]);
        match self.waits.take() {
            Some(reply) => reply.say(Ok(Word::Answer(answer))),
            None => self.early = Some(Ok(answer)),
        }
    }

    /// Only this stream has failed.
    fn fail(&mut self, why: String) {
        let failure = Failure::BadAnswer(why);
        match self.waits.take() {
            Some(reply) => reply.say(Err(failure)),
            None => self.early = Some(Err(failure)),
        }
    }
}

/// Answers that come in pieces.
trait Pieces {
    fn append(&mut self, next: &mut Self);
    fn body_bytes(&self) -> usize;
}

impl Pieces for v1::Answer {
    fn append(&mut self, next: &mut Self) {
        let joined = |first: &Bytes, next: &Bytes| -> Bytes { [first.as_ref(), next.as_ref()].concat().into() };
        self.more = next.more;
        if let Some(body) = &next.body {
            let first = self.body.get_or_insert_default();
            first.data = joined(&first.data, &body.data);
        }
        if let Some(reply) = &next.reply {
            let first = self.reply.get_or_insert_default();
            first.body = joined(&first.body, &reply.body);
        }
    }

    fn body_bytes(&self) -> usize {
        let of_body = self.body.as_ref().map_or(0, |body| body.data.len());
        of_body.max(self.reply.as_ref().map_or(0, |reply| reply.body.len()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::order::Queue;
    use super::*;

    fn piece(stream: &Arc<Cell>, begins: bool, body: u64) -> Order {
        Order::Event(Box::new(Event {
            stream: stream.clone(),
            begins,
            hook: 1,
            kind: 4,
            bytes: Bytes::new(),
            body,
            direction: BodyDirection::Request,
            limit: 100,
            reply: None,
            _queued: Queue::default().add(0),
        }))
    }

    #[test]
    fn pieces_after_an_early_answer_are_not_sent_and_take_no_room() {
        let (mut table, mut out, stream) = (Table::default(), Vec::new(), Cell::new(1));
        table.obey(piece(&stream, true, 10), &mut out);
        let sent = out.len();
        assert!(sent > 0);
        let answer = v1::Answer { hook: 1, ..Default::default() };
        table.take(v1::PluginEvent { stream: 1, kind: Some(v1::plugin_event::Kind::Answer(answer)) }).unwrap();
        assert_eq!(stream.credited(BodyDirection::Request), 10);
        table.obey(piece(&stream, false, 20), &mut out);
        assert_eq!(out.len(), sent);
        assert_eq!(stream.credited(BodyDirection::Request), 30, "nothing is on its way");
    }
}
