//! Where plugins listen: on loopback or at a Unix socket, nowhere else.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, lstat};
use rustix::process::geteuid;

/// Where a plugin listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PluginAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Why an address is none for a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("expected `unix:/path`, or a loopback address with a port such as `127.0.0.1:9000`")]
    Unknown,
    #[error("{0} is not loopback, and what goes to plugins is not encrypted")]
    NotLoopback(IpAddr),
    #[error("{} is no Unix socket", .0.display())]
    NoSocket(PathBuf),
    #[error("the socket {} belongs to user {owner}, not to user {own} who runs this process", .path.display())]
    Foreign { path: PathBuf, owner: u32, own: u32 },
    #[error("cannot look at the socket {}: {why}", .path.display())]
    Unseen { path: PathBuf, why: String },
}

impl PluginAddress {
    /// As configurations have it.
    pub(crate) fn parse(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') && !path.contains('\0') => Ok(PluginAddress::Unix(path.into())),
            Some(_) => Err(AddressError::Unknown),
            None => Self::tcp(text),
        }
    }

    /// A loopback address and port.
    pub(crate) fn tcp(text: &str) -> Result<Self, AddressError> {
        let address = match text.strip_prefix("localhost:") {
            Some(port) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port.parse().map_err(|_| AddressError::Unknown)?),
            None => text.parse::<SocketAddr>().map_err(|_| AddressError::Unknown)?,
        };
        if address.port() == 0 {
            return Err(AddressError::Unknown);
        }
        if !address.ip().to_canonical().is_loopback() {
            return Err(AddressError::NotLoopback(address.ip()));
        }
        Ok(PluginAddress::Tcp(address))
    }

    /// A Unix socket that our own user made.
    pub(crate) fn own_socket(path: &Path) -> Result<Self, AddressError> {
        if !path.is_absolute() {
            return Err(AddressError::NoSocket(path.to_path_buf()));
        }
        let stat =
            lstat(path).map_err(|error| AddressError::Unseen { path: path.to_path_buf(), why: error.to_string() })?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
            return Err(AddressError::NoSocket(path.to_path_buf()));
        }
        let own = geteuid().as_raw();
        if stat.st_uid != own {
            return Err(AddressError::Foreign { path: path.to_path_buf(), owner: stat.st_uid, own });
        }
        Ok(PluginAddress::Unix(path.to_path_buf()))
    }
}

impl fmt::Display for PluginAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PluginAddress::Tcp(address) => write!(f, "{address}"),
            PluginAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_sockets_are_addresses() {
        let shown = |text: &str| PluginAddress::parse(text).map(|address| address.to_string());
        for text in ["127.0.0.1:80", "127.9.9.9:1", "[::1]:65535", "unix:/a/b"] {
            assert_eq!(shown(text), Ok(text.to_owned()));
        }
        assert_eq!(shown("localhost:80").as_deref(), Ok("127.0.0.1:80"));
        assert!(shown("[::ffff:127.0.0.1]:80").is_ok());
        for text in ["", "unix:", "unix:a", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", "localhost", "example.com:80"] {
            assert_eq!(shown(text), Err(AddressError::Unknown), "{text}");
        }
        for text in ["0.0.0.0:80", "10.0.0.1:80", "[::]:80", "[::ffff:10.0.0.1]:80"] {
            assert!(matches!(shown(text), Err(AddressError::NotLoopback(_))), "{text}");
        }
    }

    #[test]
    fn a_socket_has_to_be_one_and_ours() {
        let path = std::env::temp_dir().join(format!("sidegate-address-{}", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(PluginAddress::own_socket(&path), Ok(PluginAddress::Unix(path.clone())));
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(PluginAddress::own_socket(&path), Err(AddressError::Unseen { .. })));
        assert!(matches!(PluginAddress::own_socket(Path::new("/dev/null")), Err(AddressError::NoSocket(_))));
        assert!(matches!(PluginAddress::own_socket(Path::new("relative")), Err(AddressError::NoSocket(_))));
    }
}
