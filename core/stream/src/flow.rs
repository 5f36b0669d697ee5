//! The way of one body from whoever sends it to whoever gets it.

use std::io;
use std::task::{Context, Poll};

use sidegate_api::{EndOfStream, Headers};

use crate::{BodyEvent, BodyFault, Data};

/// Where a body comes from.
pub trait Sender {
    /// What comes next. After `Data(n)`, `n` bytes must be consumed before the
    /// next call.
    fn poll_body(&mut self, cx: &mut Context<'_>, trailers: &mut Headers) -> Poll<Result<BodyEvent, BodyFault>>;

    /// The bytes that were lent and not consumed yet.
    fn data(&self) -> Data<'_>;

    /// So many of them are not needed any more.
    fn consume(&mut self, count: usize);
}

/// Where a body goes.
pub trait Receiver {
    /// Takes some of `data`; says how much.
    fn poll_send(&mut self, cx: &mut Context<'_>, data: Data<'_>) -> Poll<io::Result<usize>>;

    /// The body is complete.
    fn finish(&mut self, trailers: &Headers);

    /// Passes on what was taken so far.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// What a body passes between the two.
pub trait Way {
    /// Whether its parts make a stop: they come out of [`Flow::poll`], and go on
    /// by way of the buffer.
    fn is_watched(&self) -> bool;

    /// So many bytes came from the sender.
    fn came(&mut self, count: usize);

    /// The sender's last have come.
    fn ended(&mut self);

    /// The receiver took these bytes of what the sender lent.
    fn went(&mut self, bytes: &[u8]);

    /// Bytes in the middle that wait for the receiver.
    fn buffer(&self) -> &[u8];

    /// The receiver took so many of them.
    fn drain(&mut self, count: usize);

    /// What a former receiver was sent, for the next one.
    fn replay(&self) -> &[u8];

    /// What follows the body.
    fn trailers(&mut self) -> &mut Headers;
}

/// Sends nothing: everything there is stands in the middle.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

/// Takes everything, for nobody.
#[derive(Debug, Clone, Copy)]
pub struct Discard;

/// What is left of a body, without what was sent of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The next part is wanted from the sender.
    Read,
    /// So many bytes that the sender lends are on their way.
    Lend(usize),
    /// The buffer in the middle is on its way; then more, or the end.
    Drain(EndOfStream),
    /// All bytes are known; what waits is written out.
    Flush,
}

/// How far a body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// On its way.
    Sending(Left),
    /// What a former receiver was sent goes first; so much of it went.
    Again {
        /// Bytes that went.
        sent: usize,
        /// What comes behind them.
        then: Left,
    },
    /// At its end.
    Done,
    /// The receiver takes no more.
    Refused(Left),
}

/// One body's way.
#[derive(Debug)]
pub struct Flow {
    at: At,
}

/// What whoever moves a body has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A watched part: so many bytes, which the sender lends. They are to be
    /// taken, and [`Flow::pass`] says that they go on.
    Chunk(usize),
    /// The end of a watched body, in the same way.
    End,
    /// Everything was sent.
    Sent,
}

/// Why a body goes no further.
#[derive(Debug)]
pub enum FlowFault {
    /// Its sender broke off.
    Sender(BodyFault),
    /// Its receiver takes no more.
    Receiver(io::Error),
}

/// Where the stage stands in a mark, above any count.
const STAGE: u32 = 56;

impl Left {
    /// A number that is another one where less is left.
    #[inline]
    pub fn mark(self) -> u64 {
        match self {
            Left::Read => 0,
            Left::Lend(left) => 1 << STAGE | left as u64,
            Left::Drain(EndOfStream::More) => 2 << STAGE,
            Left::Drain(EndOfStream::End) => 3 << STAGE,
            Left::Flush => 4 << STAGE,
        }
    }
}

impl Default for Flow {
    fn default() -> Self {
        Flow { at: At::Sending(Left::Read) }
    }
}

impl Flow {
    /// Of a body of which this is left.
    #[inline]
    pub fn new(left: Left) -> Self {
        Flow { at: At::Sending(left) }
    }

    /// How far it has come.
    #[inline]
    pub fn at(&self) -> At {
        self.at
    }

    /// Whether there is anything to be done. Asked before a call that would
    /// find out the same.
    #[inline]
    pub fn goes_on(&self) -> bool {
        !matches!(self.at, At::Done | At::Refused(_))
    }

    /// Whether the body is at its end.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Whether the sender is waited for.
    #[inline]
    pub fn is_reading(&self) -> bool {
        self.at == At::Sending(Left::Read)
    }

    /// Whether everything has come from the sender.
    pub fn has_all(&self) -> bool {
        matches!(self.left(), Left::Flush | Left::Drain(EndOfStream::End))
    }

    /// What is left of the body, without what was sent of it.
    pub fn left(&self) -> Left {
        match self.at {
            At::Sending(left) | At::Refused(left) | At::Again { then: left, .. } => left,
            At::Done => Left::Flush,
        }
    }

