//! Keys and signatures, in the texts of minisign.

use std::sync::OnceLock;

use sidegate_trust::{KeyId, PublicKey, Signature};

/// Bytes that the key of the corpus has signed.
pub const SIGNED: &[u8] = b"what was signed";
/// That key.
const KEY: &str = include_str!("../corpus/key.pub");
/// The signature of it that is right.
const RIGHT: &str = include_str!("../corpus/trust/right.minisig");

/// Any text is a signature, a key, or none; none but the one that was made
/// holds.
pub fn read(input: &[u8]) {
    static KEYS: OnceLock<PublicKey> = OnceLock::new();
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(signature) = text.parse::<PublicKey>() {
        assert_eq!(signature.to_string().parse::<PublicKey>().ok(), Some(signature));
    }
    if let Ok(id) = text.parse::<KeyId>() {
        assert_eq!(id.to_string(), text.to_ascii_uppercase());
    }
    if let Ok(signature) = Signature::parse(text) {
        let key = KEYS.get_or_init(|| KEY.parse().expect("a key"));
        assert!(!signature.comment().contains('\u{1b}'), "control characters are shown");
        if signature.verify(key, SIGNED).is_ok() {
            // Its text may differ in what is not signed: the first comment, and
            // blanks around lines and around the comment that is signed.
            let blank = |line: &str| line.trim_start_matches("trusted comment:").trim().to_owned();
            let signed = |text: &str| text.lines().skip(1).map(blank).collect::<Vec<_>>();
            assert_eq!(signed(text.trim()), signed(RIGHT.trim()), "a signature that nobody made");
        }
    }
}
