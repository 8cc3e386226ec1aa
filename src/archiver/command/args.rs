//! The flags of `kvs-operator archive`.

use std::{collections::BTreeMap, path::PathBuf};

use clap::ValueEnum;
use jiff::Timestamp;

use crate::{
    api::{
        Clip, Container, Destination, ObjectEncryption, ObjectLock, ObjectLockMode, S3Destination,
        ServerSideEncryption, Span, StorageClass,
    },
    archiver::{
        error::{ArchiveError, Result},
        request::{ArchiveRequest, RecordingIdentity, Task, TimestampType, VERSION},
    },
    aws::{Role, StreamArn},
};

/// What to archive, from where, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct ArchiveArgs {
    /// The stream's name or ARN.
    #[arg(long, required_unless_present = "request")]
    stream: Option<String>,
    /// Where the span begins, inclusive, as 2026-11-22T10:00:00Z.
    #[arg(long, required_unless_present = "request")]
    from: Option<Timestamp>,
    /// Where it ends, exclusive.
    #[arg(long, required_unless_present = "request")]
    to: Option<Timestamp>,
    /// The bucket.
    #[arg(long, required_unless_present = "request")]
    bucket: Option<String>,
    /// What every key begins with.
    #[arg(long, default_value = "")]
    prefix: String,
    /// The bucket's region. Default: the stream's.
    #[arg(long)]
    bucket_region: Option<String>,
    /// The account that must own the bucket.
    #[arg(long)]
    expected_bucket_owner: Option<String>,
    /// The storage class of files of footage; plans and manifests are always in STANDARD. Default: STANDARD.
    #[arg(long, value_parser = api_value::<StorageClass>, value_name = "CLASS")]
    storage_class: Option<StorageClass>,
    /// How every object is encrypted: AES256, aws:kms or aws:kms:dsse. Default: as the bucket says.
    #[arg(long, value_parser = api_value::<ServerSideEncryption>, value_name = "ALGORITHM")]
    sse: Option<ServerSideEncryption>,
    /// The KMS key for --sse aws:kms or aws:kms:dsse. Default: the account's key aws/s3.
    #[arg(long, requires = "sse", value_name = "KEY")]
    sse_kms_key_id: Option<String>,
    /// A tag of files of footage; can be given up to ten times.
    #[arg(long = "tag", value_parser = tag, value_name = "KEY=VALUE")]
    tags: Vec<(String, String)>,
    /// Keep every object from deletion: GOVERNANCE or COMPLIANCE. The bucket must have object lock enabled.
    #[arg(long, requires = "object_lock_days", value_parser = api_value::<ObjectLockMode>, value_name = "MODE")]
    object_lock_mode: Option<ObjectLockMode>,
    /// For so many days from its writing.
    #[arg(long, requires = "object_lock_mode", value_parser = clap::value_parser!(i32).range(1..=36500), value_name = "DAYS")]
    object_lock_days: Option<i32>,
    /// Put every object on legal hold: nobody can delete it until the hold is taken off.
    #[arg(long)]
    legal_hold: bool,
    /// Which of a fragment's times the span is in: when KVS received it, or the camera's clock.
    #[arg(long, value_enum, default_value_t = By::Server)]
    by: By,
    /// Auto: MP4 where the codecs allow it, otherwise Matroska. Matroska: always.
    #[arg(long, value_enum, default_value_t = Kind::Auto)]
    container: Kind,
    /// How long a file gets, from 10s to 1h.
    #[arg(long, default_value = "3m")]
    clip_duration: Span,
    /// How long after its server time a fragment counts as listable.
    #[arg(long, default_value = "60s")]
    settle: Span,
    /// The stream's region. Default: as the AWS SDK finds it.
    #[arg(long)]
    pub region: Option<String>,
    /// A role by which the stream is read, where it is in another account. S3 is called without it.
    #[arg(long)]
    role_arn: Option<String>,
    /// The external id that the role asks for.
    #[arg(long, requires = "role_arn")]
    external_id: Option<String>,
    /// The recording's name: with the span, what makes this archive another than others of the stream.
    #[arg(long, default_value = "manual")]
    recording: String,
    /// List the span again and archive what no manifest of the recording holds.
    #[arg(long)]
    pub sweep: bool,
    /// With --sweep: if nothing new is found, write the recording's root.
    #[arg(long, requires = "sweep")]
    pub close: bool,
    /// Show what would be done (files, bytes, gaps, price), and do nothing of it.
    #[arg(long, conflicts_with = "sweep")]
    pub dry_run: bool,
    /// With --sweep: what a camera sent later belongs to the span, too: fragments whose own time is in it.
    #[arg(long, requires = "sweep")]
    pub late_uploads: bool,
    /// End with exit code 5 if anything is lost.
    #[arg(long)]
    pub fail_on_loss: bool,
    /// The most fragments a second that are asked for; a stream gives 500 to all its readers together.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub fragments_per_second: u32,
    /// Where footage is put together before it goes to S3. Default: where the system keeps temporary files.
    #[arg(long)]
    pub spool: Option<PathBuf>,
    /// All of it as one JSON argument, as Jobs pass it.
    #[arg(long, hide = true, conflicts_with_all = ["stream", "from", "to", "bucket", "prefix", "bucket_region",
        "expected_bucket_owner", "storage_class", "sse", "sse_kms_key_id", "tags", "object_lock_mode", "object_lock_days",
        "legal_hold", "by", "container", "clip_duration", "settle", "region", "role_arn", "external_id", "recording",
        "sweep", "dry_run"])]
    pub request: Option<String>,
    /// Where the report is left as well, if the file is there.
    #[arg(long, hide = true, default_value = "/dev/termination-log")]
    pub termination_log: PathBuf,
}

