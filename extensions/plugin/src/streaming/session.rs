//! The call that carries the streams of one use of a plugin from one worker, on
//! that worker: made anew for as long as there is that use.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use http::uri::PathAndQuery;
use prost::Message;
use sidegate_proto::v1;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use super::known::{Known, Speaks};
use super::order::{Order, Reply, Word};
use super::settings::StreamingSettings;
use super::table::Table;
use crate::call::{Failure, shown};
use crate::connection::Connection;
use crate::link::Link;
use crate::own::Own;
use crate::plugin::Shared;

const DESCRIBE: PathAndQuery = PathAndQuery::from_static("/sidegate.plugin.v1.Plugin/Describe");
const PROCESS: PathAndQuery = PathAndQuery::from_static("/sidegate.plugin.v1.Plugin/Process");
/// What the host knows of the protocol beyond version 1.
const MINOR: u32 = 0;
/// Time for a program to say what it is.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after a call that ended while its connection did not.
const PAUSE: Duration = Duration::from_millis(50);
/// A plugin that reads nothing for so long, though there is something, hangs; a
/// longer timeout of its calls holds here too.
const UNREAD: Duration = Duration::from_secs(10);
/// How long the ends of streams wait for other events to go with: alone each
/// would cost a message, and wake the plugin for what it need not know at once.
const LINGER: Duration = Duration::from_millis(5);
/// Time for a plugin to end its side of a call that is no longer of use.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Orders that are taken at once.
const ORDERS: usize = 64;
/// Bytes of a message, about: what is there is sent together up to here.
const BATCH: usize = 128 << 10;
/// Messages that wait for the connection.
const MESSAGES: usize = 2;
/// Bytes of a message from a plugin.
const MAX_MESSAGE: usize = 64 << 20;

/// One use's side of the protocol.
#[derive(Debug)]
pub(crate) struct Session {
    plugin: Arc<Shared>,
    settings: Arc<StreamingSettings>,
    timeout: Duration,
    known: Arc<Known>,
    orders: mpsc::UnboundedReceiver<Order>,
    /// Taken and not carried out yet.
    waiting: VecDeque<Order>,
    links: watch::Receiver<Link>,
    own: Own,
    table: Table,
}

/// Why nothing goes on with a connection.
enum End {
    /// There is no use any more.
    Unused,
    Lost(Failure),
}

impl Session {
    pub(crate) fn new(
        plugin: Arc<Shared>,
        settings: Arc<StreamingSettings>,
        timeout: Duration,
        known: Arc<Known>,
        orders: mpsc::UnboundedReceiver<Order>,
    ) -> Self {
        let links = plugin.links();
        let (waiting, own, table) = (VecDeque::new(), Own::default(), Table::default());
        Session { plugin, settings, timeout, known, orders, waiting, links, own, table }
    }

    /// Ends with its use.
    pub(crate) async fn run(mut self) {
        while let Some(connection) = self.connected().await {
            let end = match self.describe(&connection).await {
                Ok(Speaks::Own) => self.serve(&connection).await,
                Ok(_) => self.refuse(&connection).await,
                Err(failure) => End::Lost(failure),
            };
            let End::Lost(failure) = end else { return };
            self.known.forget();
            self.table.lose(&failure);
            // A program that breaks the protocol each time would keep us busy.
            let until = Instant::now() + PAUSE;
            loop {
                tokio::select! {
                    () = sleep_until(until) => break,
                    order = self.orders.recv() => match order {
                        Some(order) => self.waiting.push_back(order),
                        None => return,
                    },
                }
            }
        }
    }

    /// A connection that is up; `None` once there is no use.
    async fn connected(&mut self) -> Option<Connection> {
        loop {
            let link = self.links.borrow_and_update().clone();
            match link {
                Link::Up(first) if !first.is_closed() => return Some(self.own.beside(&first).await),
                Link::Up(_) | Link::Starting => {}
                Link::Down { until, why } => self.fail_waiting(until, &Failure::Down(why)),
                Link::Disabled => self.fail_waiting(Instant::now() + FOREVER, &Failure::Disabled),
                Link::Stopped => self.fail_waiting(Instant::now() + FOREVER, &Failure::Down("it was stopped".into())),
            }
            tokio::select! {
                changed = self.links.changed() => changed.ok()?,
                order = self.orders.recv() => self.waiting.push_back(order?),
            }
        }
    }

