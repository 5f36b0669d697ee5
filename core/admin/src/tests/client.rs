//! A running server, and a client that sends exactly the bytes it is told.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use sidegate_api::Address;
use tokio::sync::oneshot;

use super::fake::Fake;
use crate::{AdminAccess, AdminServer, AdminToken, LiveEdit, SocketMode};

pub(super) struct Running {
    address: Address,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

pub(super) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    head: String,
}

impl Answer {
    /// The body, put together if it came in chunks.
    pub(super) fn whole_body(&self) -> String {
        if self.header("transfer-encoding") != Some("chunked") {
            return self.body.clone();
        }
        let (mut whole, mut rest) = (String::new(), self.body.as_str());
        loop {
            let (size, after) = rest.split_once("\r\n").unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            whole.push_str(&after[..size]);
            rest = after[size..].strip_prefix("\r\n").unwrap();
            if size == 0 {
                assert_eq!(rest, "");
                return whole;
            }
        }
    }

    /// Value of the header called `name` (lower case).
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Running {
    pub(super) fn start(source: Arc<Fake>, token: Option<&str>) -> Self {
        Self::start_on(&Address::parse("127.0.0.1:0").unwrap(), source, token)
    }

    pub(super) fn start_on(address: &Address, source: Arc<Fake>, token: Option<&str>) -> Self {
        let server = AdminServer::bind(address, SocketMode::default()).unwrap();
        let address = server.local_address().clone();
        let token = token.map(|token| AdminToken::new(token).unwrap());
        let access =
            AdminAccess { token, hosts: vec!["admin.example".to_owned()], live_edit: LiveEdit::for_own_user() };
        let (shutdown, on_shutdown) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let shutdown = async { on_shutdown.await.unwrap_or(()) };
            runtime.block_on(server.run(source, access, shutdown)).unwrap();
        });
        Running { address, shutdown: Some(shutdown), thread: Some(thread) }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn connect(&self) -> Box<dyn Stream> {
        let patience = Some(Duration::from_secs(30));
        match &self.address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(patience).unwrap();
                Box::new(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(patience).unwrap();
                Box::new(stream)
            }
        }
    }

    /// Sends `request` on a connection of its own and reads all that comes.
    pub(super) fn send(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        // A refused request's rest may meet a closed connection.
        let _ = stream.write_all(request.as_bytes());
        let mut bytes = Vec::new();
        if let Err(error) = stream.read_to_end(&mut bytes) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        }
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// Ends the server and waits for it.
    pub(super) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.shutdown.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
