//! Who may see something, and who may change something.

use std::net::{IpAddr, Ipv6Addr};

use sidegate_api::RequestHead;

use crate::AdminToken;

/// Where a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Connected to the Unix socket, by a process of this user as far as that is
    /// known.
    Unix(Option<u32>),
    /// Connected from this address.
    Ip(IpAddr),
}

/// What callers need.
#[derive(Debug, Clone, Default)]
pub struct AdminAccess {
    /// Opens everything to whoever sends it.
    pub token: Option<AdminToken>,
    /// Names of this interface, beside `localhost` and IP addresses.
    pub hosts: Vec<String>,
    /// Whether hosts of clusters may be edited.
    pub live_edit: LiveEdit,
}

/// Whether hosts of clusters may be edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LiveEdit {
    /// By nobody.
    #[default]
    Off,
    /// By whoever has the token, and by processes of this user over a Unix
    /// socket.
    For {
        /// Its number.
        user: u32,
    },
}

impl LiveEdit {
    /// For the user that this process runs as.
    pub fn for_own_user() -> Self {
        LiveEdit::For { user: rustix::process::geteuid().as_raw() }
    }
}

/// Who edits, as logs name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Editor {
    Token(Peer),
    User(u32),
}

impl std::fmt::Display for Editor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Editor::Token(Peer::Ip(ip)) => write!(f, "token from {ip}"),
            Editor::Token(Peer::Unix(Some(user))) => write!(f, "token of user {user}"),
            Editor::Token(Peer::Unix(None)) => f.write_str("token over the Unix socket"),
            Editor::User(user) => write!(f, "user {user}"),
        }
    }
}

/// Why a caller may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the token is wrong")]
    WrongToken,
    #[error("changes are accepted from loopback or a Unix socket only; set admin.token and send it as a Bearer token")]
    NotLocal,
    #[error("changes are not accepted from web pages (the request has an Origin, or other marks of a browser)")]
    FromWebPage,
    #[error("the Host is neither an IP address nor localhost; admin.hosts lists further names")]
    ForeignHost,
    #[error("hosts are not edited here; admin.live_edit allows it")]
    LiveEditOff,
    #[error(
        "hosts are edited with the token (admin.token, sent as a Bearer token) or over a Unix socket by the user that \
         the process runs as; that a caller is on this machine is not enough"
    )]
    NotAnEditor,
}

impl AdminAccess {
    /// Whether a request may see what is not for everybody's eyes.
    ///
    /// A browser on this machine, or on one that reaches this address, is not
    /// its user: pages from elsewhere read answers as their own once they make
    /// their own name point here. Host is then that name.
    pub(crate) fn check_read(&self, peer: Peer, head: &RequestHead) -> Result<(), Refusal> {
        if self.token_of(head) == Some(true) { Ok(()) } else { self.check_host(peer, head) }
    }

    /// Whether a request may change something: with the token from anywhere,
    /// without one from this machine alone, and there not from web pages, which
    /// can send requests without a name of their own too (those carry Origin).
    pub(crate) fn check_change(&self, peer: Peer, head: &RequestHead) -> Result<(), Refusal> {
        match self.token_of(head) {
            Some(true) => return Ok(()),
            Some(false) => return Err(Refusal::WrongToken),
            None => {}
        }
        if let Peer::Ip(ip) = peer
            && !ip.to_canonical().is_loopback()
        {
            return Err(Refusal::NotLocal);
        }
        self.check_host(peer, head)?;
        if head.headers.contains(b"origin") { Err(Refusal::FromWebPage) } else { Ok(()) }
    }

    /// The same where a GET may change something: what a page shows a picture
    /// or a frame from carries no Origin, but other marks.
    pub(crate) fn check_change_by_any_method(&self, peer: Peer, head: &RequestHead) -> Result<(), Refusal> {
        self.check_change(peer, head)?;
        let is_mark = |name: &[u8]| name.starts_with(b"sec-") || name == b"referer";
        // By an address like 0.0.0.0 pages come here without any other mark.
        if matches!(host_of(&head.authority), Some(Host::Address(address)) if address.is_unspecified()) {
            return Err(Refusal::ForeignHost);
        }
        // All that browsers send with pictures to an address that they do not
        // trust, where the page keeps itself unnamed.
        let shows = |value: &[u8]| {
            [&b"image/"[..], b"text/html"].iter().any(|kind| value.windows(kind.len()).any(|part| part == *kind))
        };
        let mut fields = head.headers.iter();
        let is_page = fields.any(|(name, value)| is_mark(name) || name == b"accept" && shows(value));
        if is_page { Err(Refusal::FromWebPage) } else { Ok(()) }
    }

