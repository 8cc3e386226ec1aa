//! The streams: what is known of each, its states over time, and its file in the data folder.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    archive::store::Store,
    error::{ApiError, ApiResult},
    validate,
};
use crate::world::Place;

/// How a request names a stream: by exactly one of the two.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct StreamRef {
    /// The name.
    #[serde(rename = "StreamName")]
    pub name: Option<String>,
    /// The ARN.
    #[serde(rename = "StreamARN")]
    pub arn: Option<String>,
}

/// A stream's state, as DescribeStream shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Being created.
    Creating,
    /// Usable and changeable.
    Active,
    /// Being changed.
    Updating,
    /// Being deleted.
    Deleting,
}

/// A stream. Times in ms since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stream {
    /// Its region and account (`Place::key`).
    pub region: String,
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was created.
    pub created: i64,
    /// See the API.
    pub device_name: Option<String>,
    /// See the API.
    pub media_type: Option<String>,
    /// See the API.
    pub kms_key_id: String,
    /// See the API.
    pub retention_hours: i64,
    /// HOT or WARM.
    pub tier: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// When they were last changed (ms).
    #[serde(default)]
    pub tagged: i64,
    /// As the client sent it.
    pub image_generation: Option<Value>,
    /// As the client sent it.
    pub notification: Option<Value>,
    /// Another one after every change.
    pub version: String,
    /// From when on it is found.
    #[serde(default)]
    pub visible: i64,
    /// What it is until `until`; then it is ACTIVE, or gone.
    pub status: Status,
    /// See `status`.
    pub until: i64,
}

impl Stream {
    /// The state at a time; `None`: gone.
    pub fn status_at(&self, now: i64) -> Option<Status> {
        match self.status {
            _ if now < self.until => Some(self.status),
            Status::Deleting => None,
            _ => Some(Status::Active),
        }
    }

    /// What began before this (ms) has expired.
    pub fn horizon(&self, now: i64) -> i64 {
        now.saturating_sub(self.retention_hours.saturating_mul(3_600_000))
    }
}

/// A stream and its footage.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What is known of it.
    pub stream: Stream,
    /// Its fragments.
    pub store: Arc<Store>,
}

/// All streams, by region and name.
#[derive(Debug)]
pub struct Streams {
    folder: PathBuf,
    entries: HashMap<(String, String), Entry>,
}

impl Streams {
    /// Opens what the data folder holds. `last` is the ledger's last entry.
    pub fn open(folder: PathBuf, last: u64) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut entries = HashMap::new();
        for folder in fs::read_dir(&folder)? {
            let folder = folder?.path();
            let Ok(json) = fs::read(folder.join("stream.json")) else {
                continue;
            };
            let stream: Stream = serde_json::from_slice(&json)?;
            let store = Arc::new(Store::open(&folder, last)?);
            entries.insert(
                (stream.region.clone(), stream.name.clone()),
                Entry { stream, store },
            );
        }
        Ok(Self { folder, entries })
    }

    /// All streams of a region that are there at a time, by name.
    pub fn list(&self, region: &str, now: i64) -> Vec<&Stream> {
        let mut streams: Vec<&Stream> = self
            .entries
            .values()
            .map(|e| &e.stream)
            .filter(|s| s.region == region && s.visible <= now && s.status_at(now).is_some())
            .collect();
        streams.sort_by(|a, b| a.name.cmp(&b.name));
        streams
    }

    /// Whether a name is taken, be its stream found already or not.
    pub fn is_taken(&self, region: &str, name: &str, now: i64) -> bool {
        let entry = self.entries.get(&(region.to_owned(), name.to_owned()));
        entry.is_some_and(|e| e.stream.status_at(now).is_some())
    }

    /// Every stream of every region.
    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The stream that a request names.
    pub fn find(&self, region: &str, which: &StreamRef, now: i64) -> ApiResult<Entry> {
        let name = match (&which.name, &which.arn) {
            (Some(name), None) => {
                validate::name("StreamName", name, 256)?;
                name.as_str()
            }
            (None, Some(arn)) if !validate::is_stream_arn(arn) => {
                return Err(ApiError::invalid(format!(
                    "StreamARN {arn} is not the ARN of a stream."
                )));
            }
            (None, Some(arn)) => arn.split('/').nth(1).unwrap_or_default(),
            _ => {
                return Err(ApiError::invalid(
                    "Specify either StreamName or StreamARN, and not both.",
                ));
            }
        };
        self.entries
            .get(&(region.to_owned(), name.to_owned()))
            .filter(|e| which.arn.as_ref().is_none_or(|arn| *arn == e.stream.arn))
            .filter(|e| e.stream.visible <= now && e.stream.status_at(now).is_some())
            .cloned()
            .ok_or_else(ApiError::no_stream)
    }

    /// Adds a stream; `last` is the ledger's last entry.
    pub fn create(&mut self, stream: Stream, last: u64) -> ApiResult<()> {
        let key = (stream.region.clone(), stream.name.clone());
        let folder = self.folder_of(&stream);
        let store = Arc::new(Store::open(&folder, last)?);
        save(&folder, &stream)?;
        self.entries.insert(key, Entry { stream, store });
        Ok(())
    }

    /// Writes a changed stream.
    pub fn update(&mut self, stream: Stream) -> ApiResult<()> {
        let folder = self.folder_of(&stream);
        let Some(entry) = self
            .entries
            .get_mut(&(stream.region.clone(), stream.name.clone()))
        else {
            return Err(ApiError::no_stream());
        };
        save(&folder, &stream)?;
        entry.stream = stream;
        Ok(())
    }

    /// Forgets the streams whose deletion is over, and drops their files.
    pub fn sweep(&mut self, now: i64) -> std::io::Result<()> {
        let gone: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, e)| e.stream.status_at(now).is_none())
            .map(|(k, _)| k.clone())
            .collect();
        for key in gone {
            if let Some(entry) = self.entries.remove(&key) {
                entry.store.destroy()?;
            }
        }
        Ok(())
    }

    fn folder_of(&self, stream: &Stream) -> PathBuf {
        // A name may be `..`; with the region before it and the time of creation behind it is a plain name.
        self.folder
            .join(format!("{}_{}-{}", stream.region, stream.name, stream.created))
    }
}

/// The ARN of a stream that is created at a time (ms).
pub fn arn(place: &str, name: &str, created: i64) -> String {
    let Place { region, account } = Place::of(place);
    format!("arn:aws:kinesisvideo:{region}:{account}:stream/{name}/{created}")
}

/// Another version: 20 letters and digits that say nothing.
pub fn new_version() -> String {
    use rand::distr::{Alphanumeric, SampleString};
    Alphanumeric.sample_string(&mut rand::rng(), 20)
}

fn save(folder: &Path, stream: &Stream) -> ApiResult<()> {
    let new = folder.join("stream.new");
    let json = serde_json::to_vec_pretty(stream).map_err(ApiError::internal)?;
    fs::write(&new, json)?;
    fs::rename(new, folder.join("stream.json"))?;
    Ok(())
}
