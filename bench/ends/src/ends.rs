//! The event loop over both ends.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use rustix::net::listen;

use crate::client::{Client, Turn};
use crate::clock::Arrivals;
use crate::origin::{Life, OriginConnection, Replies};
use crate::plan::Plan;
use crate::poller::{Poller, Wait, Waker, Woken};
use crate::report::{Latencies, Report};
use crate::stalled::Crowd;
use crate::tls::Tls;

/// Larger than a 10 KiB reply with its head, so that it is one read.
const BUFFER: usize = 64 * 1024;
/// With a record that came in part before, no more than a buffer.
const RECORDS: usize = 32 * 1024;
const BACKLOG: i32 = 4096;
/// Connections that break in a row before a run is given up.
const MAX_BROKEN: u64 = 1000;
/// How long replies may take to come when no more requests are sent.
const PATIENCE: Duration = Duration::from_secs(2);

const LISTENER: u64 = 0;
/// Tokens are a kind and a place; generations of clients tell late events of
/// a former run.
const ORIGIN: u64 = 1 << 32;
const CLIENT: u64 = 2 << 32;
const KIND: u64 = 3 << 32;

/// Both ends of proxies.
pub(crate) struct Ends {
    poller: Poller,
    listener: TcpListener,
    replies: Replies,
    origin: Vec<Option<OriginConnection>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
    /// What clients of TLS have read and not decrypted.
    records: Vec<u8>,
    ready: Vec<u64>,
}

/// The clients of a run.
struct Run<'p> {
    plan: &'p Plan,
    tls: Option<Tls>,
    crowd: Crowd,
    requests: Vec<Vec<u8>>,
    next_request: usize,
    clients: Vec<Client>,
    /// Of the open loop: those without a request.
    idle: Vec<usize>,
    /// Of the open loop: when requests were due that found no idle client.
    waiting: VecDeque<Instant>,
    counts_from: Instant,
    counts_to: Instant,
    latencies: Latencies,
    errors: u64,
    queued: u64,
    busy: Duration,
    in_flight: usize,
    full: u64,
    resumed: u64,
}

impl Ends {
    pub(crate) fn new() -> io::Result<Ends> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listen(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        let poller = Poller::new()?;
        poller.add(&listener, LISTENER)?;
        let (origin, free) = (Vec::new(), Vec::new());
        Ok(Ends {
            poller,
            listener,
            replies: Replies::new(),
            origin,
            free,
            buffer: vec![0; BUFFER],
            records: vec![0; RECORDS],
            ready: Vec::new(),
        })
    }

    pub(crate) fn origin_port(&self) -> io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    pub(crate) fn waker(&self) -> io::Result<Waker> {
        Ok(self.poller.waker())
    }

    /// Is the origin until a waker is used.
    pub(crate) fn serve(&mut self) -> io::Result<()> {
        while self.turn(Wait::ForEver, None)? == Woken::No {}
        Ok(())
    }

    /// Makes the requests of `plan`.
    pub(crate) fn run(&mut self, plan: &Plan) -> io::Result<Report> {
        let tls = plan.tls.as_ref().map(Tls::new).transpose()?;
        let crowd = Crowd::gather(plan, tls.as_ref())?;
        let start = Instant::now();
        let counts_from = start + Duration::from_secs_f64(plan.settle_seconds);
        let mut run = Run {
            plan,
            tls,
            crowd,
            requests: plan.requests(),
            next_request: 0,
            clients: Vec::with_capacity(plan.connections),
            idle: Vec::with_capacity(plan.connections),
            waiting: VecDeque::new(),
            counts_from,
            counts_to: counts_from + Duration::from_secs_f64(plan.seconds),
            latencies: Latencies::default(),
            errors: 0,
            queued: 0,
            busy: Duration::ZERO,
            in_flight: 0,
            full: 0,
            resumed: 0,
        };
        for place in 0..plan.connections {
            let client = Client::connect(plan.port, run.tls.as_ref())?;
            self.poller.add(&client.link.socket, CLIENT | place as u64)?;
            run.clients.push(client);
        }
        match plan.rate {
            Some(rate) => self.open_loop(&mut run, rate)?,
            None => self.closed_loop(&mut run)?,
        }
        let requests = run.latencies.count() as u64;
        Ok(Report {
            requests,
            rps: requests as f64 / plan.seconds,
            errors: run.errors,
            p50_us: run.latencies.quantile(0.5),
            p99_us: run.latencies.quantile(0.99),
            p999_us: run.latencies.quantile(0.999),
            queued: run.queued,
            busy: run.busy.as_secs_f64() / plan.seconds,
            full: run.full,
            resumed: run.resumed,
            stalled: run.crowd.len(),
        })
    }

