//! Routes that no request reaches, as an earlier one of their virtual host
//! takes all of theirs.

use std::collections::HashMap;

use sidegate_router::{PathMatch, RouteMatch};

use crate::diagnostic::{Finding, kind};
use crate::reader::Cursor;

/// Routes without a condition beside their path, so far.
#[derive(Default)]
pub(super) struct Earlier {
    /// Who takes everything.
    everything: Option<String>,
    /// Place of each prefix.
    prefixes: HashMap<String, String>,
    /// Place of each path, in lower case: case does not matter there.
    paths: HashMap<String, String>,
}

impl Earlier {
    /// Warns of the route at `cursor` if it is behind one that takes all of its
    /// requests, and notes what it takes.
    pub fn check(&mut self, cursor: &Cursor<'_>, matcher: &RouteMatch) {
        if let Some(place) = self.taker(matcher.path()) {
            let message = format!("no request gets here: the route at {place} takes all that could");
            cursor.warning(Finding::said(kind::INERT, message));
        }
        if !matcher.asks_for_path_alone() {
            return;
        }
        match matcher.path() {
            PathMatch::Any => drop(self.everything.get_or_insert_with(|| cursor.place())),
            PathMatch::Prefix(prefix) if prefix.as_str() == "/" => {
                self.everything.get_or_insert_with(|| cursor.place());
            }
            PathMatch::Prefix(prefix) => {
                self.prefixes.entry(prefix.as_str().to_owned()).or_insert_with(|| cursor.place());
            }
            PathMatch::Exact(path) => {
                self.paths.entry(path.as_str().to_ascii_lowercase()).or_insert_with(|| cursor.place());
            }
            PathMatch::Regex(_) => {}
        }
    }

    fn taker(&self, path: &PathMatch) -> Option<&String> {
        // A prefix's own start only: letters of another case are not its.
        let prefix_of = |text: &str| (1..=text.len()).find_map(|end| self.prefixes.get(text.get(..end)?));
        let narrower = match path {
            PathMatch::Prefix(prefix) => prefix_of(prefix.as_str()),
            // Whatever case a request has, only an exact path takes it surely.
            PathMatch::Exact(path) => self.paths.get(&path.as_str().to_ascii_lowercase()),
            PathMatch::Any | PathMatch::Regex(_) => None,
        };
        self.everything.as_ref().or(narrower)
    }
}
