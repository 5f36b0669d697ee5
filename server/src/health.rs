//! `sidegate health`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use sidegate_api::{Address, shown};
use sidegate_config::{ConfigErrors, ConfigFile};

use crate::admin_client::{AdminAddress, Call, CallError};
use crate::cli::HealthArgs;
use crate::output::{Output, complain};

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
enum HealthError {
    #[error(transparent)]
    Config(ConfigErrors),
    #[error("{config}: no admin interface that could be asked; name one with --admin")]
    NoAdmin { config: String },
    #[error("{config}: the admin interface has port 0, which only the process knows; name the real one with --admin")]
    AnyPort { config: String },
    #[error(transparent)]
    Call(#[from] CallError),
}

pub(crate) fn health(args: &HealthArgs, output: &mut Output) -> ExitCode {
    match ask(args) {
        Ok((200, said)) => {
            output.print(&said);
            ExitCode::SUCCESS
        }
        Ok((status, said)) => {
            complain(&format_args!("{status}: {said}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Status and first line of the answer.
fn ask(args: &HealthArgs) -> Result<(u16, String), HealthError> {
    let address = match (&args.admin, &args.config) {
        (Some(address), _) => address.clone(),
        (None, Some(config)) => of_config(config)?,
        // The command line has one of them.
        (None, None) => return Err(HealthError::NoAdmin { config: "the command line".to_owned() }),
    };
    let path = if args.live { "/live" } else { "/ready" };
    let patience = Duration::from_secs(args.timeout.into());
    let answer = address.call(&Call { method: "GET", path, token: None, body: b"", patience })?;
    let said = String::from_utf8_lossy(&answer.body).lines().next().map(|line| shown(line).into_owned());
    Ok((answer.status, said.unwrap_or_default()))
}

/// Where the configuration has its admin interface, whatever else it says.
fn of_config(config: &Path) -> Result<AdminAddress, HealthError> {
    let file = ConfigFile::read(config).map_err(HealthError::Config)?;
    let config = config.display().to_string();
    match file.admin_address() {
        Some(Address::Unix(path)) => Ok(AdminAddress::Unix(path)),
        Some(Address::Tcp(address)) if address.port() == 0 => Err(HealthError::AnyPort { config }),
        Some(Address::Tcp(address)) => Ok(AdminAddress::Tcp(reachable(address).to_string())),
        None => Err(HealthError::NoAdmin { config }),
    }
}

/// What is bound to all addresses is reached at loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_reached_at_loopback() {
        for (bound, asked) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("127.0.0.2:1", "127.0.0.2:1"),
            ("192.0.2.1:1", "192.0.2.1:1"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), asked);
        }
    }
}
