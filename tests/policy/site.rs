//! One site with a camera and a policy: the fixture, and words for what tests do and look at.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use kube::runtime::watcher::Event;
use kvs_operator::{
    api::{ArchivePolicy, ArchivePolicyStatus, Recording},
    aws::{
        Alarms, AwsError, Call, Kind, Ports,
        alarms::{Alarm, HistoryEntry, NewAlarm, Sdk},
    },
    policy::{Shared, reconcile},
    runtime::{Cache, Error, Next},
};
use kvs_sim::metrics::Metric;
use serde_json::{Value, json};

use crate::support::{
    Fixture, REGION, ROLE,
    kubernetes::{POLICIES, RECORDINGS, STREAMS},
};

/// When the camera's stream was made.
const CREATED: i64 = 1_780_000_000_000;

fn tell<K>(cache: &Cache<K>, objects: Vec<K>)
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync,
{
    cache.apply(Event::Init);
    objects
        .into_iter()
        .for_each(|object| cache.apply(Event::InitApply(object)));
    cache.apply(Event::InitDone);
}

/// CloudWatch, as an IAM policy that is scoped to names of alarms lets it be seen.
#[derive(Debug)]
struct ByName(Arc<dyn Alarms>);

#[async_trait::async_trait]
impl Alarms for ByName {
    async fn describe(&self, prefix: &str) -> Result<Vec<Alarm>, AwsError> {
        self.0.describe(prefix).await
    }
    async fn describe_named(&self, names: &[String]) -> Result<Vec<Alarm>, AwsError> {
        self.0.describe_named(names).await
    }
    async fn history(&self, alarm: &str, since: Timestamp) -> Result<Vec<HistoryEntry>, AwsError> {
        self.0.history(alarm, since).await
    }
    async fn history_of_all(&self, _: Timestamp, _: usize) -> Result<Option<Vec<HistoryEntry>>, AwsError> {
        Err(AwsError {
            operation: "cloudwatch:DescribeAlarmHistory",
            on: "*".into(),
            kind: Kind::Denied,
            code: None,
            message: None,
            request_id: None,
            source: None,
        })
    }
    async fn tags(&self, arn: &str) -> Result<Option<BTreeMap<String, String>>, AwsError> {
        self.0.tags(arn).await
    }
    async fn put(&self, alarm: &NewAlarm) -> Result<(), AwsError> {
        self.0.put(alarm).await
    }
    async fn tag(&self, arn: &str, tags: &BTreeMap<String, String>) -> Result<(), AwsError> {
        self.0.tag(arn, tags).await
    }
    async fn delete(&self, alarm: &str) -> Result<(), AwsError> {
        self.0.delete(alarm).await
    }
}

/// The fixture, with one camera's VideoStream and a policy for it.
pub struct Site {
    pub fixture: Fixture,
    pub aws: Sdk,
    pub shared: Shared,
}

impl Site {
    pub async fn new() -> Self {
        Self::with(|ports| ports).await
    }

    /// Where IAM allows to read the history of alarms by name only.
    pub async fn without_whole_history() -> Self {
        Self::with(|ports| Ports {
            alarms: Arc::new(ByName(ports.alarms.clone())),
            ..ports
        })
        .await
    }

    async fn with(wrap: impl FnOnce(Ports) -> Ports) -> Self {
        Self::on(Fixture::with(wrap).await)
    }

    /// With a stream of the same name in another account, which is reached by a role.
    pub async fn with_theirs(external_id: Option<&str>) -> Self {
        let grants = json!([
            { "namespaces": ["site"], "streams": ["*"], "buckets": ["bucket"] },
            { "namespaces": ["site"], "streams": ["*"], "roles": [ROLE] },
        ]);
        let site = Self::on(Fixture::granting(grants).await);
        let arn = format!("arn:aws:kinesisvideo:{REGION}:210987654321:stream/door/{CREATED}");
        let mut spec = json!({ "streamName": "door", "roleArn": ROLE });
        if let Some(id) = external_id {
            spec["externalId"] = json!(id);
        }
        site.fixture.kubernetes.create(
            "videostreams",
            json!({ "apiVersion": "kvs-operator.io/v1alpha1", "kind": "VideoStream",
                    "metadata": { "name": "theirs", "namespace": "site", "labels": { "record": "yes" } }, "spec": spec,
                    "status": { "streamARN": arn, "streamName": "door", "region": REGION, "dataRetentionInHours": 24 } }),
        );
        site
    }

