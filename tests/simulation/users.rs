//! Users, who edit, suspend, delete and make anew at the worst time. What they themselves kept from being recorded is excused.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    site::{NAMESPACE, POLICIES, RECORDINGS, STREAMS, Site},
    world::lock,
};

/// How long before and after an edit of a user an episode may begin or end and still be touched by it: the operator may have
/// been down meanwhile.
const REACH: SignedDuration = SignedDuration::from_hours(3);

/// Episodes that no recording need hold, because a user has seen to that.
#[derive(Clone, Debug)]
pub struct Excuse {
    /// Of this policy; `None`: of all.
    pub policy: Option<String>,
    /// Of this stream; `None`: of all.
    pub stream: Option<String>,
    /// From when.
    pub from: Timestamp,
    /// To when.
    pub to: Timestamp,
}

/// Edits until it is dropped; what is then amiss, `mend` puts right.
pub async fn edit(site: Arc<Site>) {
    let world = site.world.clone();
    loop {
        world.wait(900_000..9_000_000).await;
        if !world.bad_luck(1) {
            continue;
        }
        let long = world.within(5_000..5_400_000);
        let policy = ["all", "doors"][usize::try_from(world.within(0..2)).unwrap()];
        let camera = ["door", "gate", "yard"][usize::try_from(world.within(0..3)).unwrap()];
        match world.within(0..8) {
            0 => {
                site.excuse(Some(policy), None, SignedDuration::from_millis(long));
                site.user(format!("suspends policy {policy}"));
                change(&site, POLICIES, policy, json!({ "spec": { "suspend": true } }));
                world.wait(long..long + 1).await;
                site.user(format!("resumes policy {policy}"));
                change(&site, POLICIES, policy, json!({ "spec": { "suspend": false } }));
            }
            1 => {
                again(
                    &site,
                    POLICIES,
                    "archivepolicies",
                    policy,
                    long,
                    Some(policy),
                    None,
                )
                .await
            }
            2 => again(&site, STREAMS, "videostreams", camera, long, None, Some(camera)).await,
            3 => {
                let every = format!("{}s", world.within(60..1200));
                site.user(format!("sets archiveEvery of {policy} to {every}"));
                change(
                    &site,
                    POLICIES,
                    policy,
                    json!({ "spec": { "archiveEvery": every } }),
                );
            }
            4 => {
                let hours = world.within(2..13);
                site.user(format!("sets the retention of {camera} to {hours} h"));
                change(
                    &site,
                    STREAMS,
                    camera,
                    json!({ "spec": { "dataRetentionInHours": hours } }),
                );
            }
            end_or_delete => {
                let open: Vec<Value> = site.kubernetes.all(RECORDINGS);
                let open: Vec<_> = open.iter().filter(|r| r["spec"]["end"].is_null()).collect();
                let Some(one) = open.first() else { continue };
                let name = one["metadata"]["name"].as_str().unwrap();
                let of = |value: &Value| value.as_str().map(str::to_owned);
                site.excuse(
                    of(&one["spec"]["cause"]["policy"]).as_deref(),
                    of(&one["spec"]["streamName"]).as_deref(),
                    SignedDuration::ZERO,
                );
                if end_or_delete == 5 {
                    site.user(format!("deletes recording {name}"));
                    site.kubernetes.delete(RECORDINGS, NAMESPACE, name);
                } else {
                    site.user(format!("ends recording {name}"));
                    let end = json!({ "spec": { "end": world.now().to_string() } });
                    change(&site, RECORDINGS, name, end);
                }
            }
        }
    }
}

fn change(site: &Site, collection: &str, name: &str, patch: Value) {
    if site
        .kubernetes
        .get::<Value>(collection, NAMESPACE, name)
        .is_some()
    {
        site.kubernetes.change(collection, NAMESPACE, name, patch);
    }
}

/// Deletes an object and makes it again, as soon after `long` as the old one is gone.
async fn again(
    site: &Site,
    collection: &str,
    plural: &str,
    name: &str,
    long: i64,
    policy: Option<&str>,
    stream: Option<&str>,
) {
    let Some(old) = site.kubernetes.get::<Value>(collection, NAMESPACE, name) else {
        return;
    };
    let excuse = site.excuse(policy, stream, SignedDuration::from_millis(long));
    site.user(format!("deletes {plural} {name}"));
    site.kubernetes.delete(collection, NAMESPACE, name);
    site.world.wait(long..long + 1).await;
    while site
        .kubernetes
        .get::<Value>(collection, NAMESPACE, name)
        .is_some()
    {
        site.world.wait(60_000..60_001).await;
    }
    let metadata = json!({ "name": name, "namespace": NAMESPACE, "labels": old["metadata"]["labels"] });
    site.user(format!("makes {plural} {name} again"));
    site.kubernetes.create(
        plural,
        json!({ "apiVersion": old["apiVersion"], "kind": old["kind"], "metadata": metadata, "spec": old["spec"] }),
    );
    site.excused_until_now(excuse);
}

impl Site {
    /// A user does something.
    fn user(&self, what: String) {
        self.world.count("edits by users");
        self.world.tell(format!("a user {what}"));
    }

    /// Excuses episodes that touch the time from now on for so long. Returns which excuse it is.
    fn excuse(&self, policy: Option<&str>, stream: Option<&str>, long: SignedDuration) -> usize {
        let mut excuses = lock(&self.excuses);
        excuses.push(Excuse {
            policy: policy.map(str::to_owned),
            stream: stream.map(str::to_owned),
            from: self.world.now() - REACH,
            to: self.world.now() + long + REACH,
        });
        excuses.len() - 1
    }

    fn excused_until_now(&self, excuse: usize) {
        lock(&self.excuses)[excuse].to = self.world.now() + REACH;
    }

    /// Whether no recording need hold this episode.
    pub fn excused(&self, policy: &str, stream: &str, from: Timestamp, to: Timestamp) -> bool {
        lock(&self.excuses).iter().any(|excuse| {
            excuse.policy.as_deref().is_none_or(|of| of == policy)
                && excuse.stream.as_deref().is_none_or(|of| of == stream)
                && excuse.from < to
                && from < excuse.to
        })
    }

    /// All policies and streams are there and none is suspended, when the storm is over.
    pub fn mend(&self, made: &[(&'static str, Value)]) {
        for (plural, object) in made {
            let collection = format!("{}/{plural}", object["apiVersion"].as_str().unwrap());
            let name = object["metadata"]["name"].as_str().unwrap();
            match self.kubernetes.get::<Value>(&collection, NAMESPACE, name) {
                None => self.kubernetes.create(plural, object.clone()),
                Some(there) if there["spec"]["suspend"] == true => {
                    self.kubernetes.change(
                        &collection,
                        NAMESPACE,
                        name,
                        json!({ "spec": { "suspend": false } }),
                    );
                }
                Some(_) => {}
            }
        }
    }
}