    fn closed_loop(&mut self, run: &mut Run<'_>) -> io::Result<()> {
        for place in 0..run.clients.len() {
            run.send(place, Instant::now());
        }
        while Instant::now() < run.counts_to {
            self.turn(Wait::AtMost(Duration::from_millis(100)), Some(run))?;
        }
        Ok(())
    }

    fn open_loop(&mut self, run: &mut Run<'_>, rate: f64) -> io::Result<()> {
        run.idle.extend(0..run.clients.len());
        let mut arrivals = Arrivals::new(Instant::now(), rate);
        let mut before = Instant::now();
        loop {
            let now = Instant::now();
            if !self.ready.is_empty() && (run.counts_from..run.counts_to).contains(&now) {
                run.busy += now - before;
            }
            before = now;
            if now < run.counts_to {
                while let Some(due) = arrivals.due(now) {
                    run.arrive(due);
                }
                run.crowd.arrive((now.saturating_duration_since(run.counts_from)).as_secs_f64() / run.plan.seconds)?;
            } else if run.in_flight == 0 || now > run.counts_to + PATIENCE {
                run.errors += run.in_flight as u64;
                return Ok(());
            }
            self.turn(Wait::No, Some(run))?;
        }
    }

    /// One look at what became possible.
    fn turn(&mut self, wait: Wait, mut run: Option<&mut Run<'_>>) -> io::Result<Woken> {
        let mut ready = std::mem::take(&mut self.ready);
        let woken = self.poller.wait(wait, &mut ready)?;
        for &token in &ready {
            let place = (token & !KIND) as usize;
            match token & KIND {
                ORIGIN => self.origin_turn(place),
                CLIENT => {
                    if let Some(run) = run.as_deref_mut() {
                        run.turn(place, &self.poller, &mut self.buffer, &mut self.records)?;
                    }
                }
                _ => self.accept()?,
            }
        }
        self.ready = ready;
        Ok(woken)
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or(self.origin.len());
            if place == self.origin.len() {
                self.origin.push(None);
            }
            self.poller.add(&socket, ORIGIN | place as u64)?;
            self.origin[place] = Some(OriginConnection::new(socket));
        }
    }

    fn origin_turn(&mut self, place: usize) {
        let Some(connection) = &mut self.origin[place] else { return };
        if connection.turn(&self.replies, &mut self.buffer) == Life::Over {
            self.origin[place] = None;
            self.free.push(place);
        }
    }
}

impl Run<'_> {
    fn send(&mut self, place: usize, since: Instant) {
        let which = self.next_request;
        self.next_request = (which + 1) % self.requests.len();
        self.in_flight += 1;
        // A break shows when the connection is read.
        let _ = self.clients[place].request(&self.requests, which, since);
    }

    /// A request of the open loop is due.
    fn arrive(&mut self, due: Instant) {
        match self.idle.pop() {
            Some(place) => self.send(place, due),
            None => {
                self.queued += 1;
                self.waiting.push_back(due);
            }
        }
    }

    fn turn(&mut self, place: usize, poller: &Poller, buffer: &mut [u8], records: &mut [u8]) -> io::Result<()> {
        let Some(client) = self.clients.get_mut(place) else { return Ok(()) };
        let busy = client.is_busy();
        match client.turn(&self.requests, buffer, records) {
            Turn::Waiting => return Ok(()),
            Turn::Replied { status, since } => {
                self.in_flight -= 1;
                let now = Instant::now();
                if (self.counts_from..self.counts_to).contains(&now) {
                    self.latencies.add(now - since);
                    self.errors += u64::from(!(200..300).contains(&status));
                }
                if self.plan.close {
                    match self.clients[place].link.resumed() {
                        Some(true) => self.resumed += 1,
                        Some(false) => self.full += 1,
                        None => {}
                    }
                    self.reconnect(place, poller)?;
                }
            }
            // The proxy may close what is idle; its place among the idle stays.
            Turn::Broken if !busy => return self.reconnect(place, poller),
            Turn::Broken => {
                self.in_flight -= 1;
                self.errors += 1;
                if self.errors > MAX_BROKEN {
                    return Err(io::Error::other("connections break one after another"));
                }
                self.reconnect(place, poller)?;
            }
        }
        if self.plan.rate.is_none() {
            self.send(place, Instant::now());
        } else if let Some(due) = self.waiting.pop_front() {
            self.send(place, due);
        } else {
            self.idle.push(place);
        }
        Ok(())
    }

    fn reconnect(&mut self, place: usize, poller: &Poller) -> io::Result<()> {
        let client = Client::connect(self.plan.port, self.tls.as_ref())?;
        poller.add(&client.link.socket, CLIENT | place as u64)?;
        self.clients[place] = client;
        Ok(())
    }
}
