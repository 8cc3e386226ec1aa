//! The flags of `kvs-operator archive`.

use std::path::PathBuf;

use clap::ValueEnum;
use jiff::Timestamp;

use crate::{
    api::{Clip, Container, Destination, S3Destination, Span},
    archiver::{
        error::{ArchiveError, Result},
        request::{ArchiveRequest, RecordingIdentity, Task, TimestampType, VERSION},
    },
    aws::StreamArn,
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
    /// The recording's name: with the span, what makes this archive another than others of the stream.
    #[arg(long, default_value = "manual")]
    recording: String,
    /// List the span again and archive what no manifest of the recording holds.
    #[arg(long)]
    pub sweep: bool,
    /// With --sweep: if nothing new is found, write the recording's root.
    #[arg(long, requires = "sweep")]
    pub close: bool,
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
        "expected_bucket_owner", "by", "container", "clip_duration", "settle", "region", "recording", "sweep"])]
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

impl ArchiveArgs {
    /// The stream's name or ARN.
    pub fn stream(&self) -> &str {
        self.stream.as_deref().unwrap_or_default()
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
        let s3 = S3Destination {
            bucket: bucket.clone(),
            region: self.bucket_region.clone(),
            prefix: self.prefix.trim_matches('/').into(),
            expected_bucket_owner: self.expected_bucket_owner.clone(),
        };
        Ok(ArchiveRequest {
            version: VERSION,
            stream_arn: stream.to_string(),
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
