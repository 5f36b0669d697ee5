//! The thread on which a peer's connections live, and how blocking code asks
//! them.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

use super::H2Error;
use crate::wait::PATIENCE;

/// Runs tasks until it is dropped, which ends them all.
pub(super) struct Driver {
    handle: Handle,
    over: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    pub(super) fn start() -> Driver {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (handle, over) = (runtime.handle().clone(), Arc::new(Notify::new()));
        let end = over.clone();
        let thread = std::thread::spawn(move || runtime.block_on(end.notified()));
        Driver { handle, over, thread: Some(thread) }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.over.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits on this thread for what happens on the driver's, no longer than
/// [`PATIENCE`].
pub(super) fn wait<T>(handle: &Handle, future: impl Future<Output = Result<T, H2Error>>) -> Result<T, H2Error> {
    handle.block_on(async { tokio::time::timeout(PATIENCE, future).await.unwrap_or(Err(H2Error::Timeout)) })
}
