//! Why a response is not the upstream's own.

/// Set of reasons for a response that is not the upstream's own. The letters
/// are those that Envoy's users know, where Envoy has the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResponseFlags(u32);

impl ResponseFlags {
    /// No route for the request.
    pub const NO_ROUTE: Self = Self(1);
    /// The cluster has no usable host.
    pub const NO_HEALTHY_UPSTREAM: Self = Self(1 << 1);
    /// Connecting upstream failed.
    pub const UPSTREAM_CONNECT: Self = Self(1 << 2);
    /// The upstream closed or reset while its response was due.
    pub const UPSTREAM_CLOSED: Self = Self(1 << 3);
    /// The upstream answered too late.
    pub const UPSTREAM_TIMEOUT: Self = Self(1 << 4);
    /// The upstream broke the protocol.
    pub const UPSTREAM_PROTOCOL: Self = Self(1 << 5);
    /// A limit of connections or requests was reached.
    pub const OVERFLOW: Self = Self(1 << 6);
    /// The client closed or reset before the end.
    pub const DOWNSTREAM_CLOSED: Self = Self(1 << 7);
    /// The client broke the protocol.
    pub const DOWNSTREAM_PROTOCOL: Self = Self(1 << 8);
    /// The client was too slow.
    pub const DOWNSTREAM_TIMEOUT: Self = Self(1 << 9);
    /// The request was larger than a limit.
    pub const TOO_LARGE: Self = Self(1 << 10);
    /// A filter replied.
    pub const FILTER_REPLY: Self = Self(1 << 11);
    /// A filter faulted.
    pub const FILTER_FAULT: Self = Self(1 << 12);
    /// A filter closed the stream without a reply.
    pub const FILTER_TERMINATED: Self = Self(1 << 13);
    /// The route answers by itself.
    pub const DIRECT_RESPONSE: Self = Self(1 << 14);
    /// The stream did not end within the drain time.
    pub const DRAIN_TIMEOUT: Self = Self(1 << 15);
    /// The proxy itself failed.
    pub const INTERNAL: Self = Self(1 << 16);
    /// Something of the process's own ran short: memory, streams.
    pub const OVERLOAD: Self = Self(1 << 17);
    /// The process or its machine has no descriptor, memory or port for an
    /// upstream connection.
    pub const EXHAUSTED: Self = Self(1 << 18);

    /// Each flag with its short name, in the order in which they are written.
    pub const NAMES: [(Self, &'static str); 19] = [
        (Self::NO_ROUTE, "NR"),
        (Self::NO_HEALTHY_UPSTREAM, "UH"),
        (Self::UPSTREAM_CONNECT, "UF"),
        (Self::UPSTREAM_CLOSED, "UC"),
        (Self::UPSTREAM_TIMEOUT, "UT"),
        (Self::UPSTREAM_PROTOCOL, "UPE"),
        (Self::OVERFLOW, "UO"),
        (Self::DOWNSTREAM_CLOSED, "DC"),
        (Self::DOWNSTREAM_PROTOCOL, "DPE"),
        (Self::DOWNSTREAM_TIMEOUT, "DT"),
        (Self::TOO_LARGE, "TL"),
        (Self::FILTER_REPLY, "FR"),
        (Self::FILTER_FAULT, "FF"),
        (Self::FILTER_TERMINATED, "FT"),
        (Self::DIRECT_RESPONSE, "DR"),
        (Self::DRAIN_TIMEOUT, "DD"),
        (Self::INTERNAL, "IE"),
        (Self::OVERLOAD, "OM"),
        (Self::EXHAUSTED, "RX"),
    ];

    /// Adds `flag`.
    pub fn insert(&mut self, flag: Self) {
        self.0 |= flag.0;
    }

    /// Whether `flag` is set.
    pub fn contains(self, flag: Self) -> bool {
        self.0 & flag.0 == flag.0
    }

    /// The raw bits, as the module ABI carries them.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Short names in a fixed order, comma-separated; `-` if there is none.
    pub fn write_to(self, out: &mut Vec<u8>) {
        let start = out.len();
        for (flag, name) in Self::NAMES {
            if self.contains(flag) {
                if out.len() > start {
                    out.push(b',');
                }
                out.extend_from_slice(name.as_bytes());
            }
        }
        if out.len() == start {
            out.push(b'-');
        }
    }
}
