//! Tasks that end with their handle.

use tokio::task::JoinHandle;

/// A task that is stopped when this is dropped.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Task(tokio::spawn(future))
    }

    #[cfg(test)]
    pub(crate) fn id(&self) -> tokio::task::Id {
        self.0.id()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
