//! Whether the promise was kept. Reads only the ledger of what KVS persisted, the alarms' changes, S3 and the objects, and
//! none of the operator's code.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    matroska,
    site::{POLICIES, STREAMS, Site},
    video::{Persisted, Readable},
    world::lock,
};

/// Judges a world in which nothing is open any more.
pub fn judge(site: &Site) {
    let archive = Archive::read(site);
    let recordings = site.recordings();
    for (name, recording) in &recordings {
        finished(site, name, recording);
        complete(site, &archive, name, recording);
    }
    windows(site, &recordings);
    alarms(site, &recordings);
    for (name, at) in &lock(&site.video).deleted {
        site.world.tell(format!("{name} was deleted at {at}"));
    }
    for collection in [POLICIES, STREAMS] {
        for object in site.kubernetes.all::<Value>(collection) {
            ready(site, &object);
        }
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().map(|text| text.parse().unwrap())
}

fn ready(site: &Site, object: &Value) {
    let name = &object["metadata"]["name"];
    let conditions = object["status"]["conditions"].as_array();
    let ready = conditions.and_then(|all| all.iter().find(|c| c["type"] == "Ready"));
    if ready.is_none_or(|ready| ready["status"] != "True") {
        site.world
            .violated(format!("{name} does not come to rest: {ready:?}"));
    }
}

fn finished(site: &Site, name: &str, recording: &Value) {
    let phase = recording["status"]["phase"].as_str();
    if !matches!(phase, Some("Complete" | "Incomplete")) {
        site.world
            .violated(format!("{name} does not finish: {}", recording["status"]));
    }
}

/// What S3 holds, by what the manifests say.
struct Archive {
    /// By recording and stream ARN, then by fragment: every time that a manifest names it.
    named: BTreeMap<(String, String), BTreeMap<String, Vec<Named>>>,
    /// By recording and stream ARN.
    lost_spans: BTreeMap<(String, String), Vec<(Timestamp, Timestamp)>>,
}

enum Named {
    Stored {
        key: String,
        sound: bool,
        bytes: bytes::Bytes,
    },
    Unread,
    Lost,
}

impl Archive {
    fn read(site: &Site) -> Self {
        let shelf = lock(&site.shelf);
        let mut archive = Self {
            named: BTreeMap::new(),
            lost_spans: BTreeMap::new(),
        };
        for (key, object) in shelf.iter().filter(|(key, _)| key.ends_with(".manifest.json")) {
            let manifest: Value = serde_json::from_slice(&object.bytes).unwrap();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let of = (text(&manifest["recording"]["name"]), text(&manifest["streamARN"]));
            let spans = archive.lost_spans.entry(of.clone()).or_default();
            for span in manifest["lostSpans"].as_array().into_iter().flatten() {
                spans.push((time(&span["from"]).unwrap(), time(&span["to"]).unwrap()));
            }
            let named = archive.named.entry(of).or_default();
            for entry in manifest["fragments"].as_array().unwrap() {
                let what = if let Some(index) = entry["object"].as_u64() {
                    let stored = &manifest["objects"][usize::try_from(index).unwrap()];
                    let at = text(&stored["key"]);
                    match shelf.get(&at) {
                        None => {
                            site.world
                                .violated(format!("{key} names {at}, which is not there"));
                            continue;
                        }
                        Some(found) => Named::Stored {
                            key: at,
                            sound: hex::encode(Sha256::digest(&found.bytes)) == text(&stored["sha256"]),
                            bytes: found.bytes.clone(),
                        },
                    }
                } else if entry.get("lost").is_some() {
                    Named::Lost
                } else {
                    Named::Unread
                };
                named.entry(text(&entry["number"])).or_default().push(what);
            }
        }
        archive
    }
}

/// Every fragment inside the recording is in S3 exactly once, or is listed as lost with a true reason.
fn complete(site: &Site, archive: &Archive, name: &str, recording: &Value) {
    let spec = &recording["spec"];
    let (Some(start), Some(end)) = (time(&spec["start"]), time(&spec["end"])) else {
        return site.world.violated(format!("{name} has no end"));
    };
    let of = (name.to_owned(), spec["streamARN"].as_str().unwrap().to_owned());
    let (nothing, no_spans) = (BTreeMap::new(), vec![]);
    let named = archive.named.get(&of).unwrap_or(&nothing);
    let spans = archive.lost_spans.get(&of).unwrap_or(&no_spans);
    let video = lock(&site.video);
    let inside =
        |line: &&Persisted| line.arn == of.1 && start <= line.fragment.server && line.fragment.server < end;
    for line in video.ledger.iter().filter(inside) {
        let number = line.fragment.number.as_str();
        let entries = named.get(number).map(Vec::as_slice).unwrap_or_default();
        let stored: Vec<_> = entries
            .iter()
            .filter(|e| matches!(e, Named::Stored { .. }))
            .collect();
        let lost = entries.iter().filter(|e| matches!(e, Named::Lost)).count();
        let in_span = spans
            .iter()
            .any(|(from, to)| *from <= line.fragment.server && line.fragment.server < *to);
        match (stored.as_slice(), lost) {
            ([Named::Stored { key, sound, bytes }], 0) => {
                let count = |n| count(bytes, matroska::frame(number, n).as_bytes());
                let frames = line.fragment.length_ms / matroska::FRAME;
                if !sound || (0..=frames).any(|n| count(n) != 1) {
                    site.world
                        .violated(format!("{name}: {key} does not hold {number} as it was"));
                }
                site.world.count("fragments archived");
            }
            ([], 1) | ([], 0) if lost == 1 || in_span => {
                let true_reason = line.gone.is_some() || line.readable != Readable::Yes;
                if !true_reason {
                    site.world
                        .violated(format!("{name}: {number} is lost without a reason"));
                }
                site.world.count("fragments lost with a true reason");
            }
            (stored, lost) => site.world.violated(format!(
                "{name}: {number} of {} is stored {} times, lost {lost} times, unread {}",
                line.fragment.server,
                stored.len(),
                entries.len() - stored.len() - lost,
            )),
        }
    }
}

fn count(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).filter(|window| *window == what).count()
}

