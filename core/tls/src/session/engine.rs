//! rustls's sessions without buffers of their own, and what they are told to
//! do with ours.

use std::io::IoSlice;

use rustls::CommonState;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};

use super::scratch::{RECORD, Scratch, WRITE, has_record, record_length};

/// One side of a session.
pub(super) enum Engine {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// Where plaintext goes.
pub(super) struct Sink<'a> {
    /// Here first.
    pub room: &'a mut [u8],
    /// Bytes that it has got.
    pub filled: usize,
    /// What has no room.
    pub rest: &'a mut Vec<u8>,
}

/// What a session is to do once the peer's bytes are looked at.
pub(super) enum Task<'a, 'b> {
    /// No more than that; and not all of it, if there is no room.
    Receive,
    /// Encrypt some of this.
    Write(&'a [IoSlice<'b>], &'a mut Scratch, &'a mut Written),
    /// Say that no more comes.
    Close,
}

/// What came of a write, in bytes.
#[derive(Default)]
pub(super) struct Written {
    /// Plaintext that was taken.
    pub taken: usize,
    /// What it has become, at the beginning of [`Scratch::outgoing`].
    pub made: usize,
}

/// What came of the peer's bytes.
pub(super) struct Processed {
    /// Bytes that are not needed any more.
    pub used: usize,
    /// The peer has said that it sends no more.
    pub closed: bool,
    /// There is another record, and no room for it.
    pub crowded: bool,
    pub result: Result<(), rustls::Error>,
}

enum Next {
    /// There may be more to do.
    Again,
    /// There is not, without more bytes.
    Blocked,
    PeerClosed,
    Failed(rustls::Error),
}

impl Engine {
    pub fn common(&self) -> &CommonState {
        match self {
            Engine::Server(connection) => connection,
            Engine::Client(connection) => connection,
        }
    }

    /// Looks at `bytes` of the peer, which must begin with all that were not
    /// used so far, does the `task`, and appends answers to `outgoing`.
    pub fn process(
        &mut self,
        bytes: &mut [u8],
        sink: &mut Sink<'_>,
        outgoing: &mut Vec<u8>,
        mut task: Task<'_, '_>,
    ) -> Processed {
        let (mut used, mut closed, mut crowded) = (0, false, false);
        let result = loop {
            if matches!(task, Task::Receive) && !sink.takes(&bytes[used..]) {
                crowded = has_record(&bytes[used..]);
                break Ok(());
            }
            let (discard, next) = self.step(&mut bytes[used..], sink, outgoing, &mut task);
            used += discard;
            match next {
                Next::Again => {}
                Next::Blocked => break Ok(()),
                Next::PeerClosed => closed = true,
                Next::Failed(error) => {
                    self.last_words(outgoing);
                    break Err(error);
                }
            }
        };
        Processed { used: if closed { bytes.len() } else { used }, closed, crowded, result }
    }

    /// The alert that goes out after a failure. The peer's bytes are not looked
    /// at again: what was wrong with them would be wrong once more.
    fn last_words(&mut self, outgoing: &mut Vec<u8>) {
        while self.common().wants_write() {
            let mut nothing = Sink { room: &mut [], filled: 0, rest: &mut Vec::new() };
            self.step(&mut [], &mut nothing, outgoing, &mut Task::Receive);
        }
    }

    fn step(
        &mut self,
        bytes: &mut [u8],
        sink: &mut Sink<'_>,
        outgoing: &mut Vec<u8>,
        task: &mut Task<'_, '_>,
    ) -> (usize, Next) {
        match self {
            Engine::Server(connection) => obey(connection.process_tls_records(bytes), sink, outgoing, task),
            Engine::Client(connection) => obey(connection.process_tls_records(bytes), sink, outgoing, task),
        }
    }
}

impl Sink<'_> {
    /// Whether the first record of `bytes` may be decrypted: it has room, or
    /// nothing has been delivered yet.
    fn takes(&self, bytes: &[u8]) -> bool {
        let delivered = self.filled + self.rest.len();
        delivered == 0
            || self.rest.is_empty() && record_length(bytes).is_none_or(|length| length <= self.room.len() - self.filled)
    }

    fn take(&mut self, payload: &[u8]) {
        let free = &mut self.room[self.filled..];
        let (now, later) = payload.split_at(payload.len().min(free.len()));
        free[..now.len()].copy_from_slice(now);
        self.filled += now.len();
        self.rest.extend_from_slice(later);
    }
}

