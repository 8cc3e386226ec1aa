//! One site with a camera: the fixture, and words for what tests do and look at.

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;
use kvs_operator::{
    api::{VideoStream, condition},
    aws::{
        Call, Streams,
        streams::{NewStream, Sdk, Stream},
    },
    runtime::{Context, Error, Next},
    stream::{Known, reconcile},
};
use serde_json::{Value, json};

use crate::support::Fixture;
pub use crate::support::kubernetes::STREAMS;

/// The fixture, with one camera's VideoStream.
pub struct Site {
    pub fixture: Fixture,
    pub aws: Sdk,
    known: Arc<Known>,
}

impl Site {
    pub async fn new(spec: Value) -> Self {
        Self::on(Fixture::new().await, spec)
    }

    pub fn on(fixture: Fixture, spec: Value) -> Self {
        let aws = Sdk::new(&fixture.connection);
        let site = Self {
            fixture,
            aws,
            known: Arc::default(),
        };
        site.apply("front-door", spec);
        site
    }

    pub fn apply(&self, name: &str, spec: Value) {
        self.fixture.kubernetes.create(
            "videostreams",
            json!({ "apiVersion": "kvs-operator.io/v1alpha1", "kind": "VideoStream",
                    "metadata": { "name": name, "namespace": "site", "labels": { "site": "north" } }, "spec": spec }),
        );
    }

    pub fn edit(&self, name: &str, patch: Value) {
        self.fixture.kubernetes.change(STREAMS, "site", name, patch);
    }

    pub fn find(&self, name: &str) -> Option<VideoStream> {
        self.fixture.kubernetes.get(STREAMS, "site", name)
    }

    pub fn object(&self, name: &str) -> VideoStream {
        self.find(name).unwrap()
    }

    /// One pass.
    pub async fn pass(&self, name: &str) -> Result<Next, Error> {
        reconcile(
            Arc::new(self.object(name)),
            self.fixture.context.clone(),
            self.known.clone(),
        )
        .await
    }

    /// One pass with other settings.
    pub async fn pass_in(&self, context: Context, name: &str) -> Result<Next, Error> {
        reconcile(Arc::new(self.object(name)), Arc::new(context), self.known.clone()).await
    }

    /// Passes, and AWS's time in between, until nothing more is to be done soon.
    pub async fn settle(&self, name: &str) {
        for _ in 0..20 {
            if self.find(name).is_none() {
                return;
            }
            match self.pass(name).await.unwrap() {
                Next::Acted { .. } => self.fixture.clock.advance(SignedDuration::from_secs(11)),
                Next::In(again) if again.as_secs() < 10 => {
                    self.fixture.clock.advance(SignedDuration::from_secs(11))
                }
                Next::In(_) | Next::OnChange => return,
            }
        }
        panic!("does not settle: {:?}", self.object(name).status);
    }

    /// The operator starts again: it knows only what is written.
    pub fn restart(&mut self) {
        self.known = Arc::default();
    }

    /// How often an operation was called with success.
    pub fn calls(&self, operation: &'static str) -> u64 {
        self.results(operation, "ok")
    }

    /// How often an operation was called with that result.
    pub fn results(&self, operation: &'static str, result: &'static str) -> u64 {
        let call = Call { operation, result };
        self.fixture.calls.get(&call).map_or(0, |counter| counter.get())
    }

    /// Status and reason of `Ready`.
    pub fn ready(&self, name: &str) -> (String, String) {
        let status = self.object(name).status.unwrap();
        let ready = status
            .conditions
            .iter()
            .find(|c| c.type_ == condition::READY)
            .unwrap();
        (ready.status.clone(), ready.reason.clone())
    }

    pub fn is(&self, name: &str, status: &str, reason: &str) {
        assert_eq!(
            self.ready(name),
            (status.to_owned(), reason.to_owned()),
            "{:?}",
            self.object(name).status
        );
    }

    pub fn message(&self, name: &str) -> String {
        self.object(name).status.unwrap().conditions[0].message.clone()
    }

    pub async fn stream(&self) -> Stream {
        self.aws.describe("front-door").await.unwrap().unwrap()
    }

    pub async fn tags(&self) -> BTreeMap<String, String> {
        self.aws.tags(&self.stream().await.arn).await.unwrap().unwrap()
    }

    /// A stream that a camera made by itself.
    pub async fn camera_makes(&self, tags: &[(&str, &str)]) {
        let stream = NewStream {
            name: "front-door".into(),
            data_retention_in_hours: 2,
            media_type: None,
            device_name: None,
            kms_key_id: None,
            tier: None,
            tags: tags
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        };
        self.aws.create(&stream).await.unwrap();
        self.fixture.clock.advance(SignedDuration::from_secs(11));
    }

    /// How often AWS accepted a change by anybody.
    pub fn changes(&self) -> u64 {
        [
            "kinesisvideo:CreateStream",
            "kinesisvideo:UpdateStream",
            "kinesisvideo:UpdateDataRetention",
            "kinesisvideo:DeleteStream",
            "kinesisvideo:TagStream",
            "kinesisvideo:UntagStream",
            "kinesisvideo:UpdateStreamStorageConfiguration",
            "kinesisvideo:UpdateImageGenerationConfiguration",
            "kinesisvideo:UpdateNotificationConfiguration",
        ]
        .map(|operation| self.calls(operation))
        .iter()
        .sum()
    }

    pub fn reasons(&self) -> Vec<String> {
        self.fixture
            .kubernetes
            .events()
            .into_iter()
            .map(|(reason, _)| reason)
            .collect()
    }
}
