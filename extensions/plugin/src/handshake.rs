//! The line by which a plugin says where it listens, as hashicorp/go-plugin
//! has it: `1|1|unix or tcp|address|grpc|`, and a certificate.

use std::path::Path;

use crate::address::{AddressError, PluginAddress};

/// Bytes that the line may have.
pub(crate) const MAX_LINE: usize = 4096;

/// Version of the line itself.
const CORE_VERSION: &str = "1";
/// Version of MOSN's protocol.
const APP_VERSION: &str = "1";

/// Why what a plugin printed is no handshake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("it printed {0:?} where `1|1|tcp or unix|address|grpc` was expected")]
    Garbage(String),
    #[error("it speaks version {0:?} of the handshake, expected {CORE_VERSION:?}")]
    CoreVersion(String),
    #[error("it speaks version {0:?} of the plugin protocol, expected {APP_VERSION:?}")]
    AppVersion(String),
    #[error("it listens on a network {0:?}, expected \"tcp\" or \"unix\"")]
    Network(String),
    #[error("it speaks {0:?}, expected \"grpc\"")]
    Protocol(String),
    #[error("it asks for TLS by a certificate in its handshake (go-plugin's AutoMTLS), which is not supported")]
    Certificate,
    #[error("its address is refused: {0}")]
    Address(#[from] AddressError),
}

/// Where the plugin listens that printed `line`.
pub(crate) fn parse(line: &[u8]) -> Result<PluginAddress, HandshakeError> {
    let text = std::str::from_utf8(line).map_err(|_| HandshakeError::Garbage(excerpt(line)))?.trim();
    let fields: Vec<&str> = text.split('|').map(str::trim).collect();
    // What is beyond the sixth field says that a broker is multiplexed, which
    // nobody asked for.
    let [core, app, network, address, rest @ ..] = &fields[..] else {
        return Err(HandshakeError::Garbage(excerpt(line)));
    };
    let number = |text: &str| !text.is_empty() && text.len() < 10 && text.bytes().all(|b| b.is_ascii_digit());
    if !number(core) {
        return Err(HandshakeError::Garbage(excerpt(line)));
    }
    if *core != CORE_VERSION {
        return Err(HandshakeError::CoreVersion((*core).to_owned()));
    }
    if *app != APP_VERSION {
        return Err(HandshakeError::AppVersion(excerpt(app.as_bytes())));
    }
    // Without a word it is Go's own protocol.
    let protocol = rest.first().copied().filter(|word| !word.is_empty()).unwrap_or("netrpc");
    if protocol != "grpc" {
        return Err(HandshakeError::Protocol(excerpt(protocol.as_bytes())));
    }
    if rest.get(1).is_some_and(|certificate| !certificate.is_empty()) {
        return Err(HandshakeError::Certificate);
    }
    match *network {
        "tcp" => Ok(PluginAddress::tcp(address)?),
        "unix" => Ok(PluginAddress::own_socket(Path::new(address))?),
        other => Err(HandshakeError::Network(excerpt(other.as_bytes()))),
    }
}

/// The beginning of what was printed, fit for a log.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 80;
    let shown = String::from_utf8_lossy(bytes.get(..SHOWN).unwrap_or(bytes)).trim().to_owned();
    if bytes.len() > SHOWN { shown + "…" } else { shown }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(line: &str) -> Result<String, HandshakeError> {
        parse(line.as_bytes()).map(|address| address.to_string())
    }

    #[test]
    fn lines_of_all_versions_are_understood() {
        for line in [
            "1|1|tcp|127.0.0.1:1234|grpc",
            "1|1|tcp|127.0.0.1:1234|grpc|",
            "1|1|tcp|127.0.0.1:1234|grpc||true",
            "1|1|tcp|127.0.0.1:1234|grpc|\r",
        ] {
            assert_eq!(address(line).as_deref(), Ok("127.0.0.1:1234"), "{line}");
        }
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        use HandshakeError as E;
        let text = |text: &str| text.to_owned();
        for (line, error) in [
            ("hello", E::Garbage(text("hello"))),
            ("", E::Garbage(text(""))),
            ("x|1|tcp|127.0.0.1:1|grpc", E::Garbage(text("x|1|tcp|127.0.0.1:1|grpc"))),
            ("2|1|tcp|127.0.0.1:1|grpc", E::CoreVersion(text("2"))),
            ("1|7|tcp|127.0.0.1:1|grpc", E::AppVersion(text("7"))),
            ("1|1|udp|127.0.0.1:1|grpc", E::Network(text("udp"))),
            ("1|1|tcp|127.0.0.1:1", E::Protocol(text("netrpc"))),
            ("1|1|tcp|127.0.0.1:1|netrpc|", E::Protocol(text("netrpc"))),
            ("1|1|tcp|127.0.0.1:1|grpc|MIIC", E::Certificate),
            ("1|1|tcp|10.0.0.1:1|grpc", E::Address(AddressError::NotLoopback([10, 0, 0, 1].into()))),
            ("1|1|unix|/dev/null|grpc", E::Address(AddressError::NoSocket("/dev/null".into()))),
        ] {
            assert_eq!(address(line), Err(error), "{line}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_printed_makes_it_fail(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }
    }
}
