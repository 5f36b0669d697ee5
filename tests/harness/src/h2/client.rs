//! A client with prior knowledge that keeps the rules.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::Request;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::driver::{Driver, wait};
use super::{H2Error, head};
use crate::{Call, Head, Message, until};

/// A connection. Its streams may be used from any thread.
pub struct H2Client {
    requests: SendRequest<Bytes>,
    ended: Arc<Mutex<Option<Result<(), H2Error>>>>,
    local: SocketAddr,
    /// The last, so that the connection outlives what is above.
    driver: Driver,
}

/// A request that was begun.
pub struct H2Stream {
    handle: Handle,
    sending: SendStream<Bytes>,
    response: ResponseFuture,
    receiving: Option<RecvStream>,
    /// Statuses of the informational responses so far.
    pub interim: Vec<u16>,
}

impl H2Client {
    /// Connects with the crate's settings, push off.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> H2Client {
        Self::connect_with(address, &Builder::new())
    }

    /// The same with settings of the test's.
    #[track_caller]
    pub fn connect_with(address: SocketAddr, settings: &Builder) -> H2Client {
        let driver = Driver::start();
        let mut settings = settings.clone();
        settings.enable_push(false);
        let made = wait(driver.handle(), async move {
            let closed = |error: std::io::Error| H2Error::Closed(error.to_string());
            let socket = TcpStream::connect(address).await.map_err(closed)?;
            socket.set_nodelay(true).map_err(closed)?;
            let local = socket.local_addr().map_err(closed)?;
            Ok((settings.handshake(socket).await?, local))
        });
        let ((requests, connection), local) = made.unwrap_or_else(|why| panic!("cannot connect to {address}: {why}"));
        let ended = Arc::<Mutex<_>>::default();
        driver.handle().spawn(drive(connection, ended.clone()));
        H2Client { requests, ended, local, driver }
    }

    /// Our own address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sends a whole request and reads the whole response. Sends and reads at
    /// once, so that neither waits for the other.
    pub fn try_call(&self, call: &Call) -> Result<Message, H2Error> {
        let mut stream = self.open(call)?;
        if !call.is_bodiless() {
            let mut rest = call.get_body().to_vec();
            let (sending, handle) = (&mut stream.sending, &stream.handle);
            // A peer may answer and reset with no error before it has read all.
            let sent =
                wait(handle, send(sending, Bytes::from(std::mem::take(&mut rest)), call.get_trailers().is_empty()));
            if sent.is_ok() && !call.get_trailers().is_empty() {
                let _ = stream.sending.send_trailers(head::map(call.get_trailers()));
            }
        }
        stream.message()
    }

    /// The same; panics if there is no response.
    #[track_caller]
    pub fn call(&self, call: &Call) -> Message {
        self.try_call(call).unwrap_or_else(|why| panic!("no response: {why}"))
    }

    /// GET with authority `test`.
    #[track_caller]
    pub fn get(&self, path: &str) -> Message {
        self.call(&Call::get(path))
    }

    /// Begins a request: sends its head, which ends the stream if the call has
    /// no body and no trailers. Waits for its turn if the peer allows no more
    /// streams.
    pub fn open(&self, call: &Call) -> Result<H2Stream, H2Error> {
        self.begin(call, call.is_bodiless())
    }

    /// The same, and the stream stays open in any case.
    pub fn open_for_body(&self, call: &Call) -> Result<H2Stream, H2Error> {
        self.begin(call, false)
    }

    fn begin(&self, call: &Call, ended: bool) -> Result<H2Stream, H2Error> {
        let mut request = Request::builder().method(call.get_method()).uri(call.uri()).version(http::Version::HTTP_2);
        *request.headers_mut().expect("a method and a target that can be sent") = head::map(&call.fields());
        let request = request.body(()).unwrap();
        let handle = self.driver.handle().clone();
        let requests = self.requests.clone();
        let (response, sending) = wait(&handle, async move {
            let mut ready = requests.ready().await?;
            Ok(ready.send_request(request, ended)?)
        })?;
        Ok(H2Stream { handle, sending, response, receiving: None, interim: Vec::new() })
    }

    /// How the connection ended, if it has: well, or with an error.
    pub fn ended(&self) -> Option<Result<(), H2Error>> {
        self.ended.lock().unwrap().clone()
    }

    /// Waits for the end of the connection.
    #[track_caller]
    pub fn wait_end(&self) -> Result<(), H2Error> {
        until("the end of an HTTP/2 connection", || self.ended())
    }
}

