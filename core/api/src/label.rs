//! Names of what a stream was matched to.

use std::fmt;
use std::rc::Rc;

/// Looks names up. Most streams have a route whose name nobody asks for; with
/// many routes, touching it would cost a cache miss or two per stream.
pub trait RouteNames {
    /// Name of the virtual host with this number.
    fn virtual_host(&self, number: u32) -> Option<&str>;

    /// Name of the route with this number.
    fn route(&self, number: u32) -> Option<&str>;
}

/// The virtual host and the route of a stream, by number.
#[derive(Clone)]
pub struct RouteLabel {
    names: Rc<dyn RouteNames>,
    virtual_host: Option<u32>,
    route: Option<u32>,
}

impl RouteLabel {
    /// What `names` knows by these numbers; `None`: nothing was matched.
    pub fn new(names: Rc<dyn RouteNames>, virtual_host: Option<u32>, route: Option<u32>) -> RouteLabel {
        RouteLabel { names, virtual_host, route }
    }

    /// Fixed names, for tests and tools.
    pub fn fixed(virtual_host: &str, route: &str) -> RouteLabel {
        RouteLabel { names: Rc::new(Fixed([virtual_host.into(), route.into()])), virtual_host: Some(0), route: Some(0) }
    }

    /// Name of the matched virtual host.
    pub fn virtual_host(&self) -> Option<&str> {
        self.names.virtual_host(self.virtual_host?)
    }

    /// Name or match of the matched route.
    pub fn route(&self) -> Option<&str> {
        self.names.route(self.route?)
    }
}

struct Fixed([Box<str>; 2]);

impl RouteNames for Fixed {
    fn virtual_host(&self, _: u32) -> Option<&str> {
        Some(&self.0[0])
    }

    fn route(&self, _: u32) -> Option<&str> {
        Some(&self.0[1])
    }
}

impl fmt::Debug for RouteLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteLabel")
            .field("virtual_host", &self.virtual_host())
            .field("route", &self.route())
            .finish_non_exhaustive()
    }
}
