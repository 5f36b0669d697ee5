//! What runs, as the manager knows it.

use std::sync::Arc;

use sidegate_net::{ListenerConfig, ListenerId};
use sidegate_proxy::ListenerSpec;

use crate::board::ShownListener;
use crate::clusters::Clusters;
use crate::sockets::{Socket, SocketKind};

/// Everything that a configuration made, and that the next one is compared
/// with.
#[derive(Debug)]
pub(crate) struct Running {
    /// In configured order.
    pub(crate) listeners: Vec<RunningListener>,
    pub(crate) fronts: Vec<Socket>,
    pub(crate) clusters: Clusters,
}

/// A listener that serves.
#[derive(Debug, Clone)]
pub struct RunningListener {
    /// Its socket, with its real address.
    pub socket: Socket,
    /// What it is known by.
    pub id: ListenerId,
    /// How it was bound.
    pub net: Arc<ListenerConfig>,
    /// What its streams use.
    pub spec: Arc<ListenerSpec>,
}

impl Running {
    /// First the listeners, then the fronts.
    pub(crate) fn sockets(&self) -> Vec<Socket> {
        let listeners = self.listeners.iter().map(|listener| listener.socket.clone());
        listeners.chain(self.fronts.iter().cloned()).collect()
    }

    pub(crate) fn shown(&self) -> Vec<ShownListener> {
        let show = |listener: &RunningListener| ShownListener {
            name: listener.socket.name.clone(),
            id: listener.id,
            bound: listener.socket.bound.as_ref().map(ToString::to_string),
            tls: listener.spec.config.tls.clone(),
        };
        self.listeners.iter().map(show).collect()
    }
}

/// The socket that a listener's configuration asks for.
pub fn socket_of(net: &ListenerConfig) -> Socket {
    Socket {
        kind: SocketKind::Listener,
        name: net.name.clone(),
        address: net.address.clone(),
        bound: None,
        accept: net.accept,
        mode: net.socket_mode,
    }
}
