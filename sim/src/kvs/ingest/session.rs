//! What happens while a producer sends: fragments are acknowledged and persisted as they come.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    ack::{Ack, AckError, AckEvent},
    assembler::{Assembler, Fragment, Step},
    connection::Connection,
    ledger::Entry,
    pace::Pace,
};
use crate::{
    http::Body,
    kvs::{
        Kvs,
        archive::{fragment::Meta, store::Store},
        mkv::reader::Reader,
        streams::{Stream, StreamRef},
    },
};

/// How often IDLE is said while nothing comes. AWS says only "periodically".
const IDLE_EVERY: Duration = Duration::from_secs(5);

/// How long nothing may come.
const IDLE_AT_MOST: Duration = Duration::from_secs(30);

/// How long a connection lasts.
const CONNECTION_AT_MOST: Duration = Duration::from_secs(45 * 60);

/// How long the rest of a refused body is read, so that the refusal reaches a client that is still sending.
const LINGER: Duration = Duration::from_secs(5);

/// Acknowledgements on their way to the producer.
pub struct Acks {
    /// Whether the producer wants more than refusals.
    pub wanted: bool,
    /// Where lines go.
    pub lines: mpsc::Sender<std::io::Result<Bytes>>,
}

impl Acks {
    async fn send(&self, ack: &Ack) {
        if self.wanted {
            self.send_always(ack).await;
        }
    }

    async fn send_always(&self, ack: &Ack) {
        // A producer that does not read its acknowledgements any more still has its footage persisted.
        let _ = self.lines.send(Ok(ack.line().into())).await;
    }

    /// The answer breaks off, as the request did.
    async fn cut(&self) {
        let _ = self.lines.send(Err(std::io::Error::other("cut"))).await;
    }
}

/// A PutMedia whose head was accepted.
pub struct Session {
    kvs: Arc<Kvs>,
    stream: Stream,
    store: Arc<Store>,
    acks: Acks,
    reader: Reader,
    assembler: Assembler,
    /// The server time of the fragment before.
    previous_server: Option<i64>,
    /// The minute that the connection was last counted in.
    minute: i64,
    /// Where quotas hold.
    pace: Option<Pace>,
    /// The stream's key may not be used.
    denied: bool,
    connection: Connection,
}

impl Session {
    /// A session that has received nothing yet.
    pub fn new(
        kvs: Arc<Kvs>,
        connection: Connection,
        stream: Stream,
        store: Arc<Store>,
        acks: Acks,
        assembler: Assembler,
        denied: bool,
    ) -> Self {
        Self {
            stream,
            store,
            acks,
            reader: Reader::default(),
            assembler,
            previous_server: None,
            minute: i64::MIN,
            pace: kvs.quotas.on().then(|| Pace::new(Instant::now())),
            denied,
            kvs,
            connection,
        }
    }

    /// Receives until the body ends, is refused or is cut. `started` is told when something came.
    pub async fn run(mut self, mut body: Body, started: tokio::sync::oneshot::Sender<()>) {
        let result = self.receive(&mut body, started).await;
        if let Err(error) = result {
            let under_way = self.assembler.under_way();
            self.measure("PutMedia.ErrorAckCount", 1.0);
            self.measure("PutMedia.Success", 0.0);
            tracing::info!(stream = self.stream.name, ?error, ?under_way, "PutMedia refused");
            self.acks.send_always(&Ack::error(error, under_way)).await;
            // The answer ends here. What the client is still sending is read and dropped for a moment: closing at once would
            // reset the connection and could take the refusal with it.
            drop(self);
            let rest = async { while let Some(Ok(_)) = body.frame().await {} };
            let _ = timeout(LINGER, rest).await;
        }
    }

