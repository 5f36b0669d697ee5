//! The `host[:port]` of a request.

use std::net::Ipv6Addr;

/// Checks `authority` and returns the reason if it is none.
///
/// Narrower than RFC 3986 on purpose: percent-encoding and sub-delimiters
/// (`,`, `;`, `'`, …) are no part of names in use, and each is read
/// differently by somebody. Nor are empty labels, which some resolvers refuse
/// and some leave out; the one behind the last dot is the DNS root. A port must
/// be 1 to 65535.
pub(crate) fn check(authority: &str) -> Result<(), &'static str> {
    let port = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or("host_invalid")?;
            address.parse::<Ipv6Addr>().map_err(|_| "host_invalid")?;
            port
        }
        None => match name_len(authority.as_bytes()) {
            0 if authority.is_empty() => return Err("host_empty"),
            0 => return Err("host_invalid"),
            // What ends a name is ASCII, or else no name and no port.
            length => authority.get(length..).ok_or("host_invalid")?,
        },
    };
    match port.strip_prefix(':') {
        Some(port) => check_port(port),
        None if port.is_empty() => Ok(()),
        None => Err("host_invalid"),
    }
}

fn check_port(port: &str) -> Result<(), &'static str> {
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(number) if digits && number != 0 => Ok(()),
        _ => Err("port_invalid"),
    }
}

/// What names consist of. A table, as this runs for each byte of each request's
/// authority.
const IN_NAMES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'-' | b'_' | b'~' | b'.');
        byte += 1;
    }
    table
};

/// How much of `text` is a name; 0 if it has an empty label.
fn name_len(text: &[u8]) -> usize {
    let mut before = 0;
    for (at, &byte) in text.iter().enumerate() {
        if !IN_NAMES[usize::from(byte)] {
            return at;
        }
        if byte == b'.' && before == b'.' {
            return 0;
        }
        before = byte;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_ports() {
        for good in ["a", "A.b-c_d~", "a.", "127.0.0.1:80", "[::1]", "[::1]:65535", "a:1", "a:00080"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", "host_empty"),
            (":80", "host_invalid"),
            ("a,b", "host_invalid"),
            ("a, b", "host_invalid"),
            ("user@a", "host_invalid"),
            ("user:pw@a", "port_invalid"),
            ("a/b", "host_invalid"),
            ("a..", "host_invalid"),
            ("a..:80", "host_invalid"),
            ("a..b", "host_invalid"),
            ("..", "host_invalid"),
            ("a?b", "host_invalid"),
            ("a#b", "host_invalid"),
            ("a b", "host_invalid"),
            ("a\tb", "host_invalid"),
            ("a%40b", "host_invalid"),
            ("é", "host_invalid"),
            ("a:", "port_invalid"),
            ("a:0", "port_invalid"),
            ("a:65536", "port_invalid"),
            ("a:+80", "port_invalid"),
            ("a:80:80", "port_invalid"),
            ("a:b", "port_invalid"),
            ("a:000080", "port_invalid"),
            ("[::1", "host_invalid"),
            ("[]", "host_invalid"),
            ("[fe80::1%eth0]", "host_invalid"),
            ("[v1.a]", "host_invalid"),
            ("[::1]a", "host_invalid"),
            ("[::1]:", "port_invalid"),
        ] {
            assert_eq!(check(bad), Err(why), "{bad}");
        }
    }
}
