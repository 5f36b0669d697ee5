//! What contexts become, and what is said of those that are not good.

use std::path::{Path, PathBuf};

use sidegate_api::Spoken;
use sidegate_tls::{
    ClientAuth, ClientSettings, NameRule, Resumption, Roots, SanKind, SanPattern, ServerAuth, ServerSettings, Source,
    TicketKeys,
};

use super::{ContextMaker, Materials, Tls, cluster, listener, listener_tls};
use crate::diagnostic::Report;
use crate::document::{Format, parse};
use crate::reader::Cursor;
use crate::resolve::tests::build_env;
use crate::schema::{CLUSTER_TLS, LISTENER_TLS, Shape};

static LISTENER: Shape = Shape::Object(&LISTENER_TLS);
static CLUSTER: Shape = Shape::Object(&CLUSTER_TLS);

/// Errors and warnings, without the file's name.
type Said = (Vec<String>, Vec<String>);

fn read<T>(shape: &'static Shape, text: &str, read: impl FnOnce(Cursor<'_>, &Materials<'_>) -> T) -> (T, Said) {
    let node = parse(text, Format::Yaml).unwrap();
    let report = Report::new("c");
    let env = build_env();
    let registry = sidegate_api::Registry::new();
    let materials = Materials::new(&env, ContextMaker::default(), &registry);
    let value = read(Cursor::root(&node, &report, shape), &materials);
    let lines = |list: Vec<crate::Diagnostic>| {
        list.iter().map(|line| format!("{}: {}", line.path, line.message)).collect::<Vec<_>>()
    };
    let said = match report.finish() {
        Ok(warnings) => (vec![], lines(warnings.shown)),
        Err(all) => (lines(all.errors), lines(all.warnings)),
    };
    (value, said)
}

fn server(text: &str) -> (Option<ServerSettings>, Said) {
    read(&LISTENER, text, |cursor, materials| {
        listener::settings(cursor.object(&LISTENER_TLS).unwrap(), Spoken::Auto, materials).0
    })
}

fn client(text: &str) -> (Option<ClientSettings>, Said) {
    read(&CLUSTER, text, |cursor, materials| {
        Some(cluster::settings(cursor.object(&CLUSTER_TLS).unwrap(), materials)?.0)
    })
}

fn good_server(more: &str) -> ServerSettings {
    let (settings, said) = server(&format!("{{status: true, cert_chain: c.pem, private_key: k.pem, {more}}}"));
    assert_eq!(said, (vec![], vec![]), "{more}");
    settings.unwrap()
}

fn good_client(more: &str) -> ClientSettings {
    let (settings, said) = client(&format!("{{status: true, {more}}}"));
    assert_eq!(said, (vec![], vec![]), "{more}");
    settings.unwrap()
}

/// Each with its only error.
fn server_error(more: &str) -> String {
    let (_, (errors, _)) = server(&format!("{{status: true, cert_chain: c.pem, private_key: k.pem, {more}}}"));
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.into_iter().next().unwrap()
}

fn server_warning(more: &str) -> (ServerSettings, String) {
    let (settings, (errors, warnings)) =
        server(&format!("{{status: true, cert_chain: c.pem, private_key: k.pem, {more}}}"));
    assert_eq!((errors.len(), warnings.len()), (0, 1), "{errors:#?} {warnings:#?}");
    (settings.unwrap(), warnings.into_iter().next().unwrap())
}

#[test]
fn a_listener_with_defaults() {
    let settings = good_server("");
    let file = |source: &Source| source.path().map(Path::to_path_buf);
    assert!(file(&settings.identity.chain).unwrap().ends_with("c.pem"));
    assert!(file(&settings.identity.key).unwrap().ends_with("k.pem"));
    assert_eq!(settings.clients, ClientAuth::None);
    assert_eq!(settings.protocol.alpn, ["h2".into(), "http/1.1".into()]);
    assert_eq!((settings.resumption, settings.tickets), (Resumption::On, TicketKeys::Rotated));
    assert!(!settings.alpn_strict && settings.server_names.is_empty() && settings.identity.ocsp.is_none());
}

