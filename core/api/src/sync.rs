//! What [`crate::ResumeSlot`] synchronizes with.

pub(crate) use std::sync::Mutex;
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
