//! The wait of a hook that answered `Pending`.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use sidegate_api::FilterFault;

use crate::outcome::Stop;
use crate::stream::{PendingCount, Stream, client};

/// Resumes in one wait. A filter may be woken for nothing now and then; one
/// that wakes itself again and again does nothing but take the worker's time.
const MAX_RESUMES: u32 = 10_000;

/// What a hook has used of its time: from its first `Pending` to the first
/// other status, however often it was resumed in between.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    resumes: u32,
    /// Without the times that the filter named itself.
    spent: Duration,
}

/// Why a hook is not waited for any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    Time,
    Resumes,
}

impl From<Overdue> for FilterFault {
    fn from(overdue: Overdue) -> Self {
        match overdue {
            Overdue::Time => FilterFault::new("was pending for longer than filter_pending allows"),
            Overdue::Resumes => FilterFault::new(format!("was still pending after {MAX_RESUMES} resumes")),
        }
    }
}

/// Waits for a resume or for the time that the filter named. Ends when the
/// client goes away: nobody needs to wait for it then. The worker's other
/// streams get their turn in any case, also if the resume was there before.
pub(crate) async fn wait(s: &mut Stream<'_>, wait: &mut Wait) -> Result<Result<(), Overdue>, Stop> {
    if wait.resumes >= MAX_RESUMES {
        return Ok(Err(Overdue::Resumes));
    }
    let wake_after = s.state.wake_after.take();
    let left = s.listener.config.timeouts.filter_pending.saturating_sub(wait.spent);
    if wake_after.is_none() && left.is_zero() {
        return Ok(Err(Overdue::Time));
    }
    let _counted = PendingCount::new(&s.worker.ledger)?;
    let begun = Instant::now();
    s.timers.filter.set(Some(wake_after.unwrap_or(left)));
    let (mut by_handle, mut others_ran) = (false, false);
    let woken = poll_fn(|cx| {
        if s.state.resume.as_ref().is_some_and(|slot| slot.poll_resumed(cx)) {
            by_handle = true;
            return Poll::Ready(Ok(Ok(())));
        }
        if let Poll::Ready(gone) = client::poll_gone(s, cx) {
            return Poll::Ready(Err(gone));
        }
        let at_its_end = if wake_after.is_some() { Ok(()) } else { Err(Overdue::Time) };
        let woken = s.timers.filter.poll(cx).map(|()| Ok(at_its_end));
        others_ran |= woken.is_pending();
        woken
    })
    .await;
    s.timers.filter.set(None);
    if !others_ran {
        tokio::task::yield_now().await;
    }
    let late = !by_handle && s.state.resume.as_ref().is_some_and(|slot| slot.disarm());
    if by_handle || late {
        wait.resumes += 1;
    }
    if wake_after.is_none() {
        wait.spent += begun.elapsed();
    }
    // A late one came at the last moment and was told that the stream goes
    // on.
    if late { woken.map(|_| Ok(())) } else { woken }
}