impl H2Stream {
    /// Number of the stream.
    pub fn id(&self) -> u32 {
        self.response.stream_id().as_u32()
    }

    /// Sends a piece of the body, as the peer's windows allow.
    pub fn send(&mut self, data: impl Into<Vec<u8>>) -> Result<(), H2Error> {
        wait(&self.handle, send(&mut self.sending, Bytes::from(data.into()), false))
    }

    /// Ends the body.
    pub fn finish(&mut self) -> Result<(), H2Error> {
        Ok(self.sending.send_data(Bytes::new(), true)?)
    }

    /// Ends the body with trailers.
    pub fn finish_with(&mut self, trailers: &[(&str, &str)]) -> Result<(), H2Error> {
        let trailers: Vec<_> = trailers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Ok(self.sending.send_trailers(head::map(&trailers))?)
    }

    /// Gives the stream up.
    pub fn reset(&mut self, code: u32) {
        self.sending.send_reset(code.into());
    }

    /// The final response's head; informational ones before it are noted.
    pub fn head(&mut self) -> Result<Head, H2Error> {
        let (response, interim) = (&mut self.response, &mut self.interim);
        let answer = wait(&self.handle, async {
            while let Some(informational) = poll_fn(|cx| response.poll_informational(cx)).await {
                interim.push(informational?.status().as_u16());
            }
            Ok(response.await?)
        })?;
        let (parts, body) = answer.into_parts();
        self.receiving = Some(body);
        Ok(head::of_response(&parts))
    }

    /// The next piece of the response's body, `None` at its end; gives its
    /// window back.
    pub fn data(&mut self) -> Result<Option<Vec<u8>>, H2Error> {
        let receiving = self.receiving.as_mut().expect("read the head first");
        wait(&self.handle, next_data(receiving))
    }

    /// Trailers, once the body has ended.
    pub fn trailers(&mut self) -> Result<Vec<(String, String)>, H2Error> {
        let receiving = self.receiving.as_mut().expect("read the head first");
        let trailers = wait(&self.handle, async { Ok(receiving.trailers().await?) })?;
        Ok(trailers.map(|map| head::pairs(&map)).unwrap_or_default())
    }

    /// The whole response.
    pub fn message(&mut self) -> Result<Message, H2Error> {
        let head = self.head()?;
        let receiving = self.receiving.as_ref().expect("the head was read");
        let length = head.get("content-length").and_then(|text| text.parse().ok());
        let framing = match (receiving.is_end_stream(), length) {
            (true, _) => crate::Framing::None,
            (false, Some(length)) => crate::Framing::Length(length),
            (false, None) => crate::Framing::Chunked,
        };
        let mut body = Vec::new();
        while let Some(data) = self.data()? {
            body.extend_from_slice(&data);
        }
        let trailers = self.trailers()?;
        Ok(Message { head, framing, body, trailers, interim: self.interim.clone() })
    }
}

/// The next piece of a body, with its window given back.
pub(super) async fn next_data(receiving: &mut RecvStream) -> Result<Option<Vec<u8>>, H2Error> {
    let Some(data) = receiving.data().await else { return Ok(None) };
    let data = data?;
    receiving.flow_control().release_capacity(data.len())?;
    Ok(Some(data.to_vec()))
}

/// Sends all of `data` as windows allow.
pub(super) async fn send(sending: &mut SendStream<Bytes>, mut data: Bytes, end: bool) -> Result<(), H2Error> {
    sending.reserve_capacity(data.len());
    loop {
        // Asked once: the connection's thread may give more at any time, and
        // what has room ends the stream below.
        let part = sending.capacity();
        if part >= data.len() {
            break;
        }
        if part > 0 {
            sending.send_data(data.split_to(part), false)?;
            sending.reserve_capacity(data.len());
        }
        match poll_fn(|cx| sending.poll_capacity(cx)).await {
            Some(more) => drop(more?),
            // Reset or closed; the reason is told by whoever asks next.
            None => return Err(poll_fn(|cx| sending.poll_reset(cx)).await.map(|code| H2Error::Reset(code.into()))?),
        }
    }
    Ok(sending.send_data(data, end)?)
}

async fn drive(connection: Connection<TcpStream, Bytes>, ended: Arc<Mutex<Option<Result<(), H2Error>>>>) {
    let outcome = connection.await.map_err(H2Error::from);
    *ended.lock().unwrap() = Some(outcome);
}
