//! epoll, edge-triggered, with a token for each descriptor.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

const EVENTS: usize = 512;

pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    wake: Arc<OwnedFd>,
}

/// Ends a wait from another thread.
pub(crate) struct Waker(Arc<OwnedFd>);

/// How long to wait for events.
#[derive(Clone, Copy)]
pub(crate) enum Wait {
    No,
    AtMost(Duration),
    ForEver,
}

const WAKE: u64 = u64::MAX;

impl Poller {
    pub(crate) fn new() -> io::Result<Poller> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN | epoll::EventFlags::ET)?;
        Ok(Poller { epoll, events: Vec::with_capacity(EVENTS), wake: Arc::new(wake) })
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker(self.wake.clone())
    }

    /// From now on `token` says that something became possible on `source`.
    pub(crate) fn add(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, source, epoll::EventData::new_u64(token), flags)?)
    }

    /// Tokens of what is ready, into `ready`; whether it was woken.
    pub(crate) fn wait(&mut self, wait: Wait, ready: &mut Vec<u64>) -> io::Result<Woken> {
        let timeout = match wait {
            Wait::No => Some(Duration::ZERO),
            Wait::AtMost(time) => Some(time),
            Wait::ForEver => None,
        };
        let timeout = timeout.map(|time| Timespec::try_from(time).map_err(io::Error::other)).transpose()?;
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.clear();
        ready.extend(self.events.iter().map(|event| event.data.u64()).filter(|token| *token != WAKE));
        let woken = self.events.len() != ready.len();
        if woken {
            let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
        }
        Ok(if woken { Woken::Yes } else { Woken::No })
    }
}

/// Whether a [`Waker`] was used.
#[derive(PartialEq, Eq)]
pub(crate) enum Woken {
    Yes,
    No,
}

impl Waker {
    pub(crate) fn wake(&self) {
        // Full only if nobody has looked for 2^64 wakes.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}
