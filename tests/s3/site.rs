//! A bucket, in kvs-sim or in the S3 at `S3_ENDPOINT`.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use aws_sdk_s3 as s3;
use bytes::Bytes;
use kvs_operator::{
    archiver::store::{self, Store},
    aws::{
        Connection,
        objects::{Attributes, Bucket, Content, Creation, NewObject, Objects, Sizes},
    },
    clock::{AwsClock, Clock, System},
};
use kvs_sim::{
    faults::Rule,
    serve::Services,
    world::{Settings, World},
};
use sha2::{Digest, Sha256};

/// Parts as small as S3 lets them be, so that files are quick to move.
const SIZES: Sizes = Sizes {
    single: 5 << 20,
    part: 5 << 20,
};

/// The size of a file that goes in three parts.
pub fn in_parts() -> usize {
    (10 << 20) + 12345
}

/// The machine's clock, but that waiting takes no time.
#[derive(Debug)]
struct Hasty;

#[async_trait::async_trait]
impl Clock for Hasty {
    fn now(&self) -> jiff::Timestamp {
        System.now()
    }

    fn elapsed(&self) -> std::time::Duration {
        System.elapsed()
    }

    async fn sleep(&self, _: std::time::Duration) {
        tokio::task::yield_now().await;
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

pub struct Site {
    pub bucket: Bucket,
    s3: s3::Client,
    name: String,
    connection: Connection,
    sim: Option<Arc<Services>>,
}

impl Site {
    /// Where `S3_ENDPOINT` says, else in kvs-sim.
    pub async fn new() -> Self {
        match std::env::var("S3_ENDPOINT") {
            Ok(endpoint) => Self::at(&endpoint, None).await,
            Err(_) => Self::simulated().await,
        }
    }

    /// In kvs-sim.
    pub async fn simulated() -> Self {
        let sim = Services::open(World::new(Arc::new(kvs_sim::clock::System), Settings::default())).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(sim.clone().serve(listener));
        Self::at(&endpoint, Some(sim)).await
    }

    async fn at(endpoint: &str, sim: Option<Arc<Services>>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "s3-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let config = s3::Config::builder()
            .behavior_version(s3::config::BehaviorVersion::latest())
            .region(s3::config::Region::new("us-east-1"))
            .credentials_provider(s3::config::Credentials::new("sim", "sim", None, None, "test"))
            .endpoint_url(endpoint)
            .force_path_style(true)
            .build();
        let s3 = s3::Client::from_conf(config);
        let create = s3.create_bucket().bucket(&name);
        create.object_lock_enabled_for_bucket(true).send().await.unwrap();
        let connection = Connection::to_simulator(endpoint, "us-east-1", AwsClock::new(Arc::new(System)));
        Self {
            bucket: Bucket::new(&connection, &name, None).with_sizes(SIZES),
            s3,
            name,
            connection,
            sim,
        }
    }

    /// The bucket, as one that this account must own.
    pub fn owned_by(&self, account: &str) -> Bucket {
        Bucket::new(&self.connection, &self.name, Some(account)).with_sizes(SIZES)
    }

    /// The bucket as the archiver uses it: with patience.
    pub fn store(&self) -> Store {
        Store::new(Arc::new(self.bucket.clone()), Arc::new(Hasty))
    }

    /// What came of a creation that is tried again where that may help.
    pub async fn create(&self, object: &NewObject) -> Creation {
        loop {
            match self.bucket.create(object).await {
                Ok(creation) => return creation,
                Err(e) => assert!(store::passes(e.kind), "{e:?}"),
            }
        }
    }

    /// Rules that say what happens to which requests.
    pub fn faults(&self, rules: serde_json::Value) {
        let faults = &self.sim.as_ref().unwrap().world.faults;
        faults.clear();
        let rules: Vec<Rule> = serde_json::from_value(rules).unwrap();
        rules.into_iter().for_each(|rule| faults.add(rule));
    }

    pub async fn is_there(&self, object: &NewObject) {
        let there = self.bucket.get(&object.key).await.unwrap().unwrap();
        assert_eq!(<[u8; 32]>::from(Sha256::digest(&there.bytes)), object.sha256);
        assert_eq!(there.head.metadata, object.metadata);
    }

    pub async fn nothing_is_incomplete(&self) {
        let uploads = self.s3.list_multipart_uploads().bucket(&self.name);
        let uploads = uploads.send().await.unwrap().uploads.unwrap_or_default();
        assert!(uploads.is_empty(), "{uploads:?}");
    }

    pub async fn uploads(&self) -> usize {
        let uploads = self.s3.list_multipart_uploads().bucket(&self.name);
        uploads.send().await.unwrap().uploads.unwrap_or_default().len()
    }

    /// Begins an upload as somebody does who is killed then.
    pub async fn leave_upload(&self, key: &str) {
        let begin = self.s3.create_multipart_upload().bucket(&self.name).key(key);
        begin.send().await.unwrap();
    }

    pub async fn raw_head(&self, key: &str) -> s3::operation::head_object::HeadObjectOutput {
        let head = self.s3.head_object().bucket(&self.name).key(key);
        head.send().await.unwrap()
    }

    /// The error's code where somebody deletes an object's version.
    pub async fn deletion(&self, key: &str) -> String {
        use s3::error::ProvideErrorMetadata;
        let version = self.raw_head(key).await.version_id.unwrap();
        let delete = self.s3.delete_object().bucket(&self.name).key(key);
        let error = delete.version_id(version).send().await.unwrap_err();
        error.code().unwrap_or_default().to_owned()
    }

    pub async fn tags(&self, key: &str) -> BTreeMap<String, String> {
        let tags = self.s3.get_object_tagging().bucket(&self.name).key(key);
        let tags = tags.send().await.unwrap().tag_set;
        tags.into_iter().map(|t| (t.key, t.value)).collect()
    }

    /// Every object is kept for a day unless it says otherwise.
    pub async fn default_retention(&self) {
        use s3::types::{
            DefaultRetention, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockRetentionMode,
            ObjectLockRule,
        };
        let retention = DefaultRetention::builder()
            .mode(ObjectLockRetentionMode::Governance)
            .days(1)
            .build();
        let rule = ObjectLockRule::builder().default_retention(retention).build();
        let configuration = ObjectLockConfiguration::builder()
            .object_lock_enabled(ObjectLockEnabled::Enabled)
            .rule(rule)
            .build();
        let put = self.s3.put_object_lock_configuration().bucket(&self.name);
        put.object_lock_configuration(configuration).send().await.unwrap();
    }
}

/// An object from memory.
pub fn bytes(key: &str, content: &[u8]) -> NewObject {
    NewObject {
        key: key.into(),
        content: Content::Bytes(Bytes::copy_from_slice(content)),
        sha256: Sha256::digest(content).into(),
        content_type: "application/json",
        metadata: BTreeMap::from([("fragment-set".into(), "abc".into())]),
        attributes: Attributes::default(),
    }
}

/// An object from a file of this many bytes.
pub fn file(folder: &Path, key: &str, size: usize) -> NewObject {
    let content: Vec<u8> = (0..size).map(|i| (i * 31 % 251) as u8).collect();
    let path = folder.join(key);
    std::fs::write(&path, &content).unwrap();
    let sha256: [u8; 32] = Sha256::digest(&content).into();
    NewObject {
        content: Content::File(path, size as u64),
        sha256,
        content_type: "video/mp4",
        metadata: BTreeMap::from([
            ("fragment-set".into(), "abc".into()),
            ("sha256".into(), hex::encode(sha256)),
        ]),
        ..bytes(key, b"")
    }
}
