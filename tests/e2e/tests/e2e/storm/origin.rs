//! An origin that remembers nothing, so that hours of load do not fill the
//! test's memory.

use std::net::{SocketAddr, TcpListener, TcpStream};

use sidegate_harness::Wire;

/// Answers with the body it got, and with the request's `x-stamp` as
/// `x-origin-stamp`; after an upgrade it sends back whatever comes. Ends with
/// the test's process.
pub fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(stream: TcpStream) {
    let mut wire = Wire::over(stream);
    // Pooled connections are idle between bursts.
    wire.set_patience(std::time::Duration::from_secs(600));
    while let Ok(request) = wire.try_request() {
        if request.header("upgrade").is_some() {
            let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
            if wire.try_send(switch).is_ok() {
                send_back(wire);
            }
            return;
        }
        let stamp = request.header("x-stamp").unwrap_or("none");
        let length = request.body.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nX-Origin-Stamp: {stamp}\r\n\r\n");
        if wire.try_send([head.as_bytes(), &request.body].concat()).is_err() {
            return;
        }
    }
}

fn send_back(mut wire: Wire) {
    while let Ok(bytes) = wire.read_some() {
        if wire.try_send(bytes).is_err() {
            return;
        }
    }
}
