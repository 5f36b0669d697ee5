use super::*;
use crate::Protocol;

fn suites(list: &str) -> Vec<String> {
    let suites = Suites::parse(list).unwrap().value;
    suites.all().into_iter().map(|suite| format!("{:?}", suite.rustls().suite())).collect()
}

#[test]
fn ciphers_have_many_names() {
    for name in [
        "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ecdhe-rsa-aes128-gcm-sha256",
        "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-AES128-GCM-SHA256]",
    ] {
        assert_eq!(suites(name).last().unwrap(), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "{name}");
    }
    for name in ["ECDHE-ECDSA-WITH-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"] {
        assert_eq!(suites(name).last().unwrap(), "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "{name}");
    }
    for name in ["TLS13_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"] {
        assert_eq!(suites(name), ["TLS13_AES_256_GCM_SHA384"]);
    }
}

#[test]
fn ciphers_of_the_older_version_leave_those_of_the_newer() {
    let list = suites("ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256");
    assert_eq!(list.len(), 5);
    assert_eq!(list[3], "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384");
    assert_eq!(suites("").len(), 9);
    assert_eq!(suites("")[0], "TLS13_AES_128_GCM_SHA256");
}

#[test]
fn ciphers_of_others_are_left_out_with_a_word() {
    let mosn = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-CBC-SHA:RSA-AES256-CBC-SHA:RSA-3DES-EDE-CBC-SHA:\
                ECDHE-RSA-SM4-SM3:AES128-SHA";
    let parsed = Suites::parse(mosn).unwrap();
    let dropped: Vec<_> = parsed.dropped.iter().map(|dropped| &*dropped.name).collect();
    assert_eq!(
        dropped,
        ["ECDHE-RSA-AES128-CBC-SHA", "RSA-AES256-CBC-SHA", "RSA-3DES-EDE-CBC-SHA", "ECDHE-RSA-SM4-SM3", "AES128-SHA"]
    );
    assert!(matches!(Suites::parse("RSA-AES256-CBC-SHA"), Err(AlgorithmError::NoneLeft { .. })));
    let gcm = Suites::parse("AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256").unwrap();
    assert_eq!(gcm.dropped[0].name, "AES128-GCM-SHA256");
    assert!(matches!(Suites::parse("ECDHE-RSA-AES129-GCM-SHA256"), Err(AlgorithmError::Unknown { .. })));
    assert!(matches!(Suites::parse("HIGH:!aNULL"), Err(AlgorithmError::Unknown { found, .. }) if found == "HIGH"));
}

#[test]
fn curves_have_many_names() {
    let parsed = Groups::parse("P256,x25519:secp384r1,P-256,CurveP521").unwrap();
    assert_eq!(parsed.value.all(), [Group::P256, Group::X25519, Group::P384]);
    assert_eq!(parsed.dropped.len(), 1);
    assert!(matches!(Groups::parse("P521"), Err(AlgorithmError::NoneLeft { .. })));
    assert!(matches!(Groups::parse("P257"), Err(AlgorithmError::Unknown { .. })));
    assert_eq!(Groups::default().all()[0], Group::X25519MlKem768);
}

#[test]
fn versions_are_raised_or_refused() {
    let parse = |text| Version::parse(text).unwrap();
    let new = |min, max| Versions::new(parse(min), parse(max));
    assert_eq!(new("", "tls_auto"), Ok((Versions::default(), false)));
    assert_eq!(new("TLSv1_0", ""), Ok((Versions::default(), true)));
    assert_eq!(new("tlsv1_2", "").map(|(_, raised)| raised), Ok(false));
    assert_eq!(new("", "tlsv1_1"), Err(AlgorithmError::TooOld(Version::Tls11)));
    assert!(matches!(new("tlsv1_3", "tlsv1_2"), Err(AlgorithmError::Empty { .. })));
    assert!(Version::parse("tlsv1_4").is_err());
    let (only, _) = new("tlsv1_3", "").unwrap();
    assert_eq!(only.each().collect::<Vec<_>>(), [Version::Tls13]);
}

#[test]
fn a_version_needs_a_cipher() {
    let suites = Suites::parse("TLS_AES_128_GCM_SHA256").unwrap().value;
    let both = Protocol { suites, ..Protocol::default() };
    assert_eq!(both.check(), Err(AlgorithmError::NoSuiteFor(Version::Tls12)));
    let versions = Versions::new(Some(Version::Tls13), None).unwrap().0;
    assert_eq!(Protocol { versions, ..both }.check(), Ok(()));
}
