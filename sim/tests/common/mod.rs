//! What tests of the simulator share: the service in process, calls to it, and footage.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, body::Body, client::conn::http1};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use kvs_sim::{
    camera::{self, pace::Pace},
    clock::{Clock, System},
    kvs::{
        ingest::ledger::Entry,
        mkv::reader::{Event, Reader},
    },
    metrics::{Datapoint, Metric},
    serve::Services,
    world::{Settings, World},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{net::TcpStream, task::JoinHandle};

/// The service in process, with a folder of its own.
pub struct Service {
    pub address: String,
    pub services: Arc<Services>,
    task: JoinHandle<()>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    _folder: tempfile::TempDir,
}

/// A clock that a test sets.
#[derive(Debug)]
pub struct Manual(Mutex<Timestamp>);

impl Manual {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Timestamp::now())))
    }

    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for Manual {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

impl Service {
    pub async fn start() -> Self {
        Self::start_with(Arc::new(System), |_| ()).await
    }

    /// With a clock and settings of the test's own.
    pub async fn start_with(clock: Arc<dyn Clock>, edit: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings {
            data: Some(folder.path().to_owned()),
            transition: Duration::ZERO,
            ..Settings::default()
        };
        edit(&mut settings);
        let (address, services, task) = serve(clock.clone(), settings.clone()).await;
        Self {
            address,
            services,
            task,
            clock,
            settings,
            _folder: folder,
        }
    }

    pub async fn restart(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
        (self.address, self.services, self.task) = serve(self.clock.clone(), self.settings.clone()).await;
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends a request with any body.
    pub async fn send<B>(&self, request: Request<B>) -> (u16, HeaderMap, Vec<u8>)
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let tcp = TcpStream::connect(&self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        connection.abort();
        (head.status.as_u16(), head.headers, body)
    }

    pub async fn post(&self, path: &str, input: Value) -> (u16, HeaderMap, Vec<u8>) {
        let body = Full::from(Bytes::from(input.to_string()));
        self.send(
            Request::post(path)
                .header("host", &self.address)
                .body(body)
                .unwrap(),
        )
        .await
    }

    pub async fn ok(&self, path: &str, input: Value) -> Value {
        let (status, _, body) = self.post(path, input).await;
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// The name and text of the error that a call gets.
    pub async fn error(&self, path: &str, input: Value) -> (u16, String, String) {
        let (status, headers, body) = self.post(path, input).await;
        let code = headers
            .get("x-amzn-errortype")
            .map(|v| v.to_str().unwrap().to_owned());
        let message: Value = serde_json::from_slice(&body).unwrap();
        (
            status,
            code.unwrap_or_default(),
            message["Message"].as_str().unwrap_or_default().to_owned(),
        )
    }

    pub async fn create_stream(&self, name: &str, hours: u32) -> String {
        let input = json!({ "StreamName": name, "DataRetentionInHours": hours });
        self.ok("/createStream", input).await["StreamARN"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub fn options(&self, file: &Path, stream: &str, loops: u64) -> camera::Options {
        camera::Options {
            file: file.to_owned(),
            stream: stream.to_owned(),
            start: None,
            pace: Pace::AsFastAsPossible,
            loops,
            endpoint: self.url(),
            region: "us-east-1".into(),
        }
    }

    pub async fn put(&self, file: &Path, stream: &str, loops: u64) -> anyhow::Result<()> {
        camera::run(self.options(file, stream, loops), std::future::pending()).await
    }

    pub async fn ledger(&self, stream: &str) -> Vec<Entry> {
        let request = Request::get(format!("/_kvs-sim/ledger?stream={stream}")).header("host", &self.address);
        let (status, _, body) = self.send(request.body(Full::new(Bytes::new())).unwrap()).await;
        assert_eq!(status, 200);
        body.split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect()
    }

    /// The sum of a metric over all time.
    pub fn metric(&self, stream: &str, name: &str) -> f64 {
        self.points(stream, name).iter().map(|p| p.1.sum).sum()
    }

    /// The minutes for which a metric has data.
    pub fn datapoints(&self, stream: &str, name: &str) -> usize {
        self.points(stream, name).len()
    }

    fn points(&self, stream: &str, name: &str) -> Vec<(Timestamp, Datapoint)> {
        let metric = Metric {
            region: "us-east-1".into(),
            namespace: "AWS/KinesisVideo".into(),
            name: name.into(),
            dimensions: BTreeMap::from([("StreamName".into(), stream.into())]),
        };
        self.services
            .world
            .metrics
            .read(&metric, Timestamp::UNIX_EPOCH, Timestamp::MAX)
    }
}

async fn serve(clock: Arc<dyn Clock>, settings: Settings) -> (String, Arc<Services>, JoinHandle<()>) {
    let services = Services::open(World::new(clock, settings)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = services.clone();
    let task = tokio::spawn(async move { serving.serve(listener).await.unwrap() });
    (address, services, task)
}

/// Matroska with H.264 and AAC: real footage where it lies beside the project, else made by ffmpeg.
pub fn footage() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media/vogels_480.mkv");
    if real.exists() {
        return real;
    }
    MADE.get_or_init(|| {
        let sources = "-f lavfi -i testsrc2=s=320x240:r=25:d=12 -f lavfi -i sine=frequency=440:duration=12";
        let codecs = "-c:v libx264 -g 50 -bf 0 -pix_fmt yuv420p -c:a aac";
        made(
            "footage.mkv",
            &sources.split(' ').chain(codecs.split(' ')).collect::<Vec<_>>(),
        )
    })
    .clone()
}

/// A file made by ffmpeg.
pub fn made(name: &str, arguments: &[&str]) -> PathBuf {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    let ffmpeg = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(arguments)
        .arg(&file)
        .status();
    assert!(ffmpeg.unwrap().success());
    file
}

/// The packets of Matroska: track, time in ms, SHA-256.
pub fn packets(bytes: &[u8]) -> Vec<(u64, i64, String)> {
    let mut reader = Reader::default();
    reader.push(bytes, Timestamp::UNIX_EPOCH);
    let (mut packets, mut cluster) = (vec![], 0);
    while let Some(event) = reader.read().unwrap() {
        match event {
            Event::Timestamp { ticks, .. } => cluster = ticks as i64,
            Event::Block { block, head, raw } => {
                for frame in block.frames {
                    let hash = hex::encode(Sha256::digest(&raw[head..][frame]));
                    packets.push((block.track, cluster + i64::from(block.relative), hash));
                }
            }
            _ => {}
        }
    }
    packets
}