    /// Who wants to edit hosts, if they may: with the token from anywhere,
    /// without one as a process of our own user. All containers of a pod share
    /// loopback, so that being there says nothing.
    pub(crate) fn check_edit(&self, peer: Peer, head: &RequestHead) -> Result<Editor, Refusal> {
        let LiveEdit::For { user: own } = self.live_edit else { return Err(Refusal::LiveEditOff) };
        match (self.token_of(head), peer) {
            (Some(true), _) => Ok(Editor::Token(peer)),
            (Some(false), _) => Err(Refusal::WrongToken),
            (None, Peer::Unix(Some(user))) if user == own => {
                self.check_change(peer, head)?;
                Ok(Editor::User(user))
            }
            (None, _) => Err(Refusal::NotAnEditor),
        }
    }

    /// Whether the token that was sent is right; `None` without one on either
    /// side.
    fn token_of(&self, head: &RequestHead) -> Option<bool> {
        let token = self.token.as_ref()?;
        let mut sent = head.headers.get_all(b"authorization");
        let first = sent.next()?;
        Some(sent.next().is_none() && bearer(first).is_some_and(|sent| token.matches(sent)))
    }

    /// Browsers do not connect to Unix sockets, and whoever sends no Host (with
    /// HTTP/1.0) is none.
    fn check_host(&self, peer: Peer, head: &RequestHead) -> Result<(), Refusal> {
        let is_known = matches!(peer, Peer::Unix(_)) || head.authority.is_empty() || self.is_own_name(&head.authority);
        if is_known { Ok(()) } else { Err(Refusal::ForeignHost) }
    }

