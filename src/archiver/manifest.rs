//! What came of a piece of work: the commit record, and the root that names all commit records of a closed recording.
//!
//! Pure data. A fragment counts as archived when a manifest says so, and not before. Readers take what they know and ignore
//! fields that they do not; a change that would mislead an older reader gets another version.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    plan::{About, Hole, LostSpan, Plan, VERSION, Work},
    request::RecordingIdentity,
};
use crate::{
    api::{Cause, Counts, Loss, ObjectRef},
    aws::Fragment,
};

/// Name and version of this program.
pub const PROGRAM: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

/// The commit record of a slice or of what a sweep found.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The document's version.
    pub version: u32,
    /// The program that wrote it.
    pub program: String,
    /// The stream.
    #[serde(rename = "streamARN")]
    pub stream_arn: String,
    /// The recording.
    pub recording: RecordingIdentity,
    /// Why the recording exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Which piece of work it is.
    pub work: Work,
    /// The plan that was followed.
    pub plan: ObjectRef,
    /// The manifest before this one: slices follow slices, sweeps follow sweeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<ObjectRef>,
    /// The files, in order.
    pub objects: Vec<ArchivedObject>,
    /// Every fragment of the plan, in order.
    pub fragments: Vec<Entry>,
    /// Holes in the camera's time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Hole>,
    /// Times that the camera sent again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<Hole>,
    /// Up to where the camera's time is covered by this slice and those before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covered: Option<Timestamp>,
    /// Footage that was lost before it could be listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_spans: Vec<LostSpan>,
    /// All of it in numbers.
    pub counts: Counts,
}

/// A file of footage.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchivedObject {
    /// Its key.
    pub key: String,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// Which chunk of the plan it is of.
    pub chunk: u32,
    /// Which part of the chunk it is: a codec change begins another.
    pub part: u32,
    /// What a user of the file should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
}

/// What a user of a file should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Flag {
    /// The camera's clock is more than 24 h off.
    ClockSkew,
    /// Its first picture needs one that is not in the file.
    NoKeyFrame,
    /// A fragment that arrived whole but cannot be parsed, as it came.
    Raw,
}

/// A fragment and what became of it.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// What KVS listed.
    #[serde(flatten)]
    pub fragment: Fragment,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
    /// The tags that the producer gave it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, String)>,
}

/// The producer's tags of the fragments in a file of footage, in their order. Written before the file, so that whoever finds
/// the file need not ask KVS for it again; the manifest has them, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FragmentTags {
    /// The document's version.
    pub version: u32,
    /// A list for every fragment, most of them empty.
    pub tags: Vec<Vec<(String, String)>>,
}

/// What became of a fragment.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fate {
    /// It is in this file: an index into `objects`.
    Object(u32),
    /// KVS did not deliver it whole. Later sweeps try again.
    Unread(Unread),
    /// It is lost, for this reason.
    Lost(String),
    /// It was erased on purpose before it was archived: the key of the tombstone.
    Erased(String),
}

/// Why a fragment could not be read.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unread {
    /// What KVS said.
    pub reason: String,
    /// Access or key: a person can mend it, and it is never loss.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub denied: bool,
}

/// `recording.json`: what a closed recording consists of. Where something was found behind it, `recording-000005.json` (by its
/// position) names all anew: of a recording's roots, the one with the greatest position counts.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Root {
    /// The document's version.
    pub version: u32,
    /// The program that wrote it.
    pub program: String,
    /// The stream.
    #[serde(rename = "streamARN")]
    pub stream_arn: String,
    /// The recording.
    pub recording: RecordingIdentity,
    /// Why it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Where its window ends: it is [recording.start, through).
    pub through: Timestamp,
    /// The place of the closing among what sweeps of this recording found: what has a smaller one is in here.
    pub position: u32,
    /// All its manifests: slices in order of time, then what sweeps found, in order.
    pub manifests: Vec<ObjectRef>,
    /// All of it in numbers.
    pub counts: Counts,
    /// What is lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Loss>,
}

impl About for Manifest {
    fn about(&self) -> (&str, Work) {
        (&self.stream_arn, self.work)
    }
}

