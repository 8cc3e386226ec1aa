//! A simulator in process, and what every test asks of it.

use std::{path::Path, sync::Arc};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    error::ProvideErrorMetadata,
    primitives::ByteStream,
};
use kvs_sim::{
    clock::System,
    serve::Services,
    world::{Settings, World},
};

/// A simulator that goes with the test.
pub struct Sim {
    /// Its client.
    pub s3: Client,
    /// It serves until this is aborted.
    pub server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Sim {
    pub async fn start(data: Option<&Path>) -> Self {
        let settings = Settings {
            data: data.map(Path::to_owned),
            ..Settings::default()
        };
        let services = Services::open(World::new(Arc::new(System), settings)).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(services.serve(listener));
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .endpoint_url(format!("http://{address}"))
            .force_path_style(true)
            .build();
        Self {
            s3: Client::from_conf(config),
            server,
        }
    }

    pub async fn with_bucket() -> Self {
        let sim = Self::start(None).await;
        sim.s3.create_bucket().bucket("footage").send().await.unwrap();
        sim
    }

    /// A client of another region.
    pub fn in_region(&self, region: &'static str) -> Client {
        Client::from_conf(self.s3.config().to_builder().region(Region::new(region)).build())
    }

    pub async fn put(&self, key: &str, body: &[u8]) {
        let body = ByteStream::from(body.to_vec());
        self.s3
            .put_object()
            .bucket("footage")
            .key(key)
            .body(body)
            .send()
            .await
            .unwrap();
    }

    pub async fn get(&self, key: &str) -> Vec<u8> {
        let object = self
            .s3
            .get_object()
            .bucket("footage")
            .key(key)
            .send()
            .await
            .unwrap();
        object.body.collect().await.unwrap().to_vec()
    }
}

/// An error's code.
pub fn code<T: std::fmt::Debug, E: ProvideErrorMetadata>(result: Result<T, E>) -> String {
    let error = result.map(|ok| format!("{ok:?}")).expect_err("a failure");
    error.code().unwrap_or_default().to_owned()
}

pub fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 31 % 251) as u8).collect()
}
