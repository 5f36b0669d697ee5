//! TLS contexts of listeners, clusters and the cluster manager.

use super::{Key, Object, Rule, Shape, TEXTS, key, own};

const VERSIONS: Shape = Shape::AnyCase(&["", "tls_auto", "tlsv1_0", "tlsv1_1", "tlsv1_2", "tlsv1_3"]);

pub(crate) static LISTENER_TLS: Object = Object::new(
    "tls_context",
    "`tls_context`, or an element of `tls_context_set`, of a listener: a certificate, and how clients that get it are \
     met. A client gets the context that serves the name it asks for (a whole name before a `*.` one; of the names in \
     the certificate and in `server_name`), else one whose application protocol it speaks, else the first. A \
     certificate, key, CA or list is PEM, inline or the name of a file; a relative name is looked up beside the \
     configuration file, then in the working directory.",
    &[
        key(
            "verify_client",
            Shape::Bool,
            "`false`",
            "Ask clients for a certificate, and turn them away if it is not good: signed by a CA of `ca_cert`, or \
             pinned. Who sends none is served, unless `require_client_cert` says otherwise.",
        ),
        key(
            "require_client_cert",
            Shape::Bool,
            "`false`",
            "With `verify_client`: turn clients without a certificate away. Alone it does what it does in MOSN: clients \
             are asked, and whatever they send is taken and proves nothing, so that no identity comes of it.",
        ),
        key("server_name", Shape::Text, "none", "Names that are served beside those of the certificate, with commas."),
        own(
            "alpn_strict",
            Shape::Bool,
            "`false`",
            "End a handshake in which the client offers application protocols, but none of `alpn`. Otherwise it goes on \
             without one, as in Envoy.",
        ),
        own(
            "ocsp_staple",
            Shape::Text,
            "none",
            "A file with the CA's OCSP response for the certificate, in DER, which clients get with it.",
        ),
        key(
            "ticket",
            Shape::Text,
            "none",
            "A secret from which the keys of session tickets are derived, at least 32 bytes. As it stands in the \
             configuration, `session_ticket_keys` are better.",
        ),
        own(
            "session_ticket_keys",
            TEXTS,
            "a secret of the process's own, replaced every six hours",
            "Files with at least 32 random bytes each, from which the keys of session tickets are derived: the first for \
             new tickets, all for those that come. With the same files, several processes resume each other's sessions.",
        ),
        key(
            "insecure_skip",
            Shape::Bool,
            "`false`",
            "Says nothing here: clients are verified as `verify_client` says.",
        ),
    ],
)
.and(COMMON);

pub(crate) static CLUSTER_TLS: Object = Object::new(
    "upstream_tls_context",
    "`tls_context` of a cluster or of `cluster_manager`: TLS towards hosts. Their certificates are verified, names \
     included, unless `insecure_skip` says otherwise.",
    &[
        key(
            "server_name",
            Shape::Text,
            "the host's `hostname`, else its name, else its address",
            "The name, or address, that is asked for and that the certificate must be for.",
        ),
        own(
            "auto_sni",
            Shape::Bool,
            "`false`",
            "Ask for the name in the request's `Host`, as it goes to the host, and verify that. `server_name` then stands \
             for it in health checks. A connection carries requests for its own name alone. An address is verified, but \
             not asked for.",
        ),
        own(
            "auto_san_validation",
            Shape::Bool,
            "as `auto_sni`",
            "The name that is asked for is verified anyway; `match_typed_subject_alt_names` take its place.",
        ),
        key(
            "insecure_skip",
            Shape::Bool,
            "`false`",
            "Verify nothing: whoever stands between proxy and host reads and changes everything. For tests.",
        ),
        key("verify_client", Shape::Bool, "`false`", "Says nothing here: hosts are always verified."),
        key("require_client_cert", Shape::Bool, "`false`", "Says nothing here."),
        key("ticket", Shape::Text, "none", "Says nothing here: tickets are the hosts' to make."),
    ],
)
.and(COMMON);