    pub fn on(fixture: Fixture) -> Self {
        let aws = Sdk::new(&fixture.connection);
        let shared = Shared::new(&fixture.context, Arc::default());
        let site = Self { fixture, aws, shared };
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "site" } });
        site.fixture.kubernetes.create("namespaces", namespace);
        site.camera("door");
        site.fixture.kubernetes.create(
            "archivepolicies",
            json!({ "apiVersion": "kvs-operator.io/v1alpha1", "kind": "ArchivePolicy",
                    "metadata": { "name": "all", "namespace": "site" },
                    "spec": { "streamSelector": { "matchLabels": { "record": "yes" } }, "trigger": { "alarm": {} },
                              "destination": { "s3": { "bucket": "bucket" } } } }),
        );
        // The API in memory gives everything the same birthday.
        site.edit(json!({ "metadata": { "creationTimestamp": site.now().to_string() } }));
        site
    }

    /// A VideoStream as its controller leaves it.
    pub fn camera(&self, name: &str) {
        let arn = format!("arn:aws:kinesisvideo:{REGION}:123456789012:stream/{name}/{CREATED}");
        self.fixture.kubernetes.create(
            "videostreams",
            json!({ "apiVersion": "kvs-operator.io/v1alpha1", "kind": "VideoStream",
                    "metadata": { "name": name, "namespace": "site", "labels": { "record": "yes" } }, "spec": {},
                    "status": { "streamARN": arn, "streamName": name, "region": REGION, "dataRetentionInHours": 24 } }),
        );
    }

    pub fn now(&self) -> Timestamp {
        kvs_sim::clock::Clock::now(&*self.fixture.clock)
    }

    pub fn edit(&self, patch: Value) {
        self.fixture.kubernetes.change(POLICIES, "site", "all", patch);
    }

    pub fn edit_camera(&self, patch: Value) {
        self.fixture.kubernetes.change(STREAMS, "site", "door", patch);
    }

    /// A user deletes the policy, now.
    pub fn delete(&self) {
        self.edit(json!({ "metadata": { "deletionTimestamp": self.now().to_string() } }));
    }

    pub fn policy(&self) -> Option<ArchivePolicy> {
        self.fixture.kubernetes.get(POLICIES, "site", "all")
    }

    pub fn status(&self) -> ArchivePolicyStatus {
        self.policy().unwrap().status.unwrap()
    }

    /// Reason and status of `Ready`.
    pub fn ready(&self) -> (String, String) {
        let ready = self
            .status()
            .conditions
            .into_iter()
            .find(|c| c.type_ == "Ready")
            .unwrap();
        (ready.reason, ready.status)
    }

    /// One pass.
    pub async fn pass(&self) -> Result<Next, Error> {
        self.watch();
        self.pass_unwatched().await
    }

    /// One pass before the watches have told of anything new.
    pub async fn pass_unwatched(&self) -> Result<Next, Error> {
        let policy = Arc::new(self.policy().unwrap());
        reconcile(policy, self.fixture.context.clone(), &self.shared).await
    }

    /// The watches tell of everything.
    pub fn watch(&self) {
        let caches = &self.shared.caches;
        tell(&caches.video_streams, self.fixture.kubernetes.all(STREAMS));
        tell(&caches.recordings, self.recordings());
    }

    /// The operator starts anew, as far as policies go.
    pub fn restart(&mut self) {
        self.shared = Shared::new(&self.fixture.context, Arc::default());
    }

    /// Time goes on, with or without footage; alarms are evaluated every minute, and somebody looks every 15 s or nobody does.
    pub async fn go(&self, minutes: usize, footage: bool, watched: bool) {
        for _ in 0..minutes * 4 {
            if footage {
                let metric = Metric {
                    region: REGION.into(),
                    namespace: "AWS/KinesisVideo".into(),
                    name: "PutMedia.IncomingFragments".into(),
                    dimensions: BTreeMap::from([("StreamName".into(), "door".into())]),
                };
                self.fixture.sim.world.metrics.add(metric, self.now(), 5.0);
            }
            self.fixture.clock.advance(SignedDuration::from_secs(15));
            self.fixture.sim.cloudwatch.evaluate().unwrap();
            if watched {
                self.pass().await.unwrap();
                self.answer();
            }
        }
    }

    /// The Recording controller's part, as far as this one needs it: its status answers to the spec.
    pub fn answer(&self) {
        for recording in self.recordings() {
            let patch = json!({ "status": { "observedGeneration": recording.metadata.generation } });
            self.fixture
                .kubernetes
                .change(RECORDINGS, "site", &recording.metadata.name.unwrap(), patch);
        }
    }

    /// The Recording controller is done with all of them.
    pub fn finish(&self) {
        for recording in self.recordings() {
            let patch = json!({ "status": { "phase": "Complete", "lastClipTime": self.now().to_string(), "counts": { "lost": 2 } } });
            self.fixture
                .kubernetes
                .change(RECORDINGS, "site", &recording.metadata.name.unwrap(), patch);
        }
    }

    pub fn recordings(&self) -> Vec<Recording> {
        self.fixture.kubernetes.all(RECORDINGS)
    }

    /// The policy's alarms in AWS.
    pub async fn alarms(&self) -> Vec<Alarm> {
        self.aws.describe("kvs-operator/site/all/").await.unwrap()
    }

    /// Anybody's alarm.
    pub async fn named(&self, name: &str) -> Alarm {
        let mut found = self.aws.describe_named(&[name.into()]).await.unwrap();
        found.pop().unwrap()
    }

    pub async fn alarm(&self) -> Alarm {
        self.alarms().await.pop().unwrap()
    }

    /// How often AWS accepted a change by anybody.
    pub fn changes(&self) -> u64 {
        [
            "cloudwatch:PutMetricAlarm",
            "cloudwatch:DeleteAlarms",
            "cloudwatch:TagResource",
        ]
        .map(|operation| self.calls(operation))
        .iter()
        .sum()
    }

    /// How often CloudWatch answered an operation with success.
    pub fn calls(&self, operation: &'static str) -> u64 {
        let call = Call {
            operation,
            result: "ok",
        };
        self.fixture.calls.get(&call).map_or(0, |counter| counter.get())
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
