//! One body's way, with scripted ends: nothing here knows a protocol.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use sidegate_api::{EndOfStream, Headers};
use sidegate_stream::{
    At, BodyEvent, BodyFault, Data, Discard, Flow, FlowFault, Left, Nobody, Receiver, Replay, Sender, Step, Way,
};

/// Lends these pieces, one after the other; is silent at an empty one.
#[derive(Default)]
struct Pieces(VecDeque<Bytes>);

impl Pieces {
    fn of(pieces: &[&'static str]) -> Self {
        Pieces(pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect())
    }
}

impl Sender for Pieces {
    fn poll_body(&mut self, _: &mut Context<'_>, _: &mut Headers) -> Poll<Result<BodyEvent, BodyFault>> {
        match self.0.front() {
            None => Poll::Ready(Ok(BodyEvent::End)),
            Some(piece) if piece.is_empty() => {
                self.0.pop_front();
                Poll::Pending
            }
            Some(piece) => Poll::Ready(Ok(BodyEvent::Data(piece.len()))),
        }
    }

    fn data(&self) -> Data<'_> {
        self.0.front().map_or(Data::Slice(&[]), Data::Shared)
    }

    fn consume(&mut self, count: usize) {
        let piece = self.0.front_mut().unwrap();
        drop(piece.split_to(count));
        if piece.is_empty() {
            self.0.pop_front();
        }
    }
}

/// Takes so much at once, and so much in all.
struct Sink {
    taken: Vec<u8>,
    at_once: usize,
    in_all: usize,
    shared: usize,
    log: Vec<&'static str>,
}

impl Sink {
    fn new(at_once: usize, in_all: usize) -> Self {
        Sink { taken: Vec::new(), at_once, in_all, shared: 0, log: Vec::new() }
    }
}

