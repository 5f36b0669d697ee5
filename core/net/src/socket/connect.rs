//! Connections to others.

use std::io;
use std::os::fd::AsFd;

use sidegate_api::Address;
use tokio::net::{TcpSocket, UnixSocket};

use super::{Raw, Socket};
use crate::shortage::Taker;

/// Connects to `address`. The caller bounds the time. Fails without a packet
/// sent where too few descriptors are left; see [`crate::Shortage`].
pub async fn connect(address: &Address) -> io::Result<Socket> {
    match address {
        Address::Tcp(address) => {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            Taker::Connect.check(socket.as_fd())?;
            let stream = socket.connect(*address).await?;
            stream.set_nodelay(true)?;
            Ok(Socket::new(Raw::Tcp(stream)))
        }
        Address::Unix(path) => {
            let socket = UnixSocket::new_stream()?;
            Taker::Connect.check(socket.as_fd())?;
            socket.connect(path).await.map(|stream| Socket::new(Raw::Unix(stream)))
        }
    }
}