    /// Fails who has given up by `until`.
    fn fail_waiting(&mut self, until: Instant, failure: &Failure) {
        let mut kept = VecDeque::new();
        for order in self.waiting.drain(..) {
            match order {
                Order::Settle(reply) | Order::Credit { reply, .. } if reply.give_up < until => {
                    reply.say(Err(failure.clone()));
                }
                Order::Event(mut event) => match event.reply.take_if(|reply| reply.give_up < until) {
                    Some(reply) => reply.say(Err(failure.clone())),
                    None => kept.push_back(Order::Event(event)),
                },
                other => kept.push_back(other),
            }
        }
        self.waiting = kept;
    }

    async fn describe(&mut self, connection: &Connection) -> Result<Speaks, Failure> {
        let mut grpc = connection.grpc();
        let host = format!("sidegate/{}", env!("CARGO_PKG_VERSION"));
        let request = v1::DescribeRequest { minor: MINOR, host };
        let codec = tonic_prost::ProstCodec::<v1::DescribeRequest, v1::DescribeResponse>::default();
        let asked = timeout(DESCRIBE_TIMEOUT, grpc.unary(tonic::Request::new(request), DESCRIBE, codec)).await;
        match asked {
            Ok(Ok(response)) => {
                let description = response.into_inner();
                tracing::debug!(
                    plugin = self.plugin.name(),
                    program = description.name,
                    version = description.version,
                    minor = description.minor,
                    "plugin speaks the streaming protocol"
                );
                self.known.described(&description);
                Ok(Speaks::Own)
            }
            Ok(Err(status)) if status.code() == Code::Unimplemented => {
                self.known.no_own();
                Ok(Speaks::Mosn)
            }
            Ok(Err(status)) => Err(failure_of(&status)),
            Err(_) => Err(Failure::Timeout(DESCRIBE_TIMEOUT)),
        }
    }

    /// The plugin does not serve our protocol: who asks is told so, or asks by
    /// MOSN's call.
    async fn refuse(&mut self, connection: &Connection) -> End {
        let failure = Failure::Error("it does not serve sidegate.plugin.v1".to_owned());
        loop {
            while let Some(order) = self.waiting.pop_front() {
                match order {
                    Order::Settle(reply) if self.settings.falls_back => reply.say(Ok(Word::Settled)),
                    Order::Settle(reply) | Order::Credit { reply, .. } => reply.say(Err(failure.clone())),
                    Order::Event(event) => drop(event.reply.map(|reply| reply.say(Err(failure.clone())))),
                    Order::End { .. } => {}
                }
            }
            tokio::select! {
                _ = connection.closed() => return End::Lost(Failure::Lost),
                order = self.orders.recv() => match order {
                    Some(order) => self.waiting.push_back(order),
                    None => return End::Unused,
                },
            }
        }
    }

    /// Makes the call and serves it until it ends.
    async fn serve(&mut self, connection: &Connection) -> End {
        let (out, messages) = mpsc::channel::<Bytes>(MESSAGES);
        if out.send(self.configure()).await.is_err() {
            return End::Lost(Failure::Lost);
        }
        let mut grpc = connection.grpc().max_decoding_message_size(MAX_MESSAGE);
        let request = tonic::Request::new(ReceiverStream::new(messages));
        // Some programs answer with a head only once they have something to say.
        let mut opening = pin!(grpc.streaming(request, PROCESS, Messages));
        let mut incoming: Option<Streaming<v1::PluginMessage>> = None;
        let mut taken = Vec::with_capacity(ORDERS);
        let mut waits_since = None;
        // Whether what waits is to go now, and until when it may wait if not.
        let (mut is_due, mut lingers) = (!self.waiting.is_empty(), false);
        let mut linger = pin!(sleep_until(Instant::now()));
        loop {
            if self.waiting.is_empty() {
                waits_since = None;
            } else {
                waits_since.get_or_insert_with(Instant::now);
            }
            let give_up = waits_since.and_then(|since: Instant| since.checked_add(self.timeout.max(UNREAD)));
            tokio::select! {
                biased;
                opened = &mut opening, if incoming.is_none() => match opened {
                    Ok(response) => incoming = Some(response.into_inner()),
                    Err(status) => return End::Lost(failure_of(&status)),
                },
                message = next(&mut incoming), if incoming.is_some() => match message {
                    Ok(Some(message)) => {
                        for event in message.events {
                            if let Err(violation) = self.table.take(event) {
                                let plugin = self.plugin.name();
                                tracing::error!(plugin, "plugin breaks the protocol: {violation}");
                                return End::Lost(Failure::BadAnswer(violation.to_string()));
                            }
                        }
                    }
                    Ok(None) => return End::Lost(Failure::Lost),
                    Err(status) => return End::Lost(failure_of(&status)),
                },
                permit = out.reserve(), if is_due => {
                    let Ok(permit) = permit else { return End::Lost(Failure::Lost) };
                    waits_since = None;
                    let message = self.batch();
                    (is_due, lingers) = (!self.waiting.is_empty(), false);
                    if !message.is_empty() {
                        permit.send(message);
                    }
                },
                count = self.orders.recv_many(&mut taken, ORDERS), if !is_due => {
                    if count == 0 && self.waiting.is_empty() {
                        break;
                    }
                    is_due = count == 0 || taken.iter().any(|order| !matches!(order, Order::End { .. }));
                    if !is_due && !lingers {
                        lingers = true;
                        linger.as_mut().reset(Instant::now() + LINGER);
                    }
                    self.waiting.extend(taken.drain(..));
                },
                () = &mut linger, if lingers => (is_due, lingers) = (true, false),
                _ = connection.closed() => return End::Lost(Failure::Lost),
                () = at(give_up) => {
                    let time = self.timeout.max(UNREAD);
                    self.plugin.unread(time);
                    return End::Lost(Failure::Timeout(time));
                }
            }
        }
        drop(out);
        farewell(incoming).await;
        End::Unused
    }

