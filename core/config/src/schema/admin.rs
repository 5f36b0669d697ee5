//! `admin`.

use super::{Object, Rule, Shape, key, own, required, warned};

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
        warned("access_log_path", "MOSN ignores it too"),
        warned("profile_path", "MOSN ignores it too"),
    ],
);

pub(crate) static ADMIN_ADDRESS: Object = Object::new(
    "admin_address",
    "`admin.address`.",
    &[
        key("socket_address", Shape::Object(&SOCKET_ADDRESS), "", "IP address and port."),
        own("unix", Shape::Name, "", "Path of a Unix socket; only the process's user can connect."),
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
