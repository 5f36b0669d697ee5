//! What the plugin answers: JSON with the names that MOSN has.

use serde_json::Value;
use sidegate_api::Credentials;
use sidegate_proto::mosn;
use zeroize::Zeroizing;

/// The status by which a plugin refuses.
const DENIED: i32 = -1;
/// Bytes: a chain with several RSA certificates is some 10 KiB, a bundle of CAs
/// some hundred.
const MAX_BODY: usize = 4 << 20;

/// Reads an answer. What is said of one that is no good has nothing of it: it
/// may be the key.
pub(super) fn read(response: mosn::Response) -> Result<Credentials, String> {
    let body = Zeroizing::new(response.body);
    if response.status == DENIED {
        return Err("it refuses (status -1)".to_owned());
    }
    if body.len() > MAX_BODY {
        return Err(format!("expected {MAX_BODY} bytes at most in the body of its answer, found {}", body.len()));
    }
    let parsed: Value = serde_json::from_slice(&body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("expected JSON in the body of its answer, found an error in line {line}, column {column}")
    })?;
    let Value::Object(mut entries) = parsed else {
        return Err("expected a JSON object in the body of its answer, found another value".to_owned());
    };
    // Strings are moved, so that no copy of them stays.
    let mut text = |name: &str| match entries.remove(name) {
        Some(Value::String(text)) => Ok(text),
        None | Some(Value::Null) => Ok(String::new()),
        Some(_) => Err(format!("expected a string as {name:?} of its answer, found another value")),
    };
    let key = text("key_pem").map(Zeroizing::new);
    let (certificates, cas) = (text("cert_pem"), text("ca_pem"));
    let credentials = Credentials { certificates: certificates?, key: key?, cas: cas? };
    for (name, part) in [("cert_pem", &credentials.certificates), ("key_pem", &credentials.key)] {
        if part.trim().is_empty() {
            return Err(format!("its answer has no {name:?}"));
        }
    }
    Ok(credentials)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(body: &str) -> Result<Credentials, String> {
        read(mosn::Response { body: body.into(), status: 1, ..mosn::Response::default() })
    }

    #[test]
    fn mosns_names_are_read() {
        let read = of(r#"{"cert_pem":"c","key_pem":"k","ca_pem":"a","more":1}"#).unwrap();
        assert_eq!((&*read.certificates, read.key.as_str(), &*read.cas), ("c", "k", "a"));
        assert_eq!(of(r#"{"cert_pem":"c","key_pem":"k"}"#).unwrap().cas, "");
        assert!(!format!("{read:?}").contains('k'));
    }

    #[test]
    fn what_is_said_of_a_bad_answer_has_nothing_of_it() {
        for (body, expected) in [
            ("secret", "found an error in line 1"),
            (r#"{"key_pem":"secret"#, "found an error in line 1"),
            (r#"["secret"]"#, "expected a JSON object"),
            (r#"{"key_pem":["secret"],"cert_pem":"c"}"#, "expected a string as \"key_pem\""),
            (r#"{"key_pem":"secret","cert_pem":""}"#, "no \"cert_pem\""),
            (r#"{"cert_pem":"secret"}"#, "no \"key_pem\""),
        ] {
            let said = of(body).unwrap_err();
            assert!(said.contains(expected) && !said.contains("secret"), "{body}: {said}");
        }
        let denied = mosn::Response { status: -1, ..mosn::Response::default() };
        assert!(read(denied).unwrap_err().contains("refuses"));
        let large = mosn::Response { body: vec![b' '; MAX_BODY + 1], ..mosn::Response::default() };
        assert!(read(large).unwrap_err().contains("at most"));
    }
}
