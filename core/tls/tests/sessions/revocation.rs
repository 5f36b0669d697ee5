//! Lists of revoked certificates.

use sidegate_tls::{ClientAuth, ClientSettings, Part, Reason, ServerAuth, Source, Trust};

use crate::support::{
    Ca, Failed, Pair, Request, World, client_failure, contexts, inline, server_failure, serving, trust, trusting,
};

fn meet(ca: &Ca, trust: Trust) -> Result<Pair, Failed> {
    let world = World::default();
    let settings = ClientSettings { verify: ServerAuth::Verified(trust), ..trusting(ca) };
    let contexts = contexts(vec![world.server(&serving(&ca.issue(Request::default()))).unwrap()]);
    Pair::open(&world.client(&settings).unwrap(), &contexts, "a.test")
}

fn listed(ca: &Ca, list: &str) -> Trust {
    Trust { crl: Some(inline(list)), ..trust(ca) }
}

#[test]
fn a_revoked_host_is_refused() {
    let ca = Ca::new("ca");
    meet(&ca, listed(&ca, &ca.revoke(&[6, 8], (-1, 9)))).unwrap();
    let failure = client_failure(meet(&ca, listed(&ca, &ca.revoke(&[7], (-1, 9)))));
    assert_eq!(failure.reason, Reason::Revoked);
}

#[test]
fn an_expired_list_says_nothing() {
    let ca = Ca::new("ca");
    let failure = client_failure(meet(&ca, listed(&ca, &ca.revoke(&[], (-9, -1)))));
    assert_eq!(failure.reason, Reason::RevocationUnknown);
}

#[test]
fn a_list_of_another_ca_says_nothing() {
    let ca = Ca::new("ca");
    let failure = client_failure(meet(&ca, listed(&ca, &Ca::new("other").revoke(&[], (-1, 9)))));
    assert_eq!(failure.reason, Reason::RevocationUnknown);
}

#[test]
fn a_revoked_client_is_refused() {
    let (ca, world) = (Ca::new("ca"), World::default());
    let client = ca.issue(Request { serial: 99, ..Request::default() });
    let asking = ClientSettings { identity: Some(client.identity()), ..trusting(&ca) };
    let asking = world.client(&asking).unwrap();
    for (revoked, reason) in [(&[][..], None), (&[99], Some(Reason::Revoked))] {
        let mut settings = serving(&ca.issue(Request::default()));
        settings.clients = ClientAuth::Required(listed(&ca, &ca.revoke(revoked, (-1, 9))));
        let opened = Pair::open(&asking, &contexts(vec![world.server(&settings).unwrap()]), "a.test");
        match reason {
            None => assert!(opened.is_ok()),
            Some(reason) => assert_eq!(server_failure(opened).reason, reason),
        }
    }
}

#[test]
fn a_whole_chain_is_covered_unless_the_last_one_is_enough() {
    let ca = Ca::new("ca");
    let middle = ca.intermediate("middle");
    let issued = middle.issue(Request::default());
    let world = World::default();
    let mut settings = serving(&issued);
    settings.identity.chain = inline(&format!("{}{}", issued.chain, middle.pem));
    let contexts = contexts(vec![world.server(&settings).unwrap()]);
    let open = |trust: Trust| {
        let settings = ClientSettings { verify: ServerAuth::Verified(trust), ..trusting(&ca) };
        Pair::open(&world.client(&settings).unwrap(), &contexts, "a.test")
    };
    let of_middle = listed(&ca, &middle.revoke(&[], (-1, 9)));
    assert_eq!(client_failure(open(of_middle.clone())).reason, Reason::RevocationUnknown);
    open(Trust { crl_leaf_only: true, ..of_middle }).unwrap();
    let both = format!("{}{}", middle.revoke(&[], (-1, 9)), ca.revoke(&[], (-1, 9)));
    open(listed(&ca, &both)).unwrap();
}

#[test]
fn a_list_that_is_none_is_refused() {
    let (ca, mut world) = (Ca::new("ca"), World::default());
    world.files.insert("der".into(), vec![1, 2, 3]);
    for (list, word) in [
        (inline(&ca.pem), "found a certificate"),
        (Source::parse("der"), "der: expected a list of revoked certificates"),
        (Source::parse("/nowhere"), "cannot read /nowhere"),
    ] {
        let trust = Trust { crl: Some(list), ..trust(&ca) };
        let settings = ClientSettings { verify: ServerAuth::Verified(trust), ..trusting(&ca) };
        let error = world.client(&settings).unwrap_err();
        assert_eq!(error.part, Part::Crl);
        assert!(error.message.contains(word), "{error}");
    }
}
