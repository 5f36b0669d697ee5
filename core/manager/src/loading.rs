//! The change that is being read and made, and the one that waits for it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::handle::Answer;
use crate::{Origin, Refused, Source, Update, Whole, Why};

/// More than so many do not wait for one reload.
const MAX_ANSWERS: usize = 1024;

/// A change, and who waits for it.
#[derive(Debug)]
pub(crate) struct Loading {
    pub(crate) update: Update,
    pub(crate) origin: Origin,
    pub(crate) answers: Vec<oneshot::Sender<Answer>>,
}

/// What was read and made.
pub(crate) struct Loaded<S: Source> {
    pub(crate) document: S::Document,
    pub(crate) digest: [u8; 32],
    pub(crate) whole: Whole<S::Settings>,
}

type Work<S> = oneshot::Receiver<Result<Loaded<S>, Refused>>;

/// At most one that is made and one that waits: a reload that waits is all
/// reloads that are asked for meanwhile, since it reads what is there by then.
pub(crate) struct Queue<S: Source> {
    now: Option<(Loading, Option<Work<S>>)>,
    next: Option<Loading>,
}

impl<S: Source> Default for Queue<S> {
    fn default() -> Self {
        Queue { now: None, next: None }
    }
}

/// What to do with a change that was put into the queue.
pub(crate) type Put = Option<Result<Loading, (Update, oneshot::Sender<Answer>)>>;

impl<S: Source> Queue<S> {
    /// Takes a change in. `Some(Ok)`: it is to begin now. `Some(Err)`: it cannot
    /// wait. `None`: it waits.
    pub(crate) fn put(&mut self, update: Update, origin: Origin, answer: oneshot::Sender<Answer>) -> Put {
        if self.now.is_none() {
            return Some(Ok(Loading { update, origin, answers: vec![answer] }));
        }
        if update != Update::Reload {
            // Which one is the one before, and which bytes are the module's,
            // is not known until the change is made.
            return Some(Err((update, answer)));
        }
        match &mut self.next {
            Some(next) if next.answers.len() >= MAX_ANSWERS => return Some(Err((update, answer))),
            Some(next) => {
                // A change that was only noticed gives up where files change
                // on; one that somebody waits for does not.
                if next.origin == Origin::Watch {
                    next.origin = origin;
                }
                next.answers.push(answer);
            }
            None => self.next = Some(Loading { update, origin, answers: vec![answer] }),
        }
        None
    }

    /// Begins to read, unless there is a `document`, and to make, on a thread
    /// of its own: modules are loaded there, and they may hang.
    pub(crate) fn begin(&mut self, loading: Loading, document: Option<S::Document>, source: Arc<Mutex<S>>) {
        let (done, work) = oneshot::channel();
        let (origin, update) = (loading.origin, loading.update.clone());
        let thread = std::thread::Builder::new().name("loader".into());
        let spawned = thread.spawn(move || {
            let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
            let loaded = load(&mut *source, origin, &update, document);
            drop(source);
            let _ = done.send(loaded);
        });
        // Without a thread the sender is gone, and that is seen.
        self.now = Some((loading, spawned.is_ok().then_some(work)));
    }

    /// Waits until what began is made. Nothing is lost if the future is
    /// dropped.
    pub(crate) async fn loaded(&mut self) -> (Loading, Result<Loaded<S>, Refused>) {
        let Some((_, work)) = &mut self.now else { return std::future::pending().await };
        let loaded = match work {
            Some(work) => work.await.ok(),
            None => None,
        };
        let lost = || Refused::because(Why::Environment, "the thread that reads the configuration is gone");
        match self.now.take() {
            Some((loading, _)) => (loading, loaded.unwrap_or_else(|| Err(lost()))),
            None => std::future::pending().await,
        }
    }

    /// What is to begin now that nothing is made any more.
    pub(crate) fn next(&mut self) -> Option<Loading> {
        self.next.take()
    }
}

fn load<S: Source>(
    source: &mut S,
    origin: Origin,
    update: &Update,
    document: Option<S::Document>,
) -> Result<Loaded<S>, Refused> {
    let document = match document {
        Some(document) => document,
        None => source.read(origin)?,
    };
    let wish = match update {
        Update::Module(wish) => Some(wish),
        Update::Reload | Update::Rollback | Update::Hosts(_) => None,
    };
    let whole = source.make(&document, wish)?;
    Ok(Loaded { digest: source.digest(&document), document, whole })
}
