//! Where in a request tokens are.

use sidegate_api::{EditError, FilterCx, HeaderMapKind, StreamState, Variable};

use crate::header_match::changeable_header_name;
use crate::settings::Object;

/// One place that may hold tokens.
#[derive(Debug)]
pub(super) enum Location {
    Header { name: Box<[u8]>, prefix: Prefix },
    Param(Box<str>),
}

/// What stands before the token.
#[derive(Debug)]
pub(super) enum Prefix {
    Exactly(Box<str>),
    /// The scheme of RFC 6750, whose case does not count.
    Bearer,
}

/// A token, and the place (by its number among the provider's) it was at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) place: usize,
    pub(super) token: Vec<u8>,
}

impl Location {
    /// The places of a provider: those it names, else the usual ones.
    pub(super) fn read_all(provider: &Object<'_>) -> Vec<Location> {
        let headers = provider.get("from_headers").map(|s| s.list()).unwrap_or_default();
        let mut all: Vec<Location> = headers.iter().filter_map(|s| Location::read_header(&s.object()?)).collect();
        let params = provider.get("from_params").map(|s| s.list()).unwrap_or_default();
        all.extend(params.iter().filter_map(|s| Some(Location::Param(s.text()?.into()))));
        if headers.is_empty() && params.is_empty() {
            all.push(Location::Header { name: Box::from(*b"authorization"), prefix: Prefix::Bearer });
            all.push(Location::Param("access_token".into()));
        }
        all
    }

    fn read_header(object: &Object<'_>) -> Option<Location> {
        let name = object.get("name").and_then(|s| s.parsed(changeable_header_name));
        let prefix = object.get("value_prefix").and_then(|s| s.text()).unwrap_or_default();
        Some(Location::Header { name: name?, prefix: Prefix::Exactly(prefix.into()) })
    }

    /// Every token that is there.
    pub(super) fn tokens<'a>(&'a self, stream: &'a StreamState) -> Vec<&'a [u8]> {
        match self {
            Location::Header { name, prefix } => {
                stream.request.headers.get_all(name).filter_map(|value| prefix.after(value)).collect()
            }
            Location::Param(name) => {
                let pairs = stream.request.query().unwrap_or_default().split('&');
                let values = pairs.filter_map(|pair| pair.split_once('=').filter(|(key, _)| *key == &**name));
                values.map(|(_, value)| value.as_bytes()).filter(|token| !token.is_empty()).collect()
            }
        }
    }

    /// Takes what is there from the request.
    pub(super) fn clear(&self, cx: &mut FilterCx<'_>) -> Result<(), EditError> {
        match self {
            Location::Header { name, .. } => cx.remove_header(HeaderMapKind::Request, name).map(drop),
            Location::Param(name) => {
                let query = cx.stream().request.query().unwrap_or_default();
                let others = query.split('&').filter(|pair| pair.split('=').next() != Some(name));
                let rest = others.collect::<Vec<_>>().join("&");
                cx.set_variable(Variable::Query, rest.as_bytes())
            }
        }
    }
}

impl Prefix {
    /// The token of a value that has this prefix.
    fn after<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        let token = match self {
            Prefix::Exactly(prefix) => value.strip_prefix(prefix.as_bytes())?,
            Prefix::Bearer => {
                let (scheme, token) = value.split_at_checked(7)?;
                scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)?
            }
        };
        Some(token.trim_ascii())
    }
}
