//! Whether two listeners can listen at once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sidegate_api::Address;

/// Whether a client could mean either address, so that the system would refuse
/// the second one while the first is listened on: the same address, or a
/// wildcard and one of its addresses. Without a look at the system: `[::]` is
/// taken to serve IPv4 too, as it does unless `net.ipv6.bindv6only` is set.
pub fn overlap(one: &Address, other: &Address) -> bool {
    match (one, other) {
        (Address::Tcp(one), Address::Tcp(other)) => overlap_tcp(one, other),
        // Compared by component: `/a//b` and `/a/./b` are `/a/b`.
        (Address::Unix(one), Address::Unix(other)) => one == other,
        _ => false,
    }
}

fn overlap_tcp(one: &SocketAddr, other: &SocketAddr) -> bool {
    // The system gives each port 0 a port of its own.
    one.port() != 0 && one.port() == other.port() && overlap_ip(one, other)
}

fn overlap_ip(one: &SocketAddr, other: &SocketAddr) -> bool {
    match (one.ip().to_canonical(), other.ip().to_canonical()) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            one == other || one == Ipv4Addr::UNSPECIFIED || other == Ipv4Addr::UNSPECIFIED
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            a.is_unspecified() || b.is_unspecified() || (a == b && same_scope(one, other))
        }
        (IpAddr::V6(v6), IpAddr::V4(_)) | (IpAddr::V4(_), IpAddr::V6(v6)) => v6.is_unspecified(),
    }
}

/// A link-local address is another one on each link; 0 is any link.
fn same_scope(one: &SocketAddr, other: &SocketAddr) -> bool {
    let scope = |address: &SocketAddr| match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.scope_id(),
    };
    let (one, other) = (scope(one), scope(other));
    one == other || one == 0 || other == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        // `Address` knows no scopes in text.
        match text.parse::<SocketAddr>() {
            Ok(address) => Address::Tcp(address),
            Err(_) => Address::parse(text).unwrap(),
        }
    }

    #[test]
    fn what_overlaps_and_what_does_not() {
        for (one, other, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "0.0.0.0:80", true),
            ("0.0.0.0:80", "127.0.0.1:81", false),
            ("[::]:80", "[::1]:80", true),
            ("[::1]:80", "[::1]:80", true),
            ("[::1]:80", "[::2]:80", false),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::]:80", "0.0.0.0:80", true),
            ("[::1]:80", "0.0.0.0:80", false),
            ("[::1]:80", "127.0.0.1:80", false),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
            ("[::ffff:127.0.0.1]:80", "0.0.0.0:80", true),
            ("[::ffff:127.0.0.1]:80", "[::]:80", true),
            ("[::ffff:127.0.0.1]:80", "127.0.0.2:80", false),
            ("[::ffff:0.0.0.0]:80", "127.0.0.2:80", true),
            ("[fe80::1%1]:80", "[fe80::1%2]:80", false),
            ("[fe80::1%1]:80", "[fe80::1]:80", true),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("0.0.0.0:0", "127.0.0.1:0", false),
            ("unix:/run/a", "unix:/run/a", true),
            ("unix:/run/a", "unix:/run//./a", true),
            ("unix:/run/a", "unix:/run/b", false),
            ("unix:/run/a", "127.0.0.1:80", false),
        ] {
            let (a, b) = (address(one), address(other));
            assert_eq!((overlap(&a, &b), overlap(&b, &a)), (expected, expected), "{one} and {other}");
        }
    }
}