    /// A number that is another one where the body has come further, but for
    /// what was drained of the buffer in the middle.
    #[inline]
    pub fn mark(&self) -> u64 {
        match self.at {
            At::Sending(left) => left.mark(),
            At::Done => 5 << STAGE,
            At::Again { sent, .. } => 6 << STAGE | sent as u64,
            At::Refused(_) => 7 << STAGE,
        }
    }

    /// What the buffer in the middle has goes next; then more, or the end.
    #[inline]
    pub fn pass(&mut self, end: EndOfStream) {
        self.at = At::Sending(Left::Drain(end));
    }

    /// There is another receiver: what was sent goes to it first.
    pub fn rewind(&mut self) {
        self.at = At::Again { sent: 0, then: self.left() };
    }

    /// Nobody is there to take what is left.
    pub fn give_up(&mut self) {
        self.at = At::Done;
    }

    /// Moves what can be moved, and writes what was sent while the sender is
    /// silent. A receiver that fails leaves it [refused](At::Refused).
    #[inline]
    pub fn poll<S: Sender, R: Receiver, W: Way>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut S,
        to: &mut R,
        way: &mut W,
    ) -> Poll<Result<Step, FlowFault>> {
        loop {
            let moved = match self.at {
                At::Done | At::Refused(_) => return Poll::Pending,
                At::Sending(Left::Read) => match from.poll_body(cx, way.trailers()) {
                    Poll::Ready(Ok(BodyEvent::Data(count))) => {
                        way.came(count);
                        if way.is_watched() {
                            return Poll::Ready(Ok(Step::Chunk(count)));
                        }
                        self.at = At::Sending(Left::Lend(count));
                        continue;
                    }
                    Poll::Ready(Ok(BodyEvent::End)) => {
                        way.ended();
                        if way.is_watched() {
                            return Poll::Ready(Ok(Step::End));
                        }
                        to.finish(way.trailers());
                        self.at = At::Sending(Left::Flush);
                        continue;
                    }
                    Poll::Ready(Err(fault)) => return Poll::Ready(Err(FlowFault::Sender(fault))),
                    Poll::Pending => match to.poll_flush(cx) {
                        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                        Poll::Ready(Ok(())) | Poll::Pending => return Poll::Pending,
                    },
                },
                At::Sending(Left::Lend(left)) => {
                    let data = from.data();
                    match to.poll_send(cx, data) {
                        Poll::Ready(Ok(count)) => {
                            way.went(&data.as_slice()[..count]);
                            from.consume(count);
                            let next = if count == left { Left::Read } else { Left::Lend(left - count) };
                            Poll::Ready(Ok(At::Sending(next)))
                        }
                        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                        Poll::Pending => Poll::Pending,
                    }
                }
                At::Sending(Left::Drain(EndOfStream::More)) if way.buffer().is_empty() => {
                    self.at = At::Sending(Left::Read);
                    continue;
                }
                At::Sending(Left::Drain(EndOfStream::End)) if way.buffer().is_empty() => {
                    to.finish(way.trailers());
                    self.at = At::Sending(Left::Flush);
                    continue;
                }
                At::Sending(Left::Drain(end)) => to.poll_send(cx, Data::Slice(way.buffer())).map_ok(|count| {
                    way.drain(count);
                    At::Sending(Left::Drain(end))
                }),
                At::Sending(Left::Flush) => match to.poll_flush(cx) {
                    Poll::Ready(Ok(())) => {
                        self.at = At::Done;
                        return Poll::Ready(Ok(Step::Sent));
                    }
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Pending => Poll::Pending,
                },
                At::Again { sent, then } => match way.replay().get(sent..).unwrap_or_default() {
                    [] => {
                        if then == Left::Flush {
                            to.finish(way.trailers());
                        }
                        self.at = At::Sending(then);
                        continue;
                    }
                    again => {
                        to.poll_send(cx, Data::Slice(again)).map_ok(|count| At::Again { sent: sent + count, then })
                    }
                },
            };
            match moved {
                Poll::Ready(Ok(at)) => self.at = at,
                Poll::Ready(Err(error)) => {
                    self.at = At::Refused(self.left());
                    return Poll::Ready(Err(FlowFault::Receiver(error)));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Sender for Nobody {
    fn poll_body(&mut self, _: &mut Context<'_>, _: &mut Headers) -> Poll<Result<BodyEvent, BodyFault>> {
        Poll::Ready(Ok(BodyEvent::End))
    }

    fn data(&self) -> Data<'_> {
        Data::Slice(&[])
    }

    fn consume(&mut self, _: usize) {}
}

impl Receiver for Discard {
    fn poll_send(&mut self, _: &mut Context<'_>, data: Data<'_>) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.as_slice().len()))
    }

    fn finish(&mut self, _: &Headers) {}

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
