//! What an HTTP/2 connection offers its peer, and what it puts up with.

use std::time::Duration;

/// Of one connection. Windows, frame size, header list size and concurrent
/// streams are what we announce: they bound what the peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Http2Settings {
    /// Streams that the peer may have open at once. RFC 9113 section 6.5.2
    /// asks for no less than 100; more would let one connection take what
    /// the limits on connections are there to share out.
    pub max_concurrent_streams: u32,
    /// Bytes of one body that may be on the way or wait for their receiver.
    pub stream_window: u32,
    /// The same for all bodies of the connection together. Larger than the
    /// window of a stream, so that one that nobody reads does not stop the
    /// others.
    pub connection_window: u32,
    /// Bytes of a frame's payload: 16 KiB to 16 MiB - 1. Larger ones would
    /// only hold up the other streams.
    pub max_frame_size: u32,
    /// Bytes of a head or trailer section as RFC 9113 section 6.5.2 counts
    /// them: names, values and 32 bytes for each field.
    pub max_header_list_bytes: u32,
    /// Whether a silent peer is asked if it is still there.
    pub keepalive: Option<KeepAlive>,
    /// Age at which the connection takes no more requests and ends when its
    /// last stream does.
    pub max_age: Option<Duration>,
    /// How long streams may go on after that.
    pub age_grace: Duration,
    /// Frames that cost us more than they cost the peer.
    pub frames: FrameLimits,
}

/// Pings to a peer of which nothing is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeepAlive {
    /// Silence after which one is sent.
    pub interval: Duration,
    /// How long it may stay without an answer.
    pub timeout: Duration,
}

/// How many frames of each kind that carry no body a peer may send. The bounds
/// are far above what any client in use does and far below what would be felt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameLimits {
    /// `RST_STREAM`. Every second request may be cancelled on top of this:
    /// clients that hedge do that.
    pub resets: FrameLimit,
    /// Streams that the peer made us reset by breaking the protocol on them.
    pub provoked_resets: FrameLimit,
    /// `PING`. One more for each `DATA` frame that we sent: some peers
    /// measure the bandwidth with them.
    pub pings: FrameLimit,
    /// `SETTINGS`, each of which may touch every stream.
    pub settings: FrameLimit,
    /// `PRIORITY` and kinds of frames that we do not know, such as
    /// `PRIORITY_UPDATE`; four more for each request.
    pub other: FrameLimit,
    /// `WINDOW_UPDATE`. Four more for each request and for each `DATA` frame
    /// of some size that we sent: clients in use send two at most, but one
    /// byte of window at a time makes us send one byte at a time.
    pub window_updates: FrameLimit,
    /// `DATA` without bytes that does not end its stream.
    pub empty_data: FrameLimit,
    /// `HEADERS` from a host. Three more for each request: the response's, one
    /// before it and one behind it. Informational ones are kept until somebody
    /// takes them, who may have to wait for a client.
    pub headers: FrameLimit,
    /// `CONTINUATION` frames in a row; see [`Self::continuations_for`].
    pub continuations: u32,
}

/// A header list of the default size fits into four frames of the default size;
/// peers that send smaller ones may.
const LEAST_CONTINUATIONS: u32 = 32;

/// A bound in frames per time that lets bursts pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameLimit {
    /// So many at once.
    pub burst: u32,
    /// And so many each second in the long run.
    pub per_second: u32,
}

impl KeepAlive {
    /// For `timeout` where only an interval is given.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
}

impl Http2Settings {
    /// Towards clients. Whoever uploads to a host that takes nothing has us
    /// hold the window: 1 MiB for a connection, a quarter of it for a stream,
    /// is what 20 MB/s take at 50 ms, and what one client may cost.
    pub const fn downstream() -> Self {
        Http2Settings {
            max_concurrent_streams: 100,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            max_frame_size: 16_384,
            max_header_list_bytes: 64 * 1024,
            keepalive: None,
            max_age: None,
            age_grace: Duration::from_secs(10),
            frames: FrameLimits::new(),
        }
    }

    /// Towards hosts, which are trusted more and of which there are fewer:
    /// one connection carries the responses of many clients. The smallest
    /// windows that hold nothing up at 10 KiB and hundreds of streams.
    pub const fn upstream() -> Self {
        Http2Settings { stream_window: 1024 * 1024, connection_window: 16 * 1024 * 1024, ..Self::downstream() }
    }
}

impl Default for Http2Settings {
    fn default() -> Self {
        Self::downstream()
    }
}

impl FrameLimits {
    /// Bounds that honest peers do not meet.
    pub const fn new() -> Self {
        const fn limit(burst: u32, per_second: u32) -> FrameLimit {
            FrameLimit { burst, per_second }
        }
        FrameLimits {
            resets: limit(200, 20),
            provoked_resets: limit(200, 20),
            pings: limit(200, 20),
            settings: limit(50, 2),
            other: limit(500, 50),
            window_updates: limit(2000, 1000),
            empty_data: limit(100, 10),
            headers: limit(1000, 100),
            continuations: LEAST_CONTINUATIONS,
        }
    }

    /// `CONTINUATION` frames in a row that a header list of so many bytes may
    /// take in frames of so many: a quarter more than it fills, and no less than
    /// small pieces need.
    pub const fn continuations_for(header_list_bytes: u32, frame_size: u32) -> u32 {
        let whole = header_list_bytes.div_ceil(frame_size);
        let some_more = whole + whole.div_ceil(4);
        if some_more > LEAST_CONTINUATIONS { some_more } else { LEAST_CONTINUATIONS }
    }
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self::new()
    }
}