#[test]
fn application_protocols_are_those_that_are_served() {
    for (spoken, alpn) in
        [(Spoken::Http1, &["http/1.1"][..]), (Spoken::Http2, &["h2"]), (Spoken::Auto, &["h2", "http/1.1"])]
    {
        assert_eq!(listener::alpn_of(spoken).iter().map(|name| &**name).collect::<Vec<_>>(), alpn);
    }
    assert_eq!(good_server("alpn: 'http/1.1, h2'").protocol.alpn, ["http/1.1".into(), "h2".into()]);
    let (settings, warning) = server_warning("alpn: 'h2,sofa'");
    assert_eq!(settings.protocol.alpn, ["h2".into()]);
    assert_eq!(warning, "alpn: \"sofa\" is left out: expected h2 or http/1.1");
}

#[test]
fn everything_of_a_listener() {
    let settings = good_server(
        "server_name: 'a.test, *.b.test', alpn_strict: true, ocsp_staple: o.der, session_resumption: false, \
         session_ticket_keys: [one, /two], min_version: tlsv1_3",
    );
    assert_eq!(settings.server_names, ["a.test".into(), "*.b.test".into()]);
    assert!(settings.alpn_strict && settings.identity.ocsp.unwrap().ends_with("o.der"));
    assert_eq!(settings.resumption, Resumption::Off);
    let TicketKeys::Shared(keys) = settings.tickets else { panic!() };
    assert_eq!(keys[1], Source::File(PathBuf::from("/two")));
}

#[test]
fn what_is_asked_of_clients() {
    let trust = |clients: ClientAuth| match clients {
        ClientAuth::Verified(trust) => (false, trust),
        ClientAuth::Required(trust) => (true, trust),
        other => panic!("{other:?}"),
    };
    let (required, verified) = trust(good_server("verify_client: true, ca_cert: /ca.pem, crl: /l.pem").clients);
    assert!(!required && !verified.crl_leaf_only);
    assert_eq!(verified.roots, Roots::Given(Source::File("/ca.pem".into())));
    assert_eq!(verified.crl, Some(Source::File("/l.pem".into())));
    let both = "verify_client: true, require_client_cert: true, ca_cert: /ca.pem, only_verify_leaf_cert_crl: true";
    let (required, leaf) = trust(good_server(both).clients);
    assert!(required && leaf.crl_leaf_only);
    let hash = "ab".repeat(32);
    let (_, pinned) = trust(good_server(&format!("verify_client: true, verify_certificate_hash: [{hash}]")).clients);
    assert_eq!((pinned.roots, pinned.pins.certificates[0]), (Roots::Pinned, [0xab; 32]));
    let error = server_error("verify_client: true");
    assert!(error.starts_with("verify_client: whom to believe is not said; expected `ca_cert`"), "{error}");
    let (settings, warning) = server_warning("require_client_cert: true");
    assert_eq!(settings.clients, ClientAuth::Unverified);
    assert!(warning.contains("it proves nothing"), "{warning}");
    let (settings, warning) = server_warning("ca_cert: /ca.pem");
    assert_eq!(settings.clients, ClientAuth::None);
    assert_eq!(warning, "ca_cert: does nothing without `verify_client`");
}

#[test]
fn names_that_will_do() {
    let said = "verify_client: true, ca_cert: /ca.pem, match_typed_subject_alt_names: [{san_type: URI, matcher: \
                {prefix: 'spiffe://a/'}}, {matcher: {exact: A, ignore_case: true}}]";
    let ClientAuth::Verified(trust) = good_server(said).clients else { panic!() };
    assert_eq!(trust.names[0].kind, Some(SanKind::Uri));
    assert_eq!(trust.names[0].pattern, SanPattern::Prefix("spiffe://a/".into()));
    assert_eq!((trust.names[1].kind, trust.names[1].ignore_case), (None, true));
    for (matcher, expected) in [
        ("{}", "matcher: expected exactly one of exact, prefix, suffix and contains, found none"),
        ("{exact: a, prefix: b}", "matcher: expected exactly one of exact, prefix, suffix and contains, found 2"),
    ] {
        let more = format!("match_typed_subject_alt_names: [{{matcher: {matcher}}}]");
        assert!(server_error(&more).ends_with(expected));
    }
}

