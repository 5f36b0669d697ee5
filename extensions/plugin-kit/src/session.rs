//! The streaming protocol's side of a program.

use std::collections::HashMap;
use std::sync::Arc;

use sidegate_proto::v1;
use sidegate_proto::v1::plugin_event::Kind;
use tokio::sync::mpsc;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::stream::{Done, Stream, once};
use crate::{Plugin, Use};

/// Messages that wait for the connection.
const MESSAGES: usize = 4;
/// Bytes of bodies in one message, about.
const BATCH: usize = 2 << 20;

pub(crate) struct Streams<P>(pub(crate) Arc<P>);

#[tonic::async_trait]
impl<P: Plugin> v1::plugin_server::Plugin for Streams<P> {
    async fn describe(&self, _: Request<v1::DescribeRequest>) -> Result<Response<v1::DescribeResponse>, Status> {
        let description = self.0.describe();
        Ok(Response::new(v1::DescribeResponse {
            minor: 0,
            name: description.name,
            version: description.version,
            variables: description.variables.into_iter().map(i32::from).collect(),
            hooks: description.hooks,
        }))
    }

    type ProcessStream = ReceiverStream<Result<v1::PluginMessage, Status>>;

    async fn process(
        &self,
        request: Request<Streaming<v1::HostMessage>>,
    ) -> Result<Response<Self::ProcessStream>, Status> {
        let (out, messages) = mpsc::channel(MESSAGES);
        let plugin = self.0.clone();
        tokio::spawn(async move {
            if let Err(status) = run(&*plugin, request.into_inner(), &out).await {
                let _ = out.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

type Out = mpsc::Sender<Result<v1::PluginMessage, Status>>;

/// One session, until the host ends it.
async fn run(plugin: &impl Plugin, mut incoming: Streaming<v1::HostMessage>, out: &Out) -> Result<(), Status> {
    let Some(first) = incoming.message().await? else { return Ok(()) };
    let configure = first.configure.ok_or_else(|| Status::failed_precondition("`configure` comes first"))?;
    let place = plugin.configure(&configure).map_err(Status::invalid_argument)?;
    let (finish, mut finished) = mpsc::unbounded_channel();
    let mut session = Session { place, streams: HashMap::new(), said: Vec::new(), bytes: 0, finish, out };
    session.take(first.events).await?;
    loop {
        session.flush().await?;
        tokio::select! {
            message = incoming.message() => match message? {
                Some(message) => session.take(message.events).await?,
                None => return Ok(()),
            },
            Some(done) = finished.recv() => {
                session.done(done).await?;
                while let Ok(done) = finished.try_recv() {
                    session.done(done).await?;
                }
            }
        }
    }
}

struct Session<'a> {
    place: Box<dyn Use>,
    streams: HashMap<u64, Stream>,
    /// What goes with the next message.
    said: Vec<v1::PluginEvent>,
    bytes: usize,
    /// For hooks that take their time.
    finish: mpsc::UnboundedSender<Done>,
    out: &'a Out,
}

impl Session<'_> {
    async fn take(&mut self, events: Vec<v1::Event>) -> Result<(), Status> {
        for event in events {
            let id = event.stream;
            let stream = self.streams.entry(id).or_insert_with(|| Stream::new(self.place.filter()));
            if let Some(credit) = stream.push(event) {
                self.say(id, Kind::Credit(credit), 0);
            }
            self.advance(id).await?;
        }
        Ok(())
    }

    async fn done(&mut self, done: Done) -> Result<(), Status> {
        let id = done.stream;
        self.conclude(done).await?;
        self.advance(id).await
    }

    /// Runs hooks of a stream until one takes its time.
    async fn advance(&mut self, id: u64) -> Result<(), Status> {
        while let Some(mut running) = self.streams.get_mut(&id).and_then(Stream::next) {
            match once(&mut running).await {
                Some(done) => self.conclude(done).await?,
                None => {
                    let finish = self.finish.clone();
                    tokio::spawn(async move { finish.send(running.await) });
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn conclude(&mut self, done: Done) -> Result<(), Status> {
        let Done { stream: id, filter, hook, answer, observed } = done;
        let Some(answer) = answer else {
            self.streams.remove(&id);
            return Ok(());
        };
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.give_back(filter);
        }
        if hook != 0 {
            answer.pieces(hook, |piece| {
                let bytes = piece.body.as_ref().map_or(0, |body| body.data.len());
                self.say(id, Kind::Answer(piece), bytes);
            });
        } else if observed != v1::Credit::default() {
            self.say(id, Kind::Credit(observed), 0);
        }
        if self.bytes > BATCH { self.flush().await } else { Ok(()) }
    }

    fn say(&mut self, stream: u64, kind: Kind, bytes: usize) {
        self.bytes += bytes;
        self.said.push(v1::PluginEvent { stream, kind: Some(kind) });
    }

    async fn flush(&mut self) -> Result<(), Status> {
        let mut bytes = 0;
        let mut events = Vec::new();
        for event in std::mem::take(&mut self.said) {
            bytes += match &event.kind {
                Some(Kind::Answer(answer)) => answer.body.as_ref().map_or(0, |body| body.data.len()),
                _ => 0,
            };
            events.push(event);
            if bytes > BATCH {
                bytes = 0;
                self.send(std::mem::take(&mut events)).await?;
            }
        }
        self.bytes = 0;
        if events.is_empty() { Ok(()) } else { self.send(events).await }
    }

    async fn send(&mut self, events: Vec<v1::PluginEvent>) -> Result<(), Status> {
        let sent = self.out.send(Ok(v1::PluginMessage { events })).await;
        sent.map_err(|_| Status::cancelled("the host has gone"))
    }
}
