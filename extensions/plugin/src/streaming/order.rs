//! What goes from a stream on its worker to the session, and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use sidegate_api::{BodyDirection, ResumeHandle};
use sidegate_proto::v1;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::call::Failure;

/// From a worker.
#[derive(Debug)]
pub(crate) enum Order {
    /// Say when it is known what the plugin speaks.
    Settle(Reply),
    Event(Box<Event>),
    /// Say when there is credit beyond `seen`.
    Credit {
        stream: Arc<Cell>,
        direction: BodyDirection,
        seen: u64,
        reply: Reply,
    },
    /// The stream is over; the bytes are a `Completion`, if anybody wants it.
    End {
        stream: u64,
        completion: Bytes,
    },
}

/// An event for the plugin.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) stream: Arc<Cell>,
    /// Whether it is the stream's first.
    pub(crate) begins: bool,
    /// 0: it is not answered.
    pub(crate) hook: u32,
    /// Number of its field in `Event`.
    pub(crate) kind: u8,
    pub(crate) bytes: Bytes,
    /// Bytes of a body in it.
    pub(crate) body: u64,
    pub(crate) direction: BodyDirection,
    /// Bytes that its answer's body may have.
    pub(crate) limit: usize,
    /// With the last piece of a hook that is answered.
    pub(crate) reply: Option<Reply>,
    /// Until the event is written, or is given up.
    pub(crate) _queued: Queued,
}

/// Bytes of events that the session has not written yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue(Arc<AtomicUsize>);

/// An event's part of them.
#[derive(Debug)]
pub(crate) struct Queued {
    queue: Queue,
    bytes: usize,
}

/// What worker and session both know of a stream.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) id: u64,
    /// Bytes of each body that the plugin has taken.
    credited: [AtomicU64; 2],
}

/// Where a stream waits.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) tell: oneshot::Sender<Told>,
    pub(crate) resume: ResumeHandle,
    pub(crate) give_up: Instant,
}

/// What comes back to the stream.
pub(crate) type Told = Result<Word, Failure>;

#[derive(Debug)]
pub(crate) enum Word {
    Settled,
    Credit,
    Answer(Box<v1::Answer>),
}

impl Cell {
    pub(crate) fn new(id: u64) -> Arc<Self> {
        Arc::new(Cell { id, credited: Default::default() })
    }

    pub(crate) fn credited(&self, direction: BodyDirection) -> u64 {
        self.credited[direction as usize].load(Ordering::Acquire)
    }

    /// Only the session does this.
    pub(crate) fn set_credited(&self, direction: BodyDirection, bytes: u64) {
        self.credited[direction as usize].store(bytes, Ordering::Release);
    }
}

impl Queue {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts an event of so many bytes, and what it takes beside them.
    pub(crate) fn add(&self, bytes: usize) -> Queued {
        let bytes = bytes + size_of::<Event>();
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Queued { queue: self.clone(), bytes }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.queue.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Order {
    /// Who waits for what comes of it.
    pub(crate) fn reply(self) -> Option<Reply> {
        match self {
            Order::Settle(reply) | Order::Credit { reply, .. } => Some(reply),
            Order::Event(event) => event.reply,
            Order::End { .. } => None,
        }
    }
}

impl Reply {
    pub(crate) fn say(self, told: Told) {
        // Who does not wait any longer has ended, or has given up by itself.
        if self.tell.send(told).is_ok() {
            self.resume.resume();
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.tell.is_closed()
    }
}
