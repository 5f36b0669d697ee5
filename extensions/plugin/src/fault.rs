//! Why a plugin's process is no good any more.

use std::fmt;
use std::time::Duration;

/// What went wrong, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) fault: Fault,
    pub(crate) why: String,
}

/// What went wrong, as metrics have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It could not be started, or not be connected to.
    Start,
    /// It printed no handshake, or a bad one.
    Handshake,
    /// Its process ended.
    Exit,
    /// Its connection ended.
    Connection,
    /// It says that it is ill, or says nothing when it is asked.
    Health,
    /// It answers no calls.
    Hang,
    /// It took more memory than it may.
    Memory,
    /// It has more processes and threads than it may.
    Tasks,
}

/// By what a plugin is known to hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Hang {
    #[error("it answered none of {0} calls in time")]
    Unanswered(u32),
    #[error("it read nothing of a call for {0:?}")]
    Unread(Duration),
}

impl Fault {
    pub(crate) const ALL: [Fault; 8] = [
        Fault::Start,
        Fault::Handshake,
        Fault::Exit,
        Fault::Connection,
        Fault::Health,
        Fault::Hang,
        Fault::Memory,
        Fault::Tasks,
    ];

    /// Label of metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::Start => "start",
            Fault::Handshake => "handshake",
            Fault::Exit => "exit",
            Fault::Connection => "connection",
            Fault::Health => "health",
            Fault::Hang => "hang",
            Fault::Memory => "memory",
            Fault::Tasks => "tasks",
        }
    }

    pub(crate) fn because(self, why: impl fmt::Display) -> Failed {
        Failed { fault: self, why: why.to_string() }
    }
}