static COMMON: &[Key] = &[
    key("status", Shape::Bool, "`false`", "Whether the context counts at all."),
    key(
        "cert_chain",
        Shape::Text,
        "none",
        "Our certificate, then its issuers. Required for listeners; for clusters, hosts may ask for it.",
    ),
    key(
        "private_key",
        Shape::Text,
        "none",
        "The key of the certificate: RSA, ECDSA or Ed25519, in PKCS#8, PKCS#1 or SEC1, not encrypted.",
    ),
    key("ca_cert", Shape::Text, "of clusters, those of the system", "Certificates of CAs that are trusted."),
    own(
        "crl",
        Shape::Text,
        "none",
        "Lists of revoked certificates. Once there is one, each certificate of a chain must be covered by one that has \
         not expired.",
    ),
    own("only_verify_leaf_cert_crl", Shape::Bool, "`false`", "Only the peer's own certificate must be covered."),
    own(
        "match_typed_subject_alt_names",
        Shape::Array(&Shape::Object(&SAN_MATCH)),
        "any name will do",
        "The peer's certificate must have one of these names. For clusters they go before `server_name`, which is still \
         asked for.",
    ),
    own(
        "verify_certificate_spki",
        TEXTS,
        "none",
        "SHA-256 hashes of public keys in base64. If there are any, here or in `verify_certificate_hash`, the peer's \
         certificate must be one of them; without `ca_cert` that is enough.",
    ),
    own(
        "verify_certificate_hash",
        TEXTS,
        "none",
        "SHA-256 hashes of certificates in hexadecimal, with or without colons.",
    ),
    key(
        "min_version",
        VERSIONS,
        "`tlsv1_2`",
        "The oldest version that is spoken. Versions below 1.2, which MOSN speaks, are not safe: 1.2 counts then, with \
         a warning.",
    ),
    key("max_version", VERSIONS, "`tlsv1_3`", "The newest version that is spoken; not below 1.2."),
    key(
        "cipher_suites",
        Shape::Text,
        "all, AES with 128 bits first",
        "Ciphers with colons or commas, the preferred first, by the names of OpenSSL, IANA or MOSN. Those without \
         forward secrecy or authenticated encryption are left out with a warning. Without one of TLS 1.3, all of those \
         stay. On listeners our order counts.",
    ),
    key(
        "ecdh_curves",
        Shape::Text,
        "`X25519MLKEM768,X25519,P256,P384`",
        "Ways to agree on a key, with commas, the preferred first. P521 is not there, and left out with a warning.",
    ),
    key(
        "alpn",
        Shape::Text,
        "what the listener or cluster speaks",
        "Application protocols with commas, the preferred first: `h2`, `http/1.1`. Others are left out with a warning.",
    ),
    own(
        "session_resumption",
        Shape::Bool,
        "`true`",
        "Whether sessions are resumed, which spares most of a handshake. Never with another context, and never after \
         certificate, CA or list have changed.",
    ),
    key(
        "fall_back",
        Shape::Bool,
        "`false`",
        "Of a listener that does not verify clients: serve in clear text if the certificate or key cannot be used, as \
         MOSN does. An error elsewhere.",
    ),
    key(
        "type",
        Shape::Text,
        "none",
        "Who brings certificate, key and, without `ca_cert`, CAs: `loader` is a plugin, as in MOSN's example. \
         `cert_chain` and `private_key` are not given then.",
    ),
    key(
        "extend_verify",
        Shape::Anything,
        "none",
        "Its settings, by `type`: those of [`loader`](#tls-contexts-of-the-type-loader).",
    ),
    key("callbacks", Shape::Text, "none", "Hooks of such an extension."),
    key("sds_source", Shape::Anything, "none", "Certificates of a discovery service; not there yet."),
];

pub(crate) static SAN_MATCH: Object = Object::new(
    "san_match",
    "`match_typed_subject_alt_names[]`, in Envoy's terms.",
    &[
        own(
            "san_type",
            Shape::Words(&["", "DNS", "URI", "EMAIL", "IP_ADDRESS"]),
            "any",
            "The kind of name. `URI` is that of SPIFFE.",
        ),
        super::own_required("matcher", Shape::Object(&SAN_MATCHER), "what the name must be", "What it must be."),
    ],
);

pub(crate) static SAN_MATCHER: Object = Object::new(
    "san_matcher",
    "`match_typed_subject_alt_names[].matcher`.",
    &[
        own("exact", Shape::Name, "", "This. A name of DNS in the certificate may begin with `*.`."),
        own("prefix", Shape::Name, "", "It begins so."),
        own("suffix", Shape::Name, "", "It ends so."),
        own("contains", Shape::Name, "", "It has this in it."),
        own("ignore_case", Shape::Bool, "`false`", "Upper and lower case are the same; for names of DNS always."),
    ],
)
.rules(&[Rule::ExactlyOne(&["exact", "prefix", "suffix", "contains"])]);
