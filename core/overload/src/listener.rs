//! What a listener is known by while the process runs.

/// One listener, that is one set of sockets. It stays the same while the
/// listener's filters, routes or timeouts change, and no other listener of the
/// process ever gets it: a connection or an order that comes late finds its own
/// listener or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u32);

/// Gives out the numbers of listeners; one per process.
#[derive(Debug, Default)]
pub struct ListenerIds(u32);

impl ListenerIds {
    /// A number that was not given before.
    pub fn next_id(&mut self) -> ListenerId {
        let id = ListenerId(self.0);
        // At ten listeners a second these last for more than ten years.
        self.0 = self.0.saturating_add(1);
        id
    }
}
