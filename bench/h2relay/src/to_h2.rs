//! HTTP/2 to HTTP/2, over a few connections.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use h2::server::SendResponse;
use http::Request;
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use crate::{CONNECTION_WINDOW, Failure, STREAM_WINDOW, body};

/// What the origin allows; a connection that is full is left alone.
const STREAMS: usize = 128;

pub(crate) struct Pool {
    origin: u16,
    connections: RefCell<Vec<Shared>>,
}

#[derive(Clone)]
struct Shared {
    requests: SendRequest<Bytes>,
    streams: Rc<Cell<usize>>,
}

/// A stream's place on its connection.
struct Place(Rc<Cell<usize>>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Pool {
    pub(crate) fn new(origin: u16) -> Pool {
        Pool { origin, connections: RefCell::new(Vec::new()) }
    }

    async fn take(&self) -> Result<(SendRequest<Bytes>, Place), Failure> {
        let free = self.connections.borrow().iter().find(|known| known.streams.get() < STREAMS).cloned();
        let shared = match free {
            Some(free) => free,
            None => self.connect().await?,
        };
        shared.streams.set(shared.streams.get() + 1);
        let place = Place(shared.streams);
        Ok((shared.requests.ready().await?, place))
    }

    async fn connect(&self) -> Result<Shared, Failure> {
        let socket = TcpStream::connect(("127.0.0.1", self.origin)).await?;
        socket.set_nodelay(true)?;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
        let (requests, connection) = builder.enable_push(false).handshake(socket).await?;
        spawn_local(connection);
        let shared = Shared { requests, streams: Rc::default() };
        self.connections.borrow_mut().push(shared.clone());
        Ok(shared)
    }
}

pub(crate) async fn relay(
    pool: &Pool,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Result<(), Failure> {
    let (head, upload) = request.into_parts();
    let ended = upload.is_end_stream();
    let (mut requests, _place) = pool.take().await?;
    let (response, stream) = requests.send_request(Request::from_parts(head, ()), ended)?;
    if !ended {
        body::relay(upload, stream).await?;
    }
    let (head, download) = response.await?.into_parts();
    let ended = download.is_end_stream();
    let stream = respond.send_response(http::Response::from_parts(head, ()), ended)?;
    if !ended {
        body::relay(download, stream).await?;
    }
    Ok(())
}
