//! Names of fields on their way out.

use http::HeaderName;

/// The `http` crate has a table of the names that the RFCs know; others it
/// copies each time. These are in use everywhere.
macro_rules! known {
    ($bytes:expr, $($name:literal),+ $(,)?) => {{
        match $bytes {
            $(known if known == $name.as_bytes() => {
                const NAME: HeaderName = HeaderName::from_static($name);
                Some(NAME)
            })+
            _ => None,
        }
    }};
}

/// `name`, which is in lower case; `None` if it is none.
pub(super) fn encode(name: &[u8]) -> Option<HeaderName> {
    known(name).or_else(|| HeaderName::from_bytes(name).ok())
}

/// Whether each message has a value of its own in this field. The peer's table
/// of fields is better off without it: every one of them would push a field
/// out that comes again and again.
pub(super) fn is_of_one_message(name: &[u8]) -> bool {
    match name.len() {
        11 => name == b"traceparent" || name == b"x-b3-spanid",
        12 => name == b"x-request-id" || name == b"x-b3-traceid",
        17 => name == b"x-b3-parentspanid",
        _ => false,
    }
}

/// By length first: nearly all that are none of these are told by that.
fn known(name: &[u8]) -> Option<HeaderName> {
    match (name.first(), name.len()) {
        (Some(b'g'), 11) => known!(name, "grpc-status"),
        (Some(b'g'), 12) => known!(name, "grpc-message", "grpc-timeout"),
        (Some(b'g'), 13) => known!(name, "grpc-encoding"),
        (Some(b'g'), 20) => known!(name, "grpc-accept-encoding"),
        (Some(b't'), 10) => known!(name, "tracestate"),
        (Some(b't'), 11) => known!(name, "traceparent"),
        (Some(b'x'), 9) => known!(name, "x-real-ip"),
        (Some(b'x'), 11) => known!(name, "x-b3-spanid"),
        (Some(b'x'), 12) => known!(name, "x-request-id", "x-b3-sampled", "x-b3-traceid"),
        (Some(b'x'), 15) => known!(name, "x-forwarded-for"),
        (Some(b'x'), 16) => known!(name, "x-forwarded-host", "x-forwarded-port"),
        (Some(b'x'), 17) => known!(name, "x-forwarded-proto", "x-b3-parentspanid"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_of_a_message_are_no_fields_to_remember() {
        for name in ["x-request-id", "traceparent", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid"] {
            assert!(is_of_one_message(name.as_bytes()), "{name}");
        }
        for name in ["user-agent", "accept", "x-b3-sampled", "tracestate", "x-forwarded-for", "x-forwarded-proto"] {
            assert!(!is_of_one_message(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn all_names_come_out_as_they_are() {
        for name in [
            "grpc-status",
            "grpc-message",
            "grpc-timeout",
            "grpc-encoding",
            "grpc-accept-encoding",
            "tracestate",
            "traceparent",
            "x-real-ip",
            "x-request-id",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-proto",
            "x-b3-traceid",
            "x-b3-spanid",
            "x-b3-sampled",
            "x-b3-parentspanid",
        ] {
            assert!(known(name.as_bytes()).is_some_and(|known| known == name), "{name}");
        }
        for name in ["x-forwarded-fox", "content-type", "x", "x-anything"] {
            assert_eq!(known(name.as_bytes()), None, "{name}");
            assert_eq!(encode(name.as_bytes()).unwrap(), name);
        }
        assert_eq!(encode(b"not a name"), None);
    }
}