impl Manifest {
    /// The manifest of a plan: what became of its fragments, in their order, and the files that they are in.
    pub fn of(
        plan: &Plan,
        plan_ref: ObjectRef,
        cause: Option<Cause>,
        objects: Vec<ArchivedObject>,
        fragments: Vec<Entry>,
    ) -> Self {
        let lost = plan.lost.iter().map(|l| Entry {
            fragment: l.fragment.clone(),
            fate: Fate::Lost(l.reason.clone()),
            tags: Vec::new(),
        });
        let mut manifest = Self {
            version: VERSION,
            program: PROGRAM.into(),
            stream_arn: plan.stream_arn.clone(),
            recording: plan.recording.clone(),
            cause,
            work: plan.work,
            plan: plan_ref,
            predecessor: plan.predecessor.clone(),
            objects,
            fragments: fragments.into_iter().chain(lost).collect(),
            gaps: plan.gaps.clone(),
            repeats: plan.repeats.clone(),
            covered: plan.covered,
            lost_spans: plan.lost_spans.clone(),
            counts: Counts::default(),
        };
        manifest.counts = manifest.counted();
        manifest
    }

    /// The counts, from what the manifest holds.
    pub fn counted(&self) -> Counts {
        let mut counts = Counts {
            clips: self.objects.len() as i64,
            bytes: self.objects.iter().map(|o| o.bytes as i64).sum(),
            lost: self.lost_spans.len() as i64,
            gaps: self.gaps.len() as i64,
            ..Counts::default()
        };
        for entry in &self.fragments {
            match entry.fate {
                Fate::Object(_) => counts.fragments += 1,
                Fate::Unread(_) => counts.unread += 1,
                Fate::Lost(_) => counts.lost += 1,
                Fate::Erased(_) => counts.erased += 1,
            }
        }
        counts
    }

    /// What is lost, spans first.
    pub fn losses(&self) -> impl Iterator<Item = Loss> + '_ {
        let spans = self.lost_spans.iter().map(|span| Loss {
            what: format!("{}/{}", span.from, span.to),
            reason: span.reason.clone(),
        });
        let fragments = self.fragments.iter().filter_map(|entry| match &entry.fate {
            Fate::Lost(reason) => Some(Loss {
                what: entry.fragment.number.to_string(),
                reason: reason.clone(),
            }),
            Fate::Object(_) | Fate::Unread(_) | Fate::Erased(_) => None,
        });
        spans.chain(fragments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of the document, which readers written elsewhere rely on.
    #[test]
    fn an_entry_is_written_like_this() {
        let entry = |fate| Entry {
            fragment: Fragment {
                number: "913".parse().unwrap(),
                producer: "2026-11-22T10:00:00.5Z".parse().unwrap(),
                server: "2026-11-22T10:00:01Z".parse().unwrap(),
                length_ms: 1960,
                bytes: 250_000,
            },
            fate,
            tags: vec![],
        };
        let listed = r#"{"number":"913","producer":"2026-11-22T10:00:00.5Z","server":"2026-11-22T10:00:01Z","lengthMs":1960,"bytes":250000,"#;
        for (fate, words) in [
            (Fate::Object(3), r#""object":3}"#),
            (Fate::Lost("expired".into()), r#""lost":"expired"}"#),
            (Fate::Erased("t".into()), r#""erased":"t"}"#),
            (
                Fate::Unread(Unread {
                    reason: "5000".into(),
                    denied: false,
                }),
                r#""unread":{"reason":"5000"}}"#,
            ),
            (
                Fate::Unread(Unread {
                    reason: "4500".into(),
                    denied: true,
                }),
                r#""unread":{"reason":"4500","denied":true}}"#,
            ),
        ] {
            let text = serde_json::to_string(&entry(fate.clone())).unwrap();
            assert_eq!(text, format!("{listed}{words}"));
            assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry(fate));
        }
        let mut tagged = entry(Fate::Object(0));
        tagged.tags = vec![("door".into(), "open".into())];
        let text = serde_json::to_string(&tagged).unwrap();
        assert!(
            text.ends_with(r#""object":0,"tags":[["door","open"]]}"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), tagged);
    }
}
