//! Why a request is not let in, and what it is told.

use sidegate_api::LocalReply;

/// What is wrong with a request's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Missing,
    Malformed,
    UnknownKey,
    Signature,
    Expired,
    NotYetValid,
    NoExpiration,
    Issuer,
    Audience,
}

impl Refusal {
    /// For the access log.
    fn details(self) -> &'static str {
        match self {
            Refusal::Missing => "jwt_missing",
            Refusal::Malformed => "jwt_malformed",
            Refusal::UnknownKey => "jwt_unknown_key",
            Refusal::Signature => "jwt_bad_signature",
            Refusal::Expired => "jwt_expired",
            Refusal::NotYetValid => "jwt_not_yet_valid",
            Refusal::NoExpiration => "jwt_without_expiration",
            Refusal::Issuer => "jwt_wrong_issuer",
            Refusal::Audience => "jwt_wrong_audience",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Refusal::Missing => "token is missing",
            Refusal::Malformed => "token is malformed",
            Refusal::UnknownKey => "token is signed by an unknown key",
            Refusal::Signature => "token's signature is wrong",
            Refusal::Expired => "token has expired",
            Refusal::NotYetValid => "token is not valid yet",
            Refusal::NoExpiration => "token has no expiration",
            Refusal::Issuer => "token is from another issuer",
            Refusal::Audience => "token is for another audience",
        }
    }

    /// 401 with a challenge by RFC 6750: without an error if there was no token.
    pub(super) fn reply(self, authority: &str) -> LocalReply {
        let mut reply = LocalReply::text(401, self.details(), self.text());
        reply.body.push(b'\n');
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'_' | b'[' | b']');
        let mut challenge = match !authority.is_empty() && authority.bytes().all(plain) {
            true => format!("Bearer realm=\"{authority}\""),
            false => "Bearer realm=\"\"".to_owned(),
        };
        if self != Refusal::Missing {
            challenge.push_str(", error=\"invalid_token\", error_description=\"");
            challenge.push_str(self.text());
            challenge.push('"');
        }
        // One short field fits.
        let _ = reply.headers.add(b"www-authenticate", challenge.as_bytes());
        reply
    }
}