impl Receiver for Sink {
    fn poll_send(&mut self, _: &mut Context<'_>, data: Data<'_>) -> Poll<io::Result<usize>> {
        if self.taken.len() >= self.in_all {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        self.shared += usize::from(matches!(data, Data::Shared(_)));
        let count = data.as_slice().len().min(self.at_once);
        self.taken.extend_from_slice(&data.as_slice()[..count]);
        Poll::Ready(Ok(count))
    }

    fn finish(&mut self, _: &Headers) {
        self.log.push("finish");
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.log.push("flush");
        Poll::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Passed {
    watched: bool,
    buffer: Vec<u8>,
    replay: Replay,
    came: usize,
    ended: usize,
    trailers: Headers,
}

impl Way for Passed {
    fn is_watched(&self) -> bool {
        self.watched
    }
    fn came(&mut self, count: usize) {
        self.came += count;
    }
    fn ended(&mut self) {
        self.ended += 1;
    }
    fn went(&mut self, bytes: &[u8]) {
        self.replay.add(bytes);
    }
    fn buffer(&self) -> &[u8] {
        &self.buffer
    }
    fn drain(&mut self, count: usize) {
        self.replay.add(&self.buffer[..count]);
        self.buffer.drain(..count);
    }
    fn replay(&self) -> &[u8] {
        self.replay.bytes()
    }
    fn trailers(&mut self) -> &mut Headers {
        &mut self.trailers
    }
}

fn poll(
    flow: &mut Flow,
    from: &mut impl Sender,
    to: &mut impl Receiver,
    way: &mut Passed,
) -> Poll<Result<Step, FlowFault>> {
    flow.poll(&mut Context::from_waker(Waker::noop()), from, to, way)
}

fn is(step: &Poll<Result<Step, FlowFault>>, wanted: Step) -> bool {
    matches!(step, Poll::Ready(Ok(step)) if *step == wanted)
}

#[test]
fn what_is_lent_goes_on_as_it_is_lent() {
    let (mut from, mut to, mut way) = (Pieces::of(&["abcdef", "", "gh"]), Sink::new(4, 99), Passed::default());
    let mut flow = Flow::default();
    assert!(poll(&mut flow, &mut from, &mut to, &mut way).is_pending());
    assert!(flow.is_reading());
    assert_eq!((to.taken.as_slice(), to.log.as_slice()), (b"abcdef".as_slice(), ["flush"].as_slice()));
    assert!(is(&poll(&mut flow, &mut from, &mut to, &mut way), Step::Sent));
    assert_eq!(to.taken, b"abcdefgh");
    assert_eq!(to.log, ["flush", "finish", "flush"]);
    // Memory that may be kept was never handed over as any other.
    assert_eq!(to.shared, 3);
    assert_eq!((way.came, way.ended, flow.at()), (8, 1, At::Done));
    assert!(poll(&mut flow, &mut from, &mut to, &mut way).is_pending());
}

#[test]
fn watched_parts_stop_and_go_on_by_the_buffer() {
    let (mut from, mut to) = (Pieces::of(&["abc"]), Sink::new(99, 99));
    let mut way = Passed { watched: true, ..Passed::default() };
    let mut flow = Flow::default();
    assert!(is(&poll(&mut flow, &mut from, &mut to, &mut way), Step::Chunk(3)));
    from.consume(3);
    way.buffer = b"ABC!".to_vec();
    flow.pass(EndOfStream::More);
    assert!(is(&poll(&mut flow, &mut from, &mut to, &mut way), Step::End));
    assert_eq!((to.taken.as_slice(), to.log.len()), (b"ABC!".as_slice(), 0));
    way.buffer = b"?".to_vec();
    flow.pass(EndOfStream::End);
    assert!(flow.has_all());
    assert!(is(&poll(&mut flow, &mut from, &mut to, &mut way), Step::Sent));
    assert_eq!(to.taken, b"ABC!?");
}

#[test]
fn a_receiver_that_fails_leaves_what_is_left_to_the_next() {
    let mut from = Pieces::of(&["abcdef", "gh"]);
    let mut way = Passed { replay: Replay::Kept(Vec::new()), ..Passed::default() };
    let mut flow = Flow::default();
    let mut first = Sink::new(4, 4);
    assert!(matches!(poll(&mut flow, &mut from, &mut first, &mut way), Poll::Ready(Err(FlowFault::Receiver(_)))));
    assert_eq!(flow.at(), At::Refused(Left::Lend(2)));
    assert!(!flow.goes_on());
    flow.rewind();
    // The next fails while it gets the same bytes: nothing of that is lost.
    let mut second = Sink::new(2, 2);
    assert!(poll(&mut flow, &mut from, &mut second, &mut way).is_ready());
    flow.rewind();
    assert_eq!(flow.at(), At::Again { sent: 0, then: Left::Lend(2) });
    let mut third = Sink::new(3, 99);
    assert!(is(&poll(&mut flow, &mut from, &mut third, &mut way), Step::Sent));
    assert_eq!(third.taken, b"abcdefgh");
    assert_eq!(way.replay.bytes(), b"abcdefgh");
    assert_eq!((way.came, way.ended), (8, 1));
    // Also what was sent whole.
    flow.rewind();
    let mut fourth = Sink::new(99, 99);
    assert!(is(&poll(&mut flow, &mut from, &mut fourth, &mut way), Step::Sent));
    assert_eq!(
        (fourth.taken.as_slice(), fourth.log.as_slice()),
        (b"abcdefgh".as_slice(), ["finish", "flush"].as_slice())
    );
}

#[test]
fn a_sender_that_breaks_off_is_told_apart() {
    struct Broken;
    impl Sender for Broken {
        fn poll_body(&mut self, _: &mut Context<'_>, _: &mut Headers) -> Poll<Result<BodyEvent, BodyFault>> {
            Poll::Ready(Err(BodyFault::Closed))
        }
        fn data(&self) -> Data<'_> {
            Data::Slice(&[])
        }
        fn consume(&mut self, _: usize) {}
    }
    let step = poll(&mut Flow::default(), &mut Broken, &mut Discard, &mut Passed::default());
    assert!(matches!(step, Poll::Ready(Err(FlowFault::Sender(BodyFault::Closed)))));
}

#[test]
fn what_stands_in_the_middle_needs_no_sender() {
    let mut to = Sink::new(2, 99);
    let mut way = Passed { buffer: b"reply".to_vec(), ..Passed::default() };
    let mut flow = Flow::new(Left::Drain(EndOfStream::End));
    assert!(is(&poll(&mut flow, &mut Nobody, &mut to, &mut way), Step::Sent));
    assert_eq!(to.taken, b"reply");
}
