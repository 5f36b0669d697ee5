//! Listening, and one task per connection.

mod connection;
mod listener;
mod places;
mod spare;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sidegate_api::{Address, RequestHead};
use tokio::sync::watch;

use self::connection::Connection;
use self::listener::{Accepted, BoundListener};
pub use self::listener::{BindError, SocketMode};
use self::places::Places;
use self::spare::Spare;
use crate::access::Peer;
use crate::reply::{Answer, Reply};

/// For answers in progress when the server ends; whoever owes a request is
/// gone at once.
const CLOSING_TIME: Duration = Duration::from_secs(2);
/// After a failed accept: a client that went away, or no descriptors left.
/// Trying again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound address. Binding comes early, so that a start fails before anything
/// else happens; serving comes when there is something to tell.
#[derive(Debug)]
pub(crate) struct HttpServer {
    listener: BoundListener,
    /// Goes when the address is free again.
    open: watch::Sender<()>,
}

/// What a server answers. Both calls must not block.
pub(crate) trait Site: Send + Sync + 'static {
    /// Looks at a request's head before its body is read.
    fn admit(&self, head: &RequestHead, peer: Peer) -> Result<Body, Reply>;

    /// Answers an admitted request; `body` is empty if it is not needed.
    fn reply(&self, head: &RequestHead, peer: Peer, body: &[u8]) -> Answer;
}

/// What a site wants of an admitted request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// Nothing.
    Ignored,
    /// All of it, and no more than so many bytes.
    Needed(u64),
}

impl HttpServer {
    /// Binds `address` and nothing else.
    pub(crate) fn bind(address: &Address, mode: SocketMode) -> Result<Self, BindError> {
        Ok(HttpServer { listener: BoundListener::bind(address, mode)?, open: watch::Sender::new(()) })
    }

    /// The address, with the port that the system chose for port 0.
    pub(crate) fn local_address(&self) -> &Address {
        self.listener.local_address()
    }

    /// Its other end is gone once nobody listens on the address any more.
    pub(crate) fn closed(&self) -> watch::Receiver<()> {
        self.open.subscribe()
    }

    /// Serves until `shutdown` is there, then lets answers in progress end for
    /// a moment. Runs on the current tokio runtime.
    pub(crate) async fn run(self, site: Arc<impl Site>, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
        let HttpServer { listener, open } = self;
        let listener = listener.into_tokio()?;
        let mut places = Places::new();
        let mut spare = Spare::new();
        let (closing, on_closing) = watch::channel(false);
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
            };
            tokio::select! {
                () = &mut shutdown => break,
                () = places.room() => {}
            }
            let (site, on_closing) = (site.clone(), on_closing.clone());
            match accepted {
                Ok(Accepted::Tcp(stream, peer)) => places.take(|activity| async move {
                    Connection::new(stream, Peer::Ip(peer), activity, on_closing).serve(&*site).await;
                }),
                Ok(Accepted::Unix(stream, user)) => places.take(|activity| async move {
                    Connection::new(stream, Peer::Unix(user), activity, on_closing).serve(&*site).await;
                }),
                // The next one gets its place.
                Err(_) if spare.give_up() => continue,
                Err(error) => {
                    tracing::warn!(%error, "admin: accept failed");
                    tokio::select! {
                        () = &mut shutdown => break,
                        () = places.fewer() => {}
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                    }
                }
            }
            spare.take_back();
            // The new connection is heard before the next one is taken.
            tokio::task::yield_now().await;
        }
        drop(listener);
        drop(open);
        closing.send_replace(true);
        places.end(CLOSING_TIME).await;
        Ok(())
    }
}
