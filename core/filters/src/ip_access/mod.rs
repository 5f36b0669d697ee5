//! `ip_access`: who may come in, by address.

mod ranges;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use sidegate_api::{
    Address, BuildEnv, EndOfStream, FilterCx, FilterFault, HookSet, Interests, LocalReply, ReceiverPhase, Status,
    StreamFilter, StreamFilterFactory, StreamState, WorkerIndex,
};

use crate::builtin::Definition;
use crate::header_match::header_name;
use crate::settings::{Object, Shape, Table, key, required};
use ranges::Ranges;

/// `type: ip_access`
pub(crate) struct IpAccess;

static IP_ACCESS: Table = Table::new(
    "Refuses requests with 403 by the client's address, before they are routed.",
    &[
        key("default_action", ACTION, "`allow`", "What happens to an address that no entry of `ips` has."),
        key(
            "header",
            Shape::Text,
            "none",
            "Header that holds the client's address, such as `x-forwarded-for`. Of a list the last element counts: \
             the nearest hop wrote that one, those before it are what clients claim. Without the header the address of \
             the connection counts; a value that is no address is refused.",
        ),
        key("ips", Shape::Array(&Shape::Object(&ENTRY)), "none", "The first entry that has the address decides."),
    ],
);

static ENTRY: Table = Table::new(
    "An entry of `ips`.",
    &[
        required("action", ACTION, "\"allow\" or \"deny\"", "What happens to its addresses."),
        required(
            "addrs",
            Shape::Array(&Shape::Name),
            "a list of addresses",
            "Addresses and networks, IPv4 and IPv6: `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`.",
        ),
    ],
);

const ACTION: Shape = Shape::Words(&["allow", "deny"]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Allow,
    Deny,
}

/// The parsed `config`.
#[derive(Debug)]
pub(crate) struct Settings {
    default: Action,
    header: Option<Box<[u8]>>,
    rules: Vec<(Action, Ranges)>,
}

#[derive(Debug)]
struct Factory(Arc<Settings>);

struct Filter(Arc<Settings>);

/// Where a request comes from, as far as that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    At(IpAddr),
    /// Over a Unix socket.
    Local,
    /// The header says something else than an address.
    Unclear,
}

impl Definition for IpAccess {
    type Settings = Settings;

    const TABLE: &'static Table = &IP_ACCESS;

    fn read(config: &Object<'_>, _env: &BuildEnv) -> Settings {
        const ACTIONS: &[(&str, Action)] = &[("allow", Action::Allow), ("deny", Action::Deny)];
        let default = config.get("default_action").and_then(|s| s.choice(ACTIONS)).unwrap_or(Action::Allow);
        let header = config.get("header").filter(|s| s.text() != Some(""));
        let entries = config.get("ips").map(|s| s.list()).unwrap_or_default();
        let rules = entries.iter().filter_map(|entry| {
            let entry = entry.object()?;
            let networks = entry.get("addrs").map(|s| s.list()).unwrap_or_default();
            let networks = networks.iter().filter_map(|s| s.parsed(network));
            let ranges = Ranges::new(networks);
            Some((entry.get("action")?.choice(ACTIONS)?, ranges))
        });
        Settings { default, header: header.and_then(|s| s.parsed(header_name)), rules: rules.collect() }
    }

    fn factory(settings: Settings, _name: &str, _env: &BuildEnv) -> Arc<dyn StreamFilterFactory> {
        Arc::new(Factory(Arc::new(settings)))
    }
}

/// A network, or an address as the network of one.
fn network(text: &str) -> Result<IpNet, &'static str> {
    let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    parsed.map_err(|_| "expected an address such as \"10.0.0.1\" or a network such as \"10.0.0.0/8\"")
}

impl Settings {
    fn action(&self, client: Client) -> Action {
        let address = match client {
            Client::At(address) => address,
            Client::Local => return self.default,
            Client::Unclear => return Action::Deny,
        };
        let rule = self.rules.iter().find(|(_, ranges)| ranges.contains(address));
        rule.map_or(self.default, |(action, _)| *action)
    }

    fn client(&self, stream: &StreamState) -> Client {
        let header = self.header.as_deref().and_then(|name| stream.request.headers.get_all(name).last());
        if let Some(value) = header {
            return claimed(value).map_or(Client::Unclear, Client::At);
        }
        match stream.info.connection.as_ref().map(|connection| connection.remote.address()) {
            Some(Address::Tcp(address)) => Client::At(address.ip()),
            Some(Address::Unix(_)) => Client::Local,
            None => Client::Unclear,
        }
    }
}

/// The last address of a list, with or without port.
fn claimed(value: &[u8]) -> Option<IpAddr> {
    let last = value.rsplit(|&byte| byte == b',').next()?.trim_ascii();
    let text = std::str::from_utf8(last).ok()?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    text.parse().ok().or_else(bracketed).or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

impl StreamFilterFactory for Factory {
    fn interests(&self) -> Interests {
        Interests { phases: HookSet::phases(&[ReceiverPhase::BeforeRoute]), ..Interests::default() }
    }

    fn create_filter(&self, _worker: WorkerIndex) -> Result<Box<dyn StreamFilter>, FilterFault> {
        Ok(Box::new(Filter(self.0.clone())))
    }
}

impl StreamFilter for Filter {
    fn on_request_headers(&mut self, cx: &mut FilterCx<'_>, _phase: ReceiverPhase, _end: EndOfStream) -> Status {
        if self.0.action(self.0.client(cx.stream())) == Action::Allow {
            return Status::Continue;
        }
        match cx.reply(LocalReply::text(403, "ip_access_denied", "access denied\n")) {
            Ok(()) => Status::Stop,
            Err(error) => Status::Fault(FilterFault::new(error.to_string())),
        }
    }
}
