//! Keys and signatures of the `minisign` program, and ours.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use sidegate_trust::{KeyId, Password, PublicKey, SecretError, SecretKey, Signature, SignatureError};

// Made by minisign 0.11 for this test alone.
const PUBLIC: &str = "RWRZeLHWaGytbccnYXvfrCrGMBkr70MXduAfKQr4PH6y0cEpp3cMNGai";
const UNPROTECTED: &str = "untrusted comment: minisign encrypted secret key
RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAWXix1mhsrW2HUW5VYaCsJ/jcSvjXc1nj/1CaDKcEcYJPbV4JAdEiMMcnYXvfrCrGMBkr70MXduAfKQr4PH6y0cEpp3cMNGaiAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
";
const SIGNATURE: &str = "untrusted comment: signature from minisign secret key
RURZeLHWaGytbYEXKnQPQ4xFfRQ/MjDxm0HODuOdiQvTp8FAZ3ierIS9LVqyT8wTB4c/iIb44k6nGrpkIWGu5uzUBKGP93YFPgo=
trusted comment: made by minisign
5xi5oWbBzt3NyxJmLUUcKbDCxK6FvW0VlZaf3AHhPbzcw8A4npbA9uccgEmu+fn5m4hmLCuksajfkG/146mbAA==
";
const LEGACY: &str = "untrusted comment: signature from minisign secret key
RWRZeLHWaGytbS0xbvRohfoT4zLQ59VcHoWqEX8SZkIdU68vPccKG+uEoHhkOagAMuKDVadR3XXdDawDlK2uJtPg9hHitQtCPgs=
trusted comment: old
fNijE4EKk6aVByaiFHV1N3fKXCazrR1OUA8H7044mB4uo3/srsFhZOEeZxBd/uY+YTzPIW6Bdty4P2Q6XdI/DA==
";
const MODULE: &[u8] = b"a module\n";

fn public() -> PublicKey {
    PUBLIC.parse().unwrap()
}

#[test]
fn what_minisign_signs_is_believed_and_nothing_else() {
    let signature = Signature::parse(SIGNATURE).unwrap();
    assert_eq!(signature.comment(), "made by minisign");
    assert_eq!(signature.key(), public().id());
    assert_eq!(signature.key().to_string(), "6DAD6C68D6B17859");
    assert_eq!(signature.verify(&public(), MODULE), Ok(()));
    for other in [&b"a module"[..], b"A module\n", b""] {
        assert_eq!(signature.verify(&public(), other), Err(SignatureError::Wrong), "{other:?}");
    }
    let (_, stranger) = SecretKey::generate(Password::None).unwrap();
    assert_eq!(signature.verify(&stranger, MODULE), Err(SignatureError::Wrong));
    let comment_changed = SIGNATURE.replace("made by", "Made by");
    assert_eq!(Signature::parse(&comment_changed).unwrap().verify(&public(), MODULE), Err(SignatureError::Wrong));
}

#[test]
fn what_is_no_signature_is_an_error_and_no_panic() {
    assert_eq!(Signature::parse(LEGACY).unwrap_err(), SignatureError::Legacy);
    let lines: Vec<&str> = SIGNATURE.lines().collect();
    for count in 0..lines.len() {
        assert!(Signature::parse(&lines[..count].join("\n")).is_err(), "{count} lines");
    }
    for at in 0..SIGNATURE.len() {
        let cut = Signature::parse(&SIGNATURE[..at]).map(|signature| signature.verify(&public(), MODULE));
        assert!(cut.is_err() || at == SIGNATURE.len() - 1, "byte {at}: {cut:?}");
        // Four characters of base64 less are three bytes less.
        let mut shorter = SIGNATURE.to_owned();
        shorter.replace_range(at..(at + 4).min(SIGNATURE.len()), "");
        let believed = Signature::parse(&shorter).is_ok_and(|signature| signature.verify(&public(), MODULE).is_ok());
        let free = at < SIGNATURE.find('\n').unwrap() || shorter.trim_end() == SIGNATURE.trim_end();
        assert!(free || !believed, "bytes from {at}: {shorter}");
        let mut bytes = SIGNATURE.as_bytes().to_vec();
        bytes[at] ^= 1;
        let changed = String::from_utf8(bytes).unwrap();
        // The first comment is nobody's.
        let free = at < SIGNATURE.find('\n').unwrap();
        let believed = Signature::parse(&changed).is_ok_and(|signature| signature.verify(&public(), MODULE).is_ok());
        assert!(free || !believed || changed.trim_end() == SIGNATURE.trim_end(), "byte {at}: {changed}");
    }
}

#[test]
fn keys_are_read_with_and_without_their_comment() {
    let file = format!("untrusted comment: minisign public key 6DAD6C68D6B17859\n{PUBLIC}\n");
    assert_eq!(file.parse::<PublicKey>().unwrap(), public());
    assert_eq!(public().to_file(), file);
    assert_eq!("6dad6c68d6b17859".parse::<KeyId>().unwrap(), public().id());
    for bad in ["", "RW", &PUBLIC[1..], &format!("{PUBLIC}A"), UNPROTECTED, "untrusted comment: x", SIGNATURE] {
        assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
    }
    for bad in ["", "6DAD6C68D6B1785", "+DAD6C68D6B17859", "6DAD6C68D6B17859A", "6DAD6C68D6B1785g"] {
        assert!(bad.parse::<KeyId>().is_err(), "{bad}");
    }
}

#[test]
fn what_we_sign_is_believed() {
    let (file, public) = SecretKey::generate(Password::None).unwrap();
    let key = SecretKey::parse(&file, Password::None).unwrap();
    assert_eq!(key.public().unwrap(), public);
    let signature = Signature::parse(&key.sign(MODULE, "one\nline").unwrap()).unwrap();
    assert_eq!(signature.comment(), "one line");
    assert_eq!(signature.verify(&public, MODULE), Ok(()));
    // It has no checksum, which the library wants to see.
    let error = SecretKey::parse(UNPROTECTED, Password::None).unwrap_err();
    assert!(error.to_string().contains("sign with that"), "{error}");
}

#[test]
fn a_password_protects_a_key() {
    let given = |password: &str| Password::Given(password.to_owned());
    let (file, public) = SecretKey::generate(given("open")).unwrap();
    let key = SecretKey::parse(&file, given("open")).unwrap();
    assert_eq!(key.public().unwrap(), public);
    assert!(matches!(SecretKey::parse(&file, Password::None), Err(SecretError::NeedsPassword)));
    assert!(matches!(SecretKey::parse(&file, given("shut")), Err(SecretError::Failed(_))));
    for bad in ["", "x", "untrusted comment: x\n", PUBLIC, SIGNATURE] {
        assert!(SecretKey::parse(bad, Password::None).is_err(), "{bad}");
    }
}
