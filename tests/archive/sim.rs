//! kvs-sim in this process, a stream with footage in it, a bucket, and the program beside it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use aws_sdk_kinesisvideo as video;
use aws_sdk_s3 as s3;
use jiff::{SignedDuration, Timestamp};
use kvs_sim::{
    behaviour::Behaviour,
    camera::{self, pace::Pace},
    clock::Clock,
    faults::Rule,
    kvs::ingest::ledger::Entry,
    serve::Services,
    world::{Settings, World},
};

pub const STREAM: &str = "front-door";

/// A clock that ticks, and that a test moves ahead.
#[derive(Debug, Default)]
pub struct Ahead(AtomicI64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

pub struct Sim {
    pub endpoint: String,
    pub s3: s3::Client,
    pub bucket: String,
    pub s3_endpoint: String,
    clock: Arc<Ahead>,
    services: Arc<Services>,
    folder: tempfile::TempDir,
}

impl Sim {
    pub async fn start() -> Self {
        Self::start_with(crate::profile::behaviour()).await
    }

    /// With other answers to what AWS leaves open.
    pub async fn start_with(behaviour: Behaviour) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Ahead::default());
        let settings = Settings {
            data: Some(folder.path().into()),
            transition: std::time::Duration::ZERO,
            behaviour: Behaviour {
                // The camera does not wait for its stream.
                stream_visible_after_millis: 0,
                ..behaviour
            },
            ..Settings::default()
        };
        let services = Services::open(World::new(clock.clone(), settings)).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(services.clone().serve(listener));
        // Another S3 may stand in for the simulator's; then many tests share it, each with a bucket of its own.
        let s3_endpoint = std::env::var("S3_ENDPOINT").unwrap_or_else(|_| endpoint.clone());
        let name = folder
            .path()
            .file_name()
            .unwrap()
            .to_string_lossy()
            .to_lowercase();
        let bucket = format!(
            "footage-{}",
            name.replace(|c: char| !c.is_ascii_alphanumeric(), "")
        );
        let credentials = || s3::config::Credentials::new("sim", "sim", None, None, "test");
        let s3 = s3::Config::builder()
            .behavior_version(s3::config::BehaviorVersion::latest())
            .region(s3::config::Region::new("us-east-1"))
            .credentials_provider(credentials())
            .endpoint_url(&s3_endpoint)
            .force_path_style(true)
            .build();
        let video = video::Config::builder()
            .behavior_version(video::config::BehaviorVersion::latest())
            .region(video::config::Region::new("us-east-1"))
            .credentials_provider(credentials())
            .endpoint_url(&endpoint)
            .build();
        let s3 = s3::Client::from_conf(s3);
        let create = s3
            .create_bucket()
            .bucket(&bucket)
            .object_lock_enabled_for_bucket(true);
        create.send().await.unwrap();
        let stream = video::Client::from_conf(video)
            .create_stream()
            .stream_name(STREAM)
            .data_retention_in_hours(24);
        stream.send().await.unwrap();
        Self {
            endpoint,
            s3,
            bucket,
            s3_endpoint,
            clock,
            services,
            folder,
        }
    }

    /// The time, with microseconds as everywhere in the archive.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.clock.now().as_microsecond()).unwrap()
    }

    pub fn advance(&self, by: SignedDuration) {
        self.clock.0.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
    }

    /// Rules that say what happens to which requests; none: all is well again.
    pub fn faults(&self, rules: serde_json::Value) {
        self.services.world.faults.clear();
        let rules: Vec<Rule> = serde_json::from_value(rules).unwrap();
        rules
            .into_iter()
            .for_each(|rule| self.services.world.faults.add(rule));
    }

    /// Streams a file, as fast as possible.
    pub async fn put(&self, file: &Path, loops: u64) {
        self.put_from(file, loops, None).await;
    }

    /// The same, with the first frame's time by the camera's clock.
    pub async fn put_from(&self, file: &Path, loops: u64, start: Option<Timestamp>) {
        let options = camera::Options {
            file: file.into(),
            stream: STREAM.into(),
            start,
            pace: Pace::AsFastAsPossible,
            loops,
            endpoint: self.endpoint.clone(),
            region: "us-east-1".into(),
        };
        camera::run(options, std::future::pending()).await.unwrap();
    }

    /// Streams footage so many times and lets an hour go by. Returns when it began and ended.
    pub async fn footage(&self, loops: u64) -> (Timestamp, Timestamp) {
        let folder = tempfile::tempdir().unwrap();
        let from = self.now();
        self.put(&footage(folder.path()), loops).await;
        let to = self.now();
        self.advance(SignedDuration::from_hours(1));
        (from, to)
    }

    /// What PutMedia persisted.
    pub fn ledger(&self) -> Vec<Entry> {
        let text = std::fs::read_to_string(self.folder.path().join("ledger.jsonl")).unwrap();
        let mut entries: Vec<Entry> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        entries.sort_by_key(|e| (e.fragment_number.len(), e.fragment_number.clone()));
        entries
    }

    pub async fn keys(&self, prefix: &str) -> Vec<String> {
        let list = self
            .s3
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .send()
            .await
            .unwrap();
        list.contents
            .unwrap_or_default()
            .into_iter()
            .filter_map(|o| o.key)
            .collect()
    }

    pub async fn object(&self, key: &str) -> Vec<u8> {
        let object = self
            .s3
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .send()
            .await
            .unwrap();
        object.body.collect().await.unwrap().to_vec()
    }

    /// Archives a span of the stream by the program.
    pub async fn archive(&self, from: impl ToString, to: impl ToString, more: &[&str]) -> Output {
        let (from, to) = (from.to_string(), to.to_string());
        let span = ["archive", "--stream", STREAM, "--from", &from, "--to", &to];
        let place = ["--bucket", &self.bucket];
        self.kvs_operator(&[&span[..], &place, more].concat()).await
    }

    /// Runs the program. It and the simulator share this machine, not this thread.
    pub async fn kvs_operator(&self, args: &[&str]) -> Output {
        let mut command = self.program();
        command.args(args);
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }

    /// The program, with nothing in its environment but where the simulator is.
    pub fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvs-operator"));
        command
            .env_clear()
            .env("TMPDIR", std::env::temp_dir())
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ENDPOINT_URL_S3", &self.s3_endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "sim")
            .env("AWS_SECRET_ACCESS_KEY", "sim")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }
}

/// Footage with video and audio: real where it is at hand, else made by ffmpeg.
pub fn footage(folder: &Path) -> PathBuf {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let real = above
        .map(|a| a.join("shared/media/vogels_480.mkv"))
        .find(|p| p.is_file());
    real.unwrap_or_else(|| {
        eprintln!("no real footage is at hand: made by ffmpeg");
        let file = folder.join("footage.mkv");
        let words = "-nostdin -v error -f lavfi -i testsrc2=s=320x240:r=25:d=30 -f lavfi -i sine=frequency=440:d=30 \
                     -c:v libx264 -preset ultrafast -g 50 -keyint_min 50 -pix_fmt yuv420p -c:a aac";
        let made = Command::new("ffmpeg").args(words.split_whitespace()).arg(&file).status();
        assert!(made.expect("ffmpeg is installed").success());
        file
    })
}