/// Which of a fragment's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    Server,
    Producer,
}

/// Which container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    #[value(name = "Auto")]
    Auto,
    #[value(name = "Matroska")]
    Matroska,
}

/// A value as the API writes it.
fn api_value<T: serde::de::DeserializeOwned>(text: &str) -> std::result::Result<T, String> {
    serde_json::from_value(text.into()).map_err(|e| e.to_string())
}

/// A tag as `KEY=VALUE`, with S3's limits.
fn tag(text: &str) -> std::result::Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a tag is KEY=VALUE")?;
    let allowed = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+@-".contains(c);
    if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
        return Err("a tag's key has 1 to 128 characters, its value at most 256".into());
    }
    if key.starts_with("aws:") || !text.chars().all(allowed) {
        return Err("a tag has letters, digits, spaces and _.:/=+@- and does not begin with aws:".into());
    }
    Ok((key.to_owned(), value.to_owned()))
}

impl ArchiveArgs {
    /// The stream's name or ARN.
    pub fn stream(&self) -> &str {
        self.stream.as_deref().unwrap_or_default()
    }

    /// The role by which the stream is read.
    pub fn role(&self) -> Option<Role> {
        Role::of(self.role_arn.as_ref(), self.external_id.as_ref())
    }

    /// The request for the first slice of the span.
    pub fn request(&self, stream: &StreamArn) -> Result<ArchiveRequest> {
        let invalid = |text: &str| Err(ArchiveError::Invalid(text.into()));
        let (Some(from), Some(to), Some(bucket)) = (self.from, self.to, &self.bucket) else {
            return invalid("--from, --to and --bucket are needed");
        };
        // Keys have microseconds, as Kubernetes' times do; KVS's have milliseconds.
        let micros = |t: Timestamp| Timestamp::from_microsecond(t.as_microsecond()).unwrap_or(t);
        let (from, to) = (micros(from), micros(to));
        if from >= to {
            return invalid("--from must be before --to");
        }
        let length = self.clip_duration.secs();
        if !(10..=3600).contains(&length) {
            return invalid("--clip-duration: from 10s to 1h");
        }
        let named = |c: char| c.is_ascii_alphanumeric() || "!_.*'()-".contains(c);
        if self.recording.is_empty() || self.recording.len() > 128 || !self.recording.chars().all(named) {
            return invalid("--recording: 1 to 128 letters, digits and !_.*'()-");
        }
        if self.sse_kms_key_id.is_some() && self.sse == Some(ServerSideEncryption::Aes256) {
            return invalid("--sse-kms-key-id: only with --sse aws:kms or aws:kms:dsse");
        }
        let tags: BTreeMap<_, _> = self.tags.iter().cloned().collect();
        if tags.len() > 10 || tags.len() < self.tags.len() {
            return invalid("--tag: at most ten, each key once");
        }
        let s3 = S3Destination {
            bucket: bucket.clone(),
            region: self.bucket_region.clone(),
            prefix: self.prefix.trim_matches('/').into(),
            expected_bucket_owner: self.expected_bucket_owner.clone(),
            storage_class: self.storage_class,
            encryption: self.sse.map(|server_side_encryption| ObjectEncryption {
                server_side_encryption,
                kms_key_id: self.sse_kms_key_id.clone(),
            }),
            tags,
            object_lock: self
                .object_lock_mode
                .zip(self.object_lock_days)
                .map(|(mode, days)| ObjectLock { mode, days }),
        };
        Ok(ArchiveRequest {
            version: VERSION,
            stream_arn: stream.to_string(),
            role_arn: self.role_arn.clone(),
            external_id: self.external_id.clone(),
            recording: RecordingIdentity {
                namespace: String::new(),
                name: self.recording.clone(),
                timestamp_type: match self.by {
                    By::Server => TimestampType::ServerTimestamp,
                    By::Producer => TimestampType::ProducerTimestamp,
                },
                start: from,
                end: Some(to),
            },
            task: Task::Slice {
                from,
                to,
                predecessor: None,
            },
            destination: Destination { s3 },
            legal_hold: self.legal_hold,
            clip: Clip {
                duration: self.clip_duration,
                container: match self.container {
                    Kind::Auto => Container::Auto,
                    Kind::Matroska => Container::Matroska,
                },
            },
            settle: self.settle,
            cause: None,
        })
    }
}
