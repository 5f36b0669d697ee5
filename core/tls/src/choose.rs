//! Which context of a listener a client gets: by the name that it asks for,
//! then by application protocol, then the first.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;

use crate::context::ServerContext;
use crate::names::wildcard_of;

/// What a client says before it is answered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offer<'a> {
    /// Lower case.
    pub server_name: Option<&'a str>,
    /// Application protocols; empty: it speaks of none.
    pub alpn: &'a [&'a [u8]],
    /// Signatures that it can check.
    pub signatures: &'a [SignatureScheme],
}

/// The contexts of a listener, in order; never none.
#[derive(Debug)]
pub struct ServerContexts {
    contexts: Vec<Arc<ServerContext>>,
    exact: HashMap<String, Vec<usize>>,
    /// By what follows `*.`.
    wildcard: HashMap<String, Vec<usize>>,
}

/// Equal ones are made of the same.
impl PartialEq for ServerContexts {
    fn eq(&self, other: &ServerContexts) -> bool {
        self.contexts.iter().map(|context| context.id()).eq(other.contexts.iter().map(|context| context.id()))
    }
}

impl Eq for ServerContexts {}

impl ServerContexts {
    /// `None`: there are none.
    pub fn new(contexts: Vec<Arc<ServerContext>>) -> Option<ServerContexts> {
        if contexts.is_empty() {
            return None;
        }
        let (mut exact, mut wildcard) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for (place, context) in contexts.iter().enumerate() {
            for name in context.names() {
                let places = match name.strip_prefix("*.") {
                    Some(parent) => wildcard.entry(parent.to_owned()).or_default(),
                    None => exact.entry(name.to_owned()).or_default(),
                };
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        Some(ServerContexts { contexts, exact, wildcard })
    }

    /// In order.
    pub fn contexts(&self) -> &[Arc<ServerContext>] {
        &self.contexts
    }

    /// The context for a client. Of several that serve its name, one counts
    /// whose signature the client can check and whose protocols it speaks.
    pub fn choose(&self, offer: &Offer<'_>) -> &Arc<ServerContext> {
        let of_name = offer.server_name.and_then(|name| self.of_name(name)).unwrap_or_default();
        let signs = |place: &&usize| self.contexts[**place].signs(offer.signatures);
        let speaks = |place: &&usize| self.contexts[**place].speaks(offer.alpn.iter().copied());
        let all: Vec<usize>;
        let candidates = match of_name.is_empty() {
            false => of_name,
            true => {
                all = (0..self.contexts.len()).collect();
                &all
            }
        };
        let place = candidates
            .iter()
            .find(|place| signs(place) && speaks(place))
            .or_else(|| candidates.iter().find(signs))
            .or_else(|| candidates.iter().find(speaks))
            .or(candidates.first());
        &self.contexts[place.copied().unwrap_or_default()]
    }

    fn of_name(&self, name: &str) -> Option<&[usize]> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let places = self.exact.get(name).or_else(|| self.wildcard.get(wildcard_of(name)?))?;
        Some(places)
    }
}