#[test]
fn bad_values_are_errors() {
    for (more, expected) in [
        ("min_version: tlsv1_4", "min_version: expected tls_auto, tlsv1_2 or tlsv1_3, found \"tlsv1_4\""),
        ("max_version: tlsv1_1", "max_version: TLS 1.1 is not spoken, as it is not safe; expected TLS 1.2 or 1.3"),
        ("min_version: tlsv1_3, max_version: tlsv1_2", "max_version: expected a maximum not below the minimum TLS 1.3"),
        ("ecdh_curves: P521", "ecdh_curves: none of them is available; expected at least one of X25519MLKEM768"),
        ("ecdh_curves: P257", "ecdh_curves: expected X25519MLKEM768"),
        ("cipher_suites: RC4-MD5", "cipher_suites: none of them is available"),
        ("cipher_suites: HIGH", "cipher_suites: expected TLS_AES_128_GCM_SHA256"),
        ("alpn: sofa", "alpn: expected h2, http/1.1 or both"),
        ("verify_certificate_spki: [x]", "verify_certificate_spki[0]: expected a SHA-256 hash in base64"),
        ("verify_certificate_hash: [x]", "verify_certificate_hash[0]: expected a SHA-256 hash in hexadecimal"),
        ("type: loader", "type: certificates do not come from extensions here"),
        ("sds_source: {CertificateConfig: {name: a}}", "sds_source: certificates do not come from a discovery"),
        ("fall_back: true, require_client_cert: true", "fall_back: clients that must be verified would come in"),
    ] {
        let error = server_error(more);
        assert!(error.starts_with(expected), "{more}: {error}");
    }
    for text in ["{status: true}", "{status: true, server_name: a}"] {
        let (settings, (errors, _)) = server(text);
        assert!(settings.is_none() && errors[0].starts_with("status: expected `cert_chain`"), "{errors:?}");
    }
    let (settings, (errors, _)) = server("{status: true, cert_chain: c}");
    assert!(settings.is_none());
    assert_eq!(errors, ["cert_chain: expected `private_key` beside it, found none"]);
}

#[test]
fn old_settings_are_mended_with_a_word() {
    for (more, expected) in [
        ("min_version: TLSv1_0", "min_version: raised to TLS 1.2: older versions are not safe"),
        ("ecdh_curves: 'P256,P521'", "ecdh_curves: P521 is left out: the library in use does not have it"),
        (
            "cipher_suites: 'ECDHE-RSA-AES128-GCM-SHA256:RSA-AES256-CBC-SHA'",
            "cipher_suites: RSA-AES256-CBC-SHA is left",
        ),
        ("insecure_skip: true", "insecure_skip: says nothing here"),
    ] {
        let (_, warning) = server_warning(more);
        assert!(warning.starts_with(expected), "{more}: {warning}");
    }
}

#[test]
fn a_cluster_with_defaults() {
    let settings = good_client("");
    assert_eq!(settings.identity, None);
    assert_eq!(settings.server_name, NameRule::Host);
    let ServerAuth::Verified(trust) = settings.verify else { panic!() };
    assert_eq!(trust, sidegate_tls::Trust::default());
}

