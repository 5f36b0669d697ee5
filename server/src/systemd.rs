//! Telling systemd how far the process is: `sd_notify(3)`, for
//! `Type=notify-reload`.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

/// Where the process tells, if somebody listens.
#[derive(Debug)]
pub(crate) struct Notifier(Option<(UnixDatagram, SocketAddr)>);

impl Notifier {
    /// As the environment says.
    pub(crate) fn from_env() -> Self {
        Self::to(std::env::var_os("NOTIFY_SOCKET"))
    }

    fn to(name: Option<OsString>) -> Self {
        let open = |name: OsString| {
            let address = match name.as_bytes() {
                [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
                _ => SocketAddr::from_pathname(&name),
            };
            let socket = UnixDatagram::unbound()?;
            // Whoever does not read must not keep us.
            socket.set_nonblocking(true)?;
            Ok::<_, std::io::Error>((socket, address?))
        };
        let opened = name.filter(|name| !name.is_empty()).map(open).transpose();
        Notifier(opened.unwrap_or_else(|error| {
            tracing::warn!(%error, "NOTIFY_SOCKET cannot be used");
            None
        }))
    }

    /// Everything listens, or a reload is over.
    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    /// A reload begins.
    pub(crate) fn reloading(&self) {
        // Since the boot, as systemd compares it with when it sent SIGHUP.
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The process drains and ends.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, text: &str) {
        let Some((socket, address)) = &self.0 else { return };
        if let Err(error) = socket.send_to_addr(text.as_bytes(), address) {
            tracing::debug!(%error, text, "systemd was not told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(socket: &UnixDatagram) -> String {
        let mut text = [0; 256];
        let count = socket.recv(&mut text).unwrap();
        String::from_utf8(text[..count].to_vec()).unwrap()
    }

    #[test]
    fn it_tells_by_path_and_by_abstract_name() {
        let path = std::env::temp_dir().join(format!("sidegate-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let abstract_name = format!("sidegate-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        for (socket, name) in [
            (UnixDatagram::bind(&path).unwrap(), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&address).unwrap(), format!("@{abstract_name}").into()),
        ] {
            let notifier = Notifier::to(Some(name));
            notifier.ready();
            notifier.reloading();
            notifier.stopping();
            assert_eq!(receive(&socket), "READY=1");
            let reloading = receive(&socket);
            let micros: u64 = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
            assert!(micros > 0);
            assert_eq!(receive(&socket), "STOPPING=1");
        }
        let _ = std::fs::remove_file(&path);
    }

    #[test]
    fn nobody_who_listens_is_no_trouble() {
        for name in [None, Some(OsString::new()), Some("/nowhere/at/all".into()), Some("@sidegate-nobody".into())] {
            let notifier = Notifier::to(name);
            notifier.ready();
            notifier.stopping();
        }
    }
}
