//! A set of addresses that is asked once per request.

use std::net::IpAddr;

use ipnet::IpNet;

/// Addresses as sorted ranges that do not touch: a look-up is a binary search
/// however many networks there were.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Ranges {
    /// The addresses of all `networks`.
    pub(super) fn new(networks: impl IntoIterator<Item = IpNet>) -> Ranges {
        let mut ranges = Ranges::default();
        for network in networks {
            match network {
                IpNet::V4(net) => ranges.v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => {
                    let (first, last) = (net.network(), net.broadcast());
                    // Clients are compared in their shorter form.
                    if let (Some(first), Some(last)) = (first.to_ipv4_mapped(), last.to_ipv4_mapped()) {
                        ranges.v4.push((first.to_bits(), last.to_bits()));
                    }
                    ranges.v6.push((first.to_bits(), last.to_bits()));
                }
            }
        }
        ranges.v4 = merged(ranges.v4);
        ranges.v6 = merged(ranges.v6);
        ranges
    }

    /// Whether `address` is one of them; `::ffff:10.0.0.1` is `10.0.0.1`.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => has(&self.v4, address.to_bits()),
            IpAddr::V6(address) => has(&self.v6, address.to_bits()),
        }
    }
}

fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Vec<(T, T)> {
    ranges.sort_unstable();
    let mut out: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match out.last_mut() {
            Some((_, end)) if first <= *end => *end = (*end).max(last),
            _ => out.push((first, last)),
        }
    }
    out
}

fn has<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after > 0 && ranges[after - 1].1 >= address
}
