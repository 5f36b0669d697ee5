//! Sessions that are resumed, and sessions that must not be.

use std::sync::Arc;

use sidegate_api::{PeerFact, PeerIdentity as _};
use sidegate_tls::{
    ClientAuth, ClientContext, ClientSettings, Part, Protocol, Resumption, ServerContexts, ServerSettings, Source,
    TicketKeys, Trust, Version, Versions,
};

use crate::support::{Ca, Pair, Request, World, contexts, inline, read, serving, trust, trusting, write};

/// A whole connection; whether it resumed a session. Tickets of TLS 1.3 come
/// after the handshake.
fn resumes(client: &ClientContext, server: &Arc<ServerContexts>) -> bool {
    let mut pair = Pair::open(client, server, "a.test").unwrap();
    let resumed = pair.server.agreed().unwrap().resumed;
    assert_eq!(pair.client.agreed().unwrap().resumed, resumed);
    write(&mut pair.server, b"x");
    pair.settle().unwrap();
    assert_eq!(read(&mut pair.client), b"x");
    resumed
}

fn version(version: Version) -> Protocol {
    Protocol { versions: Versions::new(Some(version), Some(version)).unwrap().0, ..Protocol::default() }
}

const BOTH: [Version; 2] = [Version::Tls12, Version::Tls13];

struct Fixture {
    ca: Ca,
    world: World,
    settings: ServerSettings,
}

impl Fixture {
    fn new() -> Fixture {
        let ca = Ca::new("ca");
        let settings = serving(&ca.issue(Request::default()));
        Fixture { ca, world: World::default(), settings }
    }

    fn server(&self, settings: &ServerSettings) -> Arc<ServerContexts> {
        contexts(vec![self.world.server(settings).unwrap()])
    }

    fn client(&self, protocol: Protocol) -> ClientContext {
        let identity = self.ca.issue(Request { subject: "client", serial: 99, ..Request::default() }).identity();
        let settings = ClientSettings { protocol, identity: Some(identity), ..trusting(&self.ca) };
        self.world.client(&settings).unwrap()
    }
}

#[test]
fn sessions_are_resumed() {
    let fixture = Fixture::new();
    for of in BOTH {
        let client = fixture.client(version(of));
        // Another context of the same contents, as after a reload.
        let (one, other) = (fixture.server(&fixture.settings), fixture.server(&fixture.settings));
        assert!(!resumes(&client, &one), "{of}");
        assert!(resumes(&client, &one), "{of}");
        assert!(resumes(&client, &other), "{of}");
    }
}

#[test]
fn sessions_are_not_resumed_where_that_is_off() {
    let fixture = Fixture::new();
    for of in BOTH {
        let client = fixture.client(version(of));
        let server = fixture.server(&ServerSettings { resumption: Resumption::Off, ..fixture.settings.clone() });
        assert!(!resumes(&client, &server));
        assert!(!resumes(&client, &server));
        let settings = ClientSettings { protocol: version(of), resumption: Resumption::Off, ..trusting(&fixture.ca) };
        let client = fixture.world.client(&settings).unwrap();
        let server = fixture.server(&fixture.settings);
        assert!(!resumes(&client, &server));
        assert!(!resumes(&client, &server));
    }
}

#[test]
fn a_session_never_crosses_contexts() {
    let fixture = Fixture::new();
    let (ca, open) = (&fixture.ca, &fixture.settings);
    let with = |clients: ClientAuth| ServerSettings { clients, ..open.clone() };
    let crl = |revoked: &[u64]| Trust { crl: Some(inline(&ca.revoke(revoked, (-1, 9)))), ..trust(ca) };
    let mut another_ca = trust(ca);
    another_ca.roots = sidegate_tls::Roots::Given(inline(&format!("{}{}", ca.pem, Ca::new("other").pem)));
    let required = with(ClientAuth::Required(trust(ca)));
    for (what, before, after) in [
        ("clients are required to have certificates", open.clone(), required.clone()),
        ("clients are asked for certificates", open.clone(), with(ClientAuth::Verified(trust(ca)))),
        ("certificates count", with(ClientAuth::Unverified), required.clone()),
        ("certificates count no more", required.clone(), with(ClientAuth::Unverified)),
        ("another CA", required.clone(), with(ClientAuth::Required(another_ca))),
        ("a list of revoked certificates", required, with(ClientAuth::Required(crl(&[])))),
        ("another list", with(ClientAuth::Required(crl(&[]))), with(ClientAuth::Required(crl(&[5])))),
        ("another certificate", open.clone(), serving(&ca.issue(Request::default()))),
    ] {
        for of in BOTH {
            let client = fixture.client(version(of));
            let (before, after) = (fixture.server(&before), fixture.server(&after));
            assert!(!resumes(&client, &before));
            assert!(resumes(&client, &before));
            assert!(!resumes(&client, &after), "{of}: {what}");
            assert!(resumes(&client, &after), "{of}: {what}");
        }
    }
}

#[test]
fn a_resumed_session_knows_the_client() {
    let fixture = Fixture::new();
    let clients = ClientAuth::Required(trust(&fixture.ca));
    let server = fixture.server(&ServerSettings { clients, ..fixture.settings.clone() });
    for of in BOTH {
        let client = fixture.client(version(of));
        assert!(!resumes(&client, &server));
        let pair = Pair::open(&client, &server, "a.test").unwrap();
        assert!(pair.server.agreed().unwrap().resumed);
        assert_eq!(pair.server.peer().unwrap().get(PeerFact::Subject).unwrap(), "CN=client,O=Example\\, Inc.");
        assert!(pair.client.peer().is_some());
    }
}

#[test]
fn hosts_of_one_context_do_not_get_the_sessions_of_another() {
    let fixture = Fixture::new();
    let server = fixture.server(&fixture.settings);
    let (one, other) = (fixture.client(Protocol::default()), fixture.client(Protocol::default()));
    assert!(!resumes(&one, &server));
    assert!(!resumes(&other, &server));
    assert!(resumes(&one, &server));
}

#[test]
fn processes_that_share_secrets_resume_each_others_sessions() {
    let mut fixture = Fixture::new();
    fixture.world.files.insert("keys".into(), vec![7; 80]);
    fixture.settings.tickets = TicketKeys::Shared(vec![Source::parse("keys")]);
    let client = fixture.client(Protocol::default());
    let one = fixture.server(&fixture.settings);
    let other = Fixture { world: World { files: fixture.world.files.clone(), ..World::default() }, ..fixture };
    assert!(!resumes(&client, &one));
    assert!(resumes(&client, &other.server(&other.settings)));
    let mut alone = other;
    alone.world.files.insert("keys".into(), vec![8; 80]);
    assert!(!resumes(&client, &alone.server(&alone.settings)));
    alone.world.files.insert("keys".into(), vec![8; 16]);
    let error = alone.world.server(&alone.settings).unwrap_err();
    assert_eq!((error.part, error.message.contains("found 16")), (Part::Tickets, true), "{error}");
}