    async fn receive(
        &mut self,
        body: &mut Body,
        started: tokio::sync::oneshot::Sender<()>,
    ) -> Result<(), AckError> {
        let mut started = Some(started);
        let began = Instant::now();
        let mut heard = Instant::now();
        let replaced = self.connection.replaced();
        loop {
            self.count_connection();
            let next = tokio::select! {
                next = timeout(IDLE_EVERY, body.frame()) => next,
                // What is under way is lost with the connection.
                () = replaced.notified() => {
                    self.acks.cut().await;
                    return Ok(());
                }
            };
            let frame = match next {
                Ok(frame) => frame,
                Err(_) if heard.elapsed() >= IDLE_AT_MOST => return Ok(()),
                Err(_) => {
                    self.acks.send(&Ack::idle()).await;
                    continue;
                }
            };
            heard = Instant::now();
            if let Some(started) = started.take() {
                let _ = started.send(());
            }
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.measure("PutMedia.IncomingBytes", bytes.len() as f64);
                        self.bytes(&bytes).await?;
                        if let Some(pace) = &mut self.pace {
                            let wait = pace.bytes(bytes.len(), Instant::now());
                            tokio::time::sleep(wait).await;
                        }
                    }
                }
                // The connection was cut: what is under way never became a fragment.
                Some(Err(error)) => {
                    tracing::info!(stream = self.stream.name, %error, "PutMedia cut off");
                    self.measure("PutMedia.ConnectionErrors", 1.0);
                    self.acks.cut().await;
                    return Ok(());
                }
                None => return self.end().await,
            }
            if began.elapsed() >= CONNECTION_AT_MOST {
                return Err(AckError::ConnectionDuration);
            }
        }
    }

    async fn bytes(&mut self, bytes: &[u8]) -> Result<(), AckError> {
        let now = self.kvs.world.clock.now();
        self.reader.push(bytes, now);
        loop {
            let event = self.reader.read().map_err(|error| {
                tracing::info!(stream = self.stream.name, %error, "PutMedia is not Matroska");
                AckError::InvalidMkv
            })?;
            let Some(event) = event else { return Ok(()) };
            let (kvs, arn) = (&self.kvs, &self.stream.arn);
            let mut number = || {
                kvs.numbers
                    .lock()
                    .unwrap_or_else(|e| e.into_inner())
                    .next(arn, kvs.world.clock.now())
            };
            for step in self.assembler.event(event, now, &mut number)? {
                self.step(step).await?;
            }
        }
    }

    /// The body has ended as it should.
    async fn end(&mut self) -> Result<(), AckError> {
        if !self.reader.at_boundary() {
            return Err(AckError::StreamRead);
        }
        match self.assembler.finish()? {
            Some(step) => self.step(step).await,
            None => Ok(()),
        }
    }

    async fn step(&mut self, step: Step) -> Result<(), AckError> {
        match step {
            Step::Begun(timecode, number) => {
                self.acks
                    .send(&Ack::fragment(AckEvent::Buffering, timecode, &number))
                    .await;
                Ok(())
            }
            Step::Complete(_) if self.denied => Err(AckError::KeyDenied),
            Step::Complete(fragment) => {
                if let Some(pace) = &mut self.pace {
                    let wait = pace.fragment(Instant::now());
                    tokio::time::sleep(wait).await;
                }
                self.complete(*fragment).await
            }
        }
    }

    async fn complete(&mut self, mut fragment: Fragment) -> Result<(), AckError> {
        if let Some(previous) = self.previous_server.replace(fragment.server)
            && self.kvs.world.behaviour().equal_server_times
            && fragment.producer % 4 == 0
        {
            fragment.server = previous;
        }
        let (timecode, number) = (fragment.timecode, fragment.number.clone());
        let received = self.kvs.now();
        let since_first_byte = received.saturating_sub(fragment.server) as f64;
        self.measure("PutMedia.IncomingFragments", 1.0);
        self.measure("PutMedia.IncomingFrames", fragment.packets.len() as f64);
        self.measure("PutMedia.FragmentIngestionLatency", since_first_byte);
        self.measure("PutMedia.ReceivedAckLatency", since_first_byte);
        self.acks
            .send(&Ack::fragment(AckEvent::Received, timecode, &number))
            .await;
        // Settings may have changed since the connection was opened, and the stream may be gone.
        let which = StreamRef {
            name: None,
            arn: Some(self.stream.arn.clone()),
        };
        let (stream, _) = self
            .kvs
            .archive(&self.stream.region, &which)
            .map_err(|_| AckError::StreamNotActive)?;
        self.stream = stream;
        if self.stream.retention_hours > 0 {
            self.persist(fragment).await.map_err(|error| {
                tracing::error!(stream = self.stream.name, %error, "a fragment could not be stored");
                AckError::Archival
            })?;
            let now = self.kvs.now();
            self.measure(
                "PutMedia.FragmentPersistLatency",
                now.saturating_sub(received) as f64,
            );
            self.measure(
                "PutMedia.PersistedAckLatency",
                since_first_byte + now.saturating_sub(received) as f64,
            );
            self.acks
                .send(&Ack::fragment(AckEvent::Persisted, timecode, &number))
                .await;
        } else {
            let meta = meta(&fragment, 0, received);
            self.store
                .hold(meta, fragment.header, fragment.body.into(), received);
        }
        self.measure("PutMedia.Success", 1.0);
        Ok(())
    }

    /// Stores a fragment: its media first, then index and ledger together.
    async fn persist(&self, fragment: Fragment) -> std::io::Result<()> {
        let (kvs, stream, store) = (self.kvs.clone(), self.stream.clone(), self.store.clone());
        let work = move || {
            store.write(&fragment.number, &fragment.header, &fragment.body)?;
            let now = kvs.now();
            let mut ledger = kvs.ledger.lock().unwrap_or_else(|e| e.into_inner());
            let sequence = ledger.last() + 1;
            store.add(meta(&fragment, sequence, now))?;
            ledger.append(&Entry {
                sequence,
                stream_arn: stream.arn.clone(),
                stream_name: stream.name.clone(),
                fragment_number: fragment.number,
                server_timestamp_millis: fragment.server,
                producer_timestamp_millis: fragment.producer,
                persisted_millis: now,
                packets: fragment.packets,
            })?;
            drop(ledger);
            store.expire(stream.horizon(now), now)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(std::io::Error::other)?
    }

    /// The connection counts once in each minute that it is there.
    fn count_connection(&mut self) {
        let minute = self.kvs.now().div_euclid(60_000);
        if minute != self.minute {
            self.minute = minute;
            self.measure("PutMedia.ActiveConnections", 1.0);
        }
    }

    fn measure(&self, name: &str, value: f64) {
        self.kvs.measure(&self.stream, name, value);
    }
}

/// What the archive knows of a fragment that was whole at `now`.
fn meta(fragment: &Fragment, sequence: u64, now: i64) -> Meta {
    Meta {
        sequence,
        number: fragment.number.clone(),
        server: fragment.server,
        producer: fragment.producer,
        length: fragment.length,
        persisted: now,
        header: fragment.header.len() as u64,
        body: fragment.body.len() as u64,
        frames: fragment.packets.len() as u64,
    }
}
