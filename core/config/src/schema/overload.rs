//! `overload`.

use super::{MAX_SIZE, NUMBER, Object, Shape, own};

/// Bytes, a share of what there is, or no limit.
const AMOUNT: Shape = Shape::Either(&[Shape::Integer(0, MAX_SIZE), Shape::Pattern("^(off|[1-9][0-9]?%|100%)$")]);
/// Percent of a limit; 0: never.
const THRESHOLD: Shape = Shape::Integer(0, 100);

pub(crate) static OVERLOAD: Object = Object::new(
    "overload",
    "`overload`: what the process may use, and what it does when it comes near to that. Limits are on by default; 0 or \
     `\"off\"` is no limit. The chapter on overload tells the whole story.",
    &[
        own(
            "memory",
            AMOUNT,
            "`\"80%\"`",
            "Resident bytes of the process, modules included. A share is one of the least limit of its control groups, or \
             of the machine's memory, and 32 MiB at least.",
        ),
        own(
            "buffered_bytes",
            AMOUNT,
            "`\"40%\"`",
            "Bytes that the proxy holds: bodies for filters, bytes kept for another attempt, output that waits. Counted \
             before the memory is there. A share is one of the limit of `memory`. A sixteenth is kept for streams that hold \
             at most 64 KiB.",
        ),
        own("connections", Shape::Object(&OVERLOAD_CONNECTIONS), "", "Connections of clients."),
        own(
            "descriptors",
            AMOUNT,
            "`\"90%\"`",
            "Open descriptors from which on nothing is accepted. A share is one of the process's limit (`ulimit -n`; the soft \
             limit is raised to the hard one).",
        ),
        own("streams", NUMBER, "100000", "Streams in progress; 503 above."),
        own("pending_filters", NUMBER, "10000", "Streams that wait for a filter; 503 above."),
        own("actions", Shape::Object(&OVERLOAD_ACTIONS), "", "When relief begins."),
    ],
);

pub(crate) static OVERLOAD_CONNECTIONS: Object = Object::new(
    "overload_connections",
    "`overload.connections`. At `total` and `per_listener` new connections wait in the queue of the socket.",
    &[
        own("total", NUMBER, "100000", "All connections of clients."),
        own("per_listener", NUMBER, "no limit", "Those of each listener."),
        own(
            "per_client",
            NUMBER,
            "no limit",
            "Those from one IP address; further ones are closed at once. Beside a sidecar all local traffic has one \
             address, 127.0.0.1: leave this off there.",
        ),
    ],
);

pub(crate) static OVERLOAD_ACTIONS: Object = Object::new(
    "overload_actions",
    "`overload.actions`: the pressure, in percent of a limit, from which on each action runs; it ends 5 below. 0: never. \
     None may begin before the one above it.",
    &[
        own(
            "close_idle",
            THRESHOLD,
            "80",
            "Of `memory`, `connections.total` and `descriptors`: close idle connections of clients and to hosts, oldest \
             first.",
        ),
        own("shrink_buffers", THRESHOLD, "85", "Of `memory`: give back memory that is kept for speed."),
        own(
            "reset_streams",
            THRESHOLD,
            "90",
            "Of `memory` and `buffered_bytes`: reset the streams that hold most bytes (503 where no response has begun). Of \
             `memory`: let no stream hold more than 64 KiB.",
        ),
        own("stop_accepting", THRESHOLD, "95", "Of `memory`: leave new connections in the queues of their sockets."),
        own("refuse_streams", THRESHOLD, "98", "Of `memory`: answer new streams with 503 and close their connections."),
    ],
);