/// As MOSN's samples write it.
#[test]
fn everything_of_a_cluster() {
    let settings = good_client(
        "ca_cert: /ca.pem, cert_chain: /cert.pem, private_key: /key.pem, verify_client: true, require_client_cert: \
         true, ecdh_curves: P256, server_name: 127.0.0.1",
    );
    assert!(settings.identity.is_some());
    assert_eq!(settings.server_name, NameRule::Fixed("127.0.0.1".into()));
    let by_request = good_client("auto_sni: true, auto_san_validation: true").server_name;
    assert_eq!(by_request, NameRule::Request { otherwise: None });
    let by_request = good_client("auto_sni: true, server_name: checks.test").server_name;
    assert_eq!(by_request, NameRule::Request { otherwise: Some("checks.test".into()) });
    assert_eq!(good_client("auto_sni: false, auto_san_validation: false").server_name, NameRule::Host);
    for (more, expected) in [
        (
            "auto_sni: true, auto_san_validation: false",
            "auto_san_validation: a host that need not be who was asked for",
        ),
        ("auto_san_validation: true", "auto_san_validation: the name that is asked for is the one that is verified"),
    ] {
        let (_, (errors, _)) = client(&format!("{{status: true, {more}}}"));
        assert!(errors[0].starts_with(expected), "{errors:?}");
    }
    let (settings, (errors, warnings)) = client("{status: true, insecure_skip: true}");
    assert_eq!(settings.unwrap().verify, ServerAuth::Nothing);
    assert!(errors.is_empty() && warnings[0].contains("NOTHING IS VERIFIED"), "{warnings:?}");
    let (_, (errors, _)) = client("{status: true, fall_back: true}");
    assert!(errors[0].starts_with("fall_back: requests would go to hosts in clear text"), "{errors:?}");
    let (_, (errors, _)) = client("{status: true, private_key: k}");
    assert_eq!(errors, ["private_key: expected `cert_chain` beside it, found none"]);
}

#[test]
fn a_context_that_is_off_says_little() {
    let off = "{status: false, type: loader, sds_source: {a: b}, ecdh_curves: P521, min_version: tlsv1_0}";
    let (settings, said) = server(off);
    assert!(settings.is_none());
    assert_eq!(said, (vec![], vec![": TLS is off here, as `status` is not true".to_owned()]));
    let (settings, said) = client("{insecure_skip: true}");
    assert!(settings.is_none());
    assert_eq!(said, (vec![], vec![": TLS is off here, as `status` is not true".to_owned()]));
    assert_eq!(server("{}").1, (vec![], vec![]));
    let (_, (errors, _)) = server("{status: false, ca_cret: x, alpn: 3}");
    assert_eq!(errors.len(), 2, "{errors:?}");
}

/// A certificate in files, and what is said of files that are not good.
#[test]
fn files_are_looked_at() {
    let folder = std::env::temp_dir().join(format!("sidegate-config-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    std::fs::write(path("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["b.test".to_owned()]).unwrap();
    std::fs::write(path("other.pem"), other.signing_key.serialize_pem()).unwrap();
    let context = |chain: &str, key: &str, more: &str| {
        let text = format!("{{status: true, cert_chain: {}, private_key: {}{more}}}", path(chain), path(key));
        read(&LISTENER, &text, |cursor, materials| {
            let limits = sidegate_tls::Limits::default();
            match listener_tls(&[cursor], Default::default(), limits, Spoken::Http1, materials) {
                Tls::On(tls) => Some(tls.contexts.get().contexts()[0].names().map(str::to_owned).collect::<Vec<_>>()),
                Tls::Off | Tls::Failed => None,
            }
        })
    };
    let (names, (errors, _)) = context("cert.pem", "key.pem", "");
    assert_eq!(names.unwrap(), ["a.test"]);
    assert_eq!(errors, [""; 0]);
    for (chain, key, expected) in [
        ("none.pem", "key.pem", "cert_chain: cannot read "),
        ("cert.pem", "other.pem", "private_key: "),
        ("key.pem", "key.pem", "cert_chain: "),
    ] {
        let (names, (errors, _)) = context(chain, key, "");
        assert!(names.is_none());
        assert!(errors.iter().any(|error| error.starts_with(expected)), "{errors:?}");
        let (names, (errors, warnings)) = context(chain, key, ", fall_back: true");
        assert!(names.is_none());
        assert!(!errors.iter().any(|error| error.starts_with(expected)), "{errors:?}");
        assert!(warnings.iter().any(|line| line.ends_with("clients are served in clear text")), "{warnings:?}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
