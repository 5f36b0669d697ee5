//! Bytes of another protocol, after both sides have switched to it.

use std::io;
use std::task::{Context, Poll, ready};

use crate::pipe::{LARGE_READ, Pipe};

/// One direction of a tunnel. What was read behind the heads goes first.
#[derive(Debug, Default)]
pub struct TunnelWay {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Open,
    /// As open; the sender fills whole buffers.
    Busy,
    /// The sender has ended; the receiver is to be told.
    Ending,
    Ended,
}

/// A direction broke off.
#[derive(Debug, thiserror::Error)]
pub enum TunnelFault {
    /// The sender's connection failed.
    #[error("the sender failed: {0}")]
    Sender(io::Error),
    /// The receiver's connection failed.
    #[error("the receiver failed: {0}")]
    Receiver(io::Error),
}

impl TunnelWay {
    /// Whether the sender has ended its side.
    pub fn sender_has_ended(&self) -> bool {
        matches!(self.state, State::Ending | State::Ended)
    }

    /// Nobody is there to take what this way brings.
    pub fn give_up(&mut self) {
        self.state = State::Ended;
    }

    /// Moves what can be moved from one connection to the other, and adds the
    /// number of bytes to `moved`. Reads only what the receiver takes, and
    /// holds no buffer while the sender is silent. Ready once the sender has
    /// ended and the receiver was told.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Pipe,
        to: &mut Pipe,
        moved: &mut u64,
    ) -> Poll<Result<(), TunnelFault>> {
        loop {
            match self.state {
                State::Open | State::Busy if from.input.is_empty() => {
                    // The head of the switch may still wait.
                    if let Poll::Ready(result) = to.poll_flush(cx) {
                        result.map_err(TunnelFault::Receiver)?;
                    }
                    match self.state {
                        State::Busy => from.input.enlarge(LARGE_READ),
                        _ => from.input.release(),
                    }
                    let Poll::Ready(read) = from.socket.poll_read(cx, &mut from.input, 0) else {
                        from.input.release();
                        return Poll::Pending;
                    };
                    self.state = match read.map_err(TunnelFault::Sender)? {
                        0 => State::Ending,
                        _ if from.input.is_full() => State::Busy,
                        _ => State::Open,
                    };
                }
                State::Open | State::Busy => {
                    let sent = ready!(to.poll_write(cx, from.input.filled(), &[]));
                    let (sent, _) = sent.map_err(TunnelFault::Receiver)?;
                    from.input.consume(sent);
                    *moved += sent as u64;
                }
                State::Ending => {
                    ready!(to.poll_flush(cx)).map_err(TunnelFault::Receiver)?;
                    ready!(to.socket.poll_shutdown(cx)).map_err(TunnelFault::Receiver)?;
                    from.input.release();
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }
}