    /// What is there, as one message.
    fn batch(&mut self) -> Bytes {
        let mut message = Vec::new();
        while message.len() < BATCH {
            let order = match self.waiting.pop_front() {
                Some(order) => order,
                // More may have come meanwhile.
                None => match self.orders.try_recv() {
                    Ok(order) => order,
                    Err(_) => break,
                },
            };
            self.table.obey(order, &mut message);
        }
        message.into()
    }

    fn configure(&self) -> Bytes {
        let settings = &self.settings;
        let configure = v1::Configure {
            config: settings.config.clone(),
            plugin: self.plugin.name().to_owned(),
            hooks: Some(settings.hooks.to_wire()),
            window: u32::try_from(settings.window).unwrap_or(u32::MAX),
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            shared_variables: settings.shared.clone(),
            variables: settings.variables.iter().map(|variable| *variable as i32).collect(),
        };
        let message = v1::HostMessage { configure: Some(configure), events: Vec::new() };
        message.encode_to_vec().into()
    }
}

/// Nobody waits for as long.
const FOREVER: Duration = Duration::from_secs(30 * 86_400);

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn next(incoming: &mut Option<Streaming<v1::PluginMessage>>) -> Result<Option<v1::PluginMessage>, Status> {
    match incoming {
        Some(incoming) => incoming.message().await,
        None => std::future::pending().await,
    }
}

/// Lets the plugin hear what was sent, and that there is no more.
async fn farewell(incoming: Option<Streaming<v1::PluginMessage>>) {
    if let Some(mut incoming) = incoming {
        let _ = timeout(LAST_WORDS, async { while let Ok(Some(_)) = incoming.message().await {} }).await;
    }
}

fn failure_of(status: &Status) -> Failure {
    // Of the connection, and not the program's.
    match std::error::Error::source(status).is_some() {
        true => Failure::Lost,
        false => Failure::Error(format!("{:?}: {}", status.code(), shown(status.message()))),
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let stopped = Failure::Down("it was stopped".into());
        self.table.lose(&stopped);
        let replies: Vec<Reply> = self.waiting.drain(..).filter_map(Order::reply).collect();
        replies.into_iter().for_each(|reply| reply.say(Err(stopped.clone())));
    }
}

/// Messages to a plugin are encoded already.
#[derive(Debug, Clone, Copy)]
struct Messages;

impl Codec for Messages {
    type Encode = Bytes;
    type Decode = v1::PluginMessage;
    type Encoder = Messages;
    type Decoder = Messages;

    fn encoder(&mut self) -> Messages {
        Messages
    }

    fn decoder(&mut self) -> Messages {
        Messages
    }
}

impl Encoder for Messages {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Messages {
    type Item = v1::PluginMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<v1::PluginMessage>, Status> {
        let message = v1::PluginMessage::decode(buffer);
        message.map(Some).map_err(|error| Status::internal(format!("it sent no PluginMessage: {error}")))
    }
}
