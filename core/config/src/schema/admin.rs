//! `admin`.

use super::{Object, Rule, Shape, key, own, required, warned};

/// The host part of a URL, if it is a name.
const HOST_NAME: &str = "^[A-Za-z0-9._-]+$";

pub(super) const SOCKET_MODE: &str = "^0?[0-7]{3}$";

pub(crate) static ADMIN: Object = Object::new(
    "admin",
    "`admin`: where the admin interface listens.",
    &[
        required(
            "address",
            Shape::Object(&ADMIN_ADDRESS),
            "an object with `socket_address` or `unix`",
            "Where it listens.",
        ),
        own(
            "token",
            Shape::Pattern("^[!-~]+$"),
            "changing calls from loopback alone",
            "Opens changing calls from elsewhere, which then must carry it. Visible ASCII without blanks.",
        ),
        own(
            "hosts",
            Shape::Array(&Shape::Pattern(HOST_NAME)),
            "`localhost` and IP addresses alone",
            "Further names, without port, under which others than probes and scrapers may call it. Web pages that make \
             a name of their own point here are told apart by it.",
        ),
        own(
            "live_edit",
            Shape::Bool,
            "`false`",
            "Let hosts of clusters be added, removed, weighed and drained here while the process runs, until the next \
             reload. Needs the token, or a Unix socket and its process's user.",
        ),
        warned("access_log_path", "MOSN ignores it too"),
        warned("profile_path", "MOSN ignores it too"),
    ],
);

pub(crate) static ADMIN_ADDRESS: Object = Object::new(
    "admin_address",
    "`admin.address`.",
    &[
        key("socket_address", Shape::Object(&SOCKET_ADDRESS), "", "IP address and port."),
        own("unix", Shape::Name, "", "Path of a Unix socket."),
        own(
            "mode",
            Shape::Pattern(SOCKET_MODE),
            "`\"0600\"`: the process's user alone",
            "Permission bits of the Unix socket, octal, as a string: whoever may write to it may connect, and change \
             things.",
        ),
    ],
)
.rules(&[Rule::ExactlyOne(&["socket_address", "unix"])]);

pub(crate) static SOCKET_ADDRESS: Object = Object::new(
    "socket_address",
    "`admin.address.socket_address`.",
    &[
        key("address", Shape::Text, "all IPv4 addresses", "An IP address or `localhost`."),
        required("port_value", Shape::Integer(0, 65_535), "a port", "0 takes a free one."),
    ],
);
