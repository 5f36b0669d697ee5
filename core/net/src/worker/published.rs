//! Whether workers have taken what was published.

use std::time::Duration;

use sidegate_watch::Watched;
use tokio::sync::oneshot;

/// How often it is looked at whether those that have not answered hang.
const LOOK: Duration = Duration::from_millis(50);

/// An update on its way to all workers.
#[derive(Debug)]
pub struct Published {
    left: Vec<Answer>,
}

/// What a worker says once it has taken the update.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) worker: Watched,
    /// An error means that the worker has ended.
    pub(crate) taken: oneshot::Receiver<()>,
}

impl Published {
    pub(crate) fn new(left: Vec<Answer>) -> Self {
        Published { left }
    }

    /// Waits until every worker has taken the update, so that whatever arrives
    /// from now on finds it. Workers that hang are not waited for: they take it
    /// before they serve anything again. `false`: `patience` was too short.
    pub async fn taken(mut self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.all_taken()).await.is_ok()
    }

    async fn all_taken(&mut self) {
        while let Some(last) = self.left.last_mut() {
            if tokio::time::timeout(LOOK, &mut last.taken).await.is_ok() {
                self.left.pop();
                continue;
            }
            let waits = |answer: &mut Answer| answer.taken.try_recv() == Err(oneshot::error::TryRecvError::Empty);
            self.left.retain_mut(waits);
            if self.left.iter().all(|answer| answer.worker.is_stuck()) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sidegate_watch::Role;

    use super::*;

    fn answers(count: usize) -> (Vec<oneshot::Sender<()>>, Published) {
        let channel = |index| {
            let (sender, taken) = oneshot::channel();
            (sender, Answer { worker: Watched::new(format!("published-{index}"), Role::Worker(index)), taken })
        };
        let (senders, left) = (0..count).map(channel).unzip();
        (senders, Published::new(left))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn all_are_waited_for_but_those_that_have_ended() {
        let patience = Duration::from_secs(10);
        let (senders, published) = answers(3);
        for sender in senders {
            sender.send(()).unwrap();
        }
        assert!(published.taken(patience).await);
        let (mut senders, published) = answers(2);
        senders.pop();
        senders.pop().unwrap().send(()).unwrap();
        assert!(published.taken(patience).await);
        let (senders, published) = answers(2);
        assert!(!published.taken(LOOK).await, "nobody has answered");
        drop(senders);
        assert!(Published::new(Vec::new()).taken(Duration::ZERO).await);
    }
}