/// Does what a session says has to be done next; says how many bytes of the
/// peer it is done with.
fn obey<D>(
    status: UnbufferedStatus<'_, '_, D>,
    sink: &mut Sink<'_>,
    outgoing: &mut Vec<u8>,
    task: &mut Task<'_, '_>,
) -> (usize, Next) {
    let mut discard = status.discard;
    let next = match status.state {
        Err(error) => Next::Failed(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    sink.take(record.payload);
                }
                Some(Err(error)) => break Next::Failed(error),
                None => break Next::Again,
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, outgoing),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // It is sent in front of anything else.
            data.done();
            Next::Again
        }
        Ok(ConnectionState::PeerClosed) => Next::PeerClosed,
        Ok(ConnectionState::Closed | ConnectionState::BlockedHandshake) => Next::Blocked,
        Ok(ConnectionState::WriteTraffic(mut traffic)) => match perform(&mut traffic, outgoing, task) {
            Ok(()) => Next::Blocked,
            Err(_) => Next::Failed(rustls::Error::EncryptError),
        },
        // Early data is never accepted, and there is nothing else.
        Ok(_) => Next::Failed(rustls::Error::General("a state of a session that is not known".into())),
    };
    (discard, next)
}

fn encode<D>(data: &mut EncodeTlsData<'_, D>, outgoing: &mut Vec<u8>) -> Next {
    let before = outgoing.len();
    let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) = data.encode(&mut []) else {
        return Next::Again;
    };
    outgoing.resize(before + required_size, 0);
    match data.encode(&mut outgoing[before..]) {
        Ok(_) => Next::Again,
        Err(_) => Next::Failed(rustls::Error::EncryptError),
    }
}

fn perform<D>(
    traffic: &mut WriteTraffic<'_, D>,
    outgoing: &mut Vec<u8>,
    task: &mut Task<'_, '_>,
) -> Result<(), EncryptError> {
    match task {
        Task::Receive => Ok(()),
        Task::Write(slices, scratch, written) => write(traffic, slices, scratch, written),
        Task::Close => {
            let before = outgoing.len();
            let made = make(outgoing, before, |room| traffic.queue_close_notify(room))?;
            outgoing.truncate(before + made);
            Ok(())
        }
    }
}

/// Encrypts what `slices` hold, record after record.
fn write<D>(
    traffic: &mut WriteTraffic<'_, D>,
    slices: &[IoSlice<'_>],
    scratch: &mut Scratch,
    written: &mut Written,
) -> Result<(), EncryptError> {
    scratch.for_write();
    let mut left = slices.iter().map(|slice| &**slice).filter(|slice| !slice.is_empty());
    let mut current = left.next().unwrap_or_default();
    while !current.is_empty() && written.taken < WRITE {
        let mut plain = current;
        if current.len() < RECORD {
            // Small parts share a record.
            scratch.gathered.clear();
            current = left.next().unwrap_or_default();
            if !current.is_empty() {
                scratch.gathered.extend_from_slice(plain);
                while !current.is_empty() && scratch.gathered.len() < RECORD {
                    let (now, later) = current.split_at(current.len().min(RECORD - scratch.gathered.len()));
                    scratch.gathered.extend_from_slice(now);
                    current = if later.is_empty() { left.next().unwrap_or_default() } else { later };
                }
                plain = &scratch.gathered;
            }
        } else {
            (plain, current) = current.split_at(RECORD);
            if current.is_empty() {
                current = left.next().unwrap_or_default();
            }
        }
        let made = make(&mut scratch.outgoing, written.made, |room| traffic.encrypt(plain, room))?;
        written.made += made;
        written.taken += plain.len();
    }
    Ok(())
}

/// Calls `into` with what `memory` has from `start` on, or with as much as it
/// asks for.
fn make(
    memory: &mut Vec<u8>,
    start: usize,
    mut into: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<usize, EncryptError> {
    match into(&mut memory[start..]) {
        Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
            memory.resize(start + required_size, 0);
            into(&mut memory[start..])
        }
        other => other,
    }
}
