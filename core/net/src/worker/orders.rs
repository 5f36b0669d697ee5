//! A worker's part in relief: what the overload manager orders, and memory
//! that is given back after a peak.

use std::rc::{Rc, Weak};
use std::time::Duration;

use sidegate_overload::Order;

use crate::{ListenerId, Service, WorkerContext};

/// How often peaks are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Idle connections that close at once for a full listener, of a hundred.
const CLOSE_PERCENT: u8 = 10;
/// So long tasks that were woken have to run.
const SETTLE: Duration = Duration::from_millis(20);

/// Gives memory back when most of what used it has gone.
pub(crate) async fn watch_peaks(worker: Rc<WorkerContext>, after_peak: fn()) {
    loop {
        tokio::time::sleep(LOOK).await;
        if worker.fell_from_peak() {
            shrink(&worker, after_peak).await;
        }
    }
}

/// Does what the manager orders, for as long as the worker lives.
pub(crate) async fn obey<S: Service>(worker: Rc<WorkerContext>, service: Weak<S>, after_peak: fn()) {
    loop {
        for order in worker.ledger.orders().await {
            match order {
                Order::Settle => worker.ledger.settle(),
                Order::Reset(bytes) => {
                    worker.ledger.condemn(bytes);
                    tokio::time::sleep(SETTLE).await;
                    after_peak();
                }
                Order::CloseIdle(percent) => {
                    let Some(service) = service.upgrade() else { return };
                    let downstream = close_idle(&worker, None, percent).await;
                    let upstream = service.close_idle(percent);
                    worker.ledger.closed_idle(downstream, upstream);
                }
                Order::CloseIdleOf(listener) => {
                    let downstream = close_idle(&worker, Some(listener), CLOSE_PERCENT).await;
                    worker.ledger.closed_idle(downstream, 0);
                }
                Order::Shrink => shrink(&worker, after_peak).await,
            }
        }
    }
}

/// Closes idle connections of clients, of one listener or all; how many.
async fn close_idle(worker: &WorkerContext, listener: Option<ListenerId>, percent: u8) -> usize {
    let idle = &worker.ledger.idle;
    idle.call_for_reports(listener);
    worker.deadlines.wake_all();
    tokio::time::sleep(SETTLE).await;
    let downstream = idle.call_to_close(percent);
    if downstream > 0 {
        worker.deadlines.wake_all();
    }
    downstream
}

/// What idle connections and the pool of buffers keep for the next request is
/// freed, and what is free goes back to the system.
async fn shrink(worker: &WorkerContext, after_peak: fn()) {
    worker.ledger.idle.call_to_slim();
    worker.deadlines.wake_all();
    tokio::time::sleep(SETTLE).await;
    worker.buffers.clear();
    after_peak();
}
