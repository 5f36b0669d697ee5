//! A worker's own connection to a plugin.
//!
//! Calls over a connection of another thread would go to that thread and back,
//! which costs about as much as the call.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::connection::Connection;

/// Time for another connection to a plugin that is connected to already.
const PATIENCE: Duration = Duration::from_secs(1);
/// A plugin that ends another connection within this time takes no other.
const SHORT: Duration = Duration::from_secs(1);

/// The connection of one worker. Its lock is there for those who ask while it
/// is being opened; no other thread takes it.
#[derive(Debug, Default)]
pub(crate) struct Own(Mutex<Option<Pair>>);

#[derive(Debug)]
struct Pair {
    /// The plugin's first, which its supervisor watches.
    first: Connection,
    /// With the time of its begin. `None`: the plugin takes no other.
    own: Option<(Connection, Instant)>,
}

impl Own {
    /// A connection to the plugin whose first is `first`: one that lives on
    /// the runtime of the caller, or else the first.
    pub(crate) async fn beside(&self, first: &Connection) -> Connection {
        let mut pair = self.0.lock().await;
        if let Some(known) = pair.as_ref().filter(|known| known.first.is(first)) {
            match &known.own {
                Some((own, _)) if !own.is_closed() => return own.clone(),
                Some((_, begun)) if begun.elapsed() >= SHORT => {}
                _ => {
                    *pair = Some(Pair { first: first.clone(), own: None });
                    return first.clone();
                }
            }
        }
        let opened = timeout(PATIENCE, first.again()).await.ok().and_then(Result::ok);
        if let Some(own) = &opened {
            // Whoever ends the first means the plugin.
            own.close_with(first);
        }
        let connection = opened.clone().unwrap_or_else(|| first.clone());
        *pair = Some(Pair { first: first.clone(), own: opened.map(|own| (own, Instant::now())) });
        connection
    }
}