/// Windows of one policy and stream never overlap.
fn windows(site: &Site, recordings: &BTreeMap<String, Value>) {
    type Window<'a> = (Timestamp, Timestamp, &'a str);
    let mut by: BTreeMap<(String, String), Vec<Window<'_>>> = BTreeMap::new();
    for (name, recording) in recordings {
        let spec = &recording["spec"];
        let (Some(start), Some(end)) = (time(&spec["start"]), time(&spec["end"])) else {
            continue;
        };
        let of = (spec["cause"]["policy"].to_string(), spec["streamARN"].to_string());
        by.entry(of).or_default().push((start, end, name));
    }
    for windows in by.values_mut() {
        windows.sort();
        for pair in windows.windows(2) {
            if pair[1].0 < pair[0].1 {
                site.world
                    .violated(format!("{} and {} overlap", pair[0].2, pair[1].2));
            }
        }
    }
}

/// Every second of ALARM lies in a recording of the policy.
fn alarms(site: &Site, recordings: &BTreeMap<String, Value>) {
    let cloudwatch = lock(&site.cloudwatch);
    let mut since: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for change in &cloudwatch.changes {
        if change.alarm {
            since.entry(&change.name).or_insert(change.at);
            continue;
        }
        let Some(from) = since.remove(&*change.name) else {
            continue;
        };
        let policy = change.name.split('/').nth(2).unwrap_or_default();
        let mut at = from;
        while at < change.at {
            let covers = |recording: &&Value| {
                let spec = &recording["spec"];
                spec["cause"]["policy"] == policy
                    && spec["streamName"] == change.stream.as_str()
                    && time(&spec["start"]).is_some_and(|start| start <= at)
                    && time(&spec["end"]).is_none_or(|end| at < end)
            };
            match recordings.values().find(covers) {
                Some(recording) => match time(&recording["spec"]["end"]) {
                    Some(end) => at = end,
                    None => break,
                },
                None if site.excused(policy, &change.stream, from, change.at) => break,
                None => {
                    site.world.violated(format!(
                        "{}: in ALARM from {from} to {}, and no recording holds {at}",
                        change.name, change.at
                    ));
                    break;
                }
            }
        }
        site.world.count("episodes");
        let length: SignedDuration = change.at.duration_since(from);
        site.world
            .tell(format!("{}: in ALARM for {length:#} from {from}", change.name));
    }
}