    fn is_own_name(&self, authority: &str) -> bool {
        match host_of(authority) {
            Some(Host::Address(_)) => true,
            Some(Host::Name(name)) => {
                let is = |known: &str| name.eq_ignore_ascii_case(known.strip_suffix('.').unwrap_or(known));
                is("localhost") || self.hosts.iter().any(|known| is(known))
            }
            None => false,
        }
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
}

#[derive(Debug, PartialEq, Eq)]
enum Host<'a> {
    /// No name, so none that somebody made point here.
    Address(IpAddr),
    /// Without the dot of the root.
    Name(&'a str),
}

/// The host of `host[:port]`, of which every byte must belong to one of them.
fn host_of(authority: &str) -> Option<Host<'_>> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (Host::Address(address.parse::<Ipv6Addr>().ok()?.into()), port)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            let name = host.strip_suffix('.').unwrap_or(host);
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
            match host.parse::<IpAddr>() {
                Ok(address) => (Host::Address(address), port),
                Err(_) if is_name => (Host::Name(name), port),
                Err(_) => return None,
            }
        }
    };
    let is_port = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    is_port.then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(host: &str, fields: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::default();
        head.authority.push_str(host);
        for (name, value) in fields {
            head.headers.add(name.as_bytes(), value.as_bytes()).unwrap();
        }
        head
    }

    fn access(token: Option<&str>) -> AdminAccess {
        AdminAccess {
            token: token.map(|token| AdminToken::new(token).unwrap()),
            hosts: vec!["sidegate.example".to_owned(), "pod.".to_owned()],
            live_edit: LiveEdit::For { user: 1000 },
        }
    }

    fn peer(text: &str) -> Peer {
        text.parse().map_or(Peer::Unix(text.parse().ok()), Peer::Ip)
    }

    fn ask(from: &str, host: &str, fields: &[(&str, &str)], token: Option<&str>) -> Result<(), Refusal> {
        access(token).check_change(peer(from), &head(host, fields))
    }

    #[test]
    fn this_machine_needs_no_token_and_others_do() {
        for local in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "unix"] {
            assert_eq!(ask(local, "", &[], None), Ok(()), "{local}");
            assert_eq!(ask(local, "", &[], Some("t")), Ok(()), "{local}");
        }
        for remote in ["10.0.0.1", "0.0.0.0", "2001:db8::1", "::ffff:10.0.0.1"] {
            assert_eq!(ask(remote, "", &[], None), Err(Refusal::NotLocal), "{remote}");
            assert_eq!(ask(remote, "", &[], Some("t")), Err(Refusal::NotLocal), "{remote}");
            // Without a configured token, any sent one counts for nothing.
            let sent = |text| [("authorization", text)];
            assert_eq!(ask(remote, "", &sent("Bearer t"), None), Err(Refusal::NotLocal), "{remote}");
            assert_eq!(ask(remote, "x.example", &sent("Bearer t"), Some("t")), Ok(()), "{remote}");
            assert_eq!(ask(remote, "", &sent("bearer  t "), Some("t")), Ok(()), "{remote}");
        }
    }

    #[test]
    fn a_wrong_token_changes_nothing_anywhere() {
        for sent in ["Bearer x", "Bearer", "Bearer ", "Basic t", "t", ""] {
            for from in ["127.0.0.1", "10.0.0.1"] {
                let asked = ask(from, "", &[("authorization", sent)], Some("t"));
                assert_eq!(asked, Err(Refusal::WrongToken), "{sent}");
            }
        }
        let two = [("authorization", "Bearer t"), ("authorization", "Bearer x")];
        assert_eq!(ask("127.0.0.1", "", &two, Some("t")), Err(Refusal::WrongToken));
    }

    #[test]
    fn hosts_are_edited_with_the_token_or_by_our_own_user_alone() {
        let edit = |from: &str, fields: &[(&str, &str)]| access(Some("t")).check_edit(peer(from), &head("x", fields));
        let token = [("authorization", "Bearer t")];
        assert_eq!(edit("1000", &[]), Ok(Editor::User(1000)));
        for from in ["127.0.0.1", "::1", "10.0.0.1", "0", "1001", "unix"] {
            assert_eq!(edit(from, &[]), Err(Refusal::NotAnEditor), "{from}");
            assert_eq!(edit(from, &token), Ok(Editor::Token(peer(from))), "{from}");
            assert_eq!(edit(from, &[("authorization", "Bearer x")]), Err(Refusal::WrongToken), "{from}");
        }
        assert_eq!(edit("1000", &[("authorization", "Bearer x")]), Err(Refusal::WrongToken));
        assert_eq!(edit("1000", &[("origin", "http://evil.example")]), Err(Refusal::FromWebPage));
        // Without a configured token none opens anything.
        assert_eq!(access(None).check_edit(peer("127.0.0.1"), &head("", &token)), Err(Refusal::NotAnEditor));
        let off = AdminAccess { live_edit: LiveEdit::Off, ..access(Some("t")) };
        assert_eq!(off.check_edit(peer("1000"), &head("", &token)), Err(Refusal::LiveEditOff));
        assert_eq!(Editor::Token(peer("10.0.0.1")).to_string(), "token from 10.0.0.1");
    }

    const FOREIGN: [&str; 14] = [
        "evil.example",
        "evil.example:80",
        "localhost.evil.example",
        "[::1",
        "[::1]evil",
        "[::1]:80evil",
        "[::1]@evil",
        "127.0.0.1:80@evil",
        "127.0.0.1:",
        "127.0.0.1.nip.io",
        "localhost:99999",
        "localhost:+1",
        "sidegate.example.evil",
        "localhost..",
    ];

    #[test]
    fn web_pages_are_kept_out() {
        let origin = [("origin", "http://evil.example")];
        assert_eq!(ask("127.0.0.1", "", &origin, None), Err(Refusal::FromWebPage));
        assert_eq!(ask("unix", "", &origin, None), Err(Refusal::FromWebPage));
        assert_eq!(ask("127.0.0.1", "", &[origin[0], ("authorization", "Bearer t")], Some("t")), Ok(()));
        for host in FOREIGN {
            assert_eq!(ask("127.0.0.1", host, &[], None), Err(Refusal::ForeignHost), "{host}");
            for from in ["127.0.0.1", "10.0.0.1"] {
                let read = access(Some("t")).check_read(peer(from), &head(host, &[]));
                assert_eq!(read, Err(Refusal::ForeignHost), "{host}");
            }
        }
        let own =
            ["127.0.0.1:34901", "localhost", "localhost.:1", "[::1]:80", "10.0.0.9", "sidegate.example:80", "pod"];
        for host in own {
            assert_eq!(ask("127.0.0.1", host, &[], None), Ok(()), "{host}");
            assert_eq!(access(None).check_read(peer("10.0.0.1"), &head(host, &[])), Ok(()), "{host}");
        }
        // curl's --unix-socket sends whatever name the URL has.
        assert_eq!(ask("unix", "admin", &[], None), Ok(()));
        assert_eq!(access(None).check_read(Peer::Unix(None), &head("admin", &[])), Ok(()));
        let bearer = head("x.example", &[("authorization", "Bearer t")]);
        assert_eq!(access(Some("t")).check_read(peer("10.0.0.1"), &bearer), Ok(()));
        assert_eq!(access(None).check_read(peer("10.0.0.1"), &bearer), Err(Refusal::ForeignHost));
    }
}
