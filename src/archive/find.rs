//! `kvs-operator find`: which files hold the footage of a moment.
//!
//! May: read. May not: change anything.

use std::process::ExitCode;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    catalogue::Archive,
    files::{FootageFile, files},
    place::{Output, Place},
};
use crate::{
    archiver::{error::Result, request::Outcome},
    runtime::telemetry,
};

/// How long the last frame of a file may be shown: what no listing says.
const LAST_FRAME: SignedDuration = SignedDuration::from_millis(250);

/// Of which stream, and when.
#[derive(Clone, Debug, clap::Args)]
pub struct Find {
    /// The stream's name.
    stream: String,
    /// The moment by the camera's clock, as 2026-11-22T10:00:00Z or 2026-11-22T11:00:00+01:00.
    #[arg(long)]
    at: Timestamp,
    #[command(flatten)]
    place: Place,
    /// Default: text on a terminal, else JSON.
    #[arg(long, value_enum)]
    output: Option<Output>,
}

/// A file around a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hit {
    /// Its key.
    pub key: String,
    /// The manifest that names its fragments.
    pub manifest: String,
    /// When its first frame was taken, by the camera's clock.
    pub from: Timestamp,
    /// When its last frame was taken.
    pub to: Timestamp,
    /// How far into the file the moment is, in ms: where a player has to jump to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset_ms: Option<i64>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// The files that hold the moment: one of each recording that archived it.
    pub files: Vec<Hit>,
    /// Whether footage of the moment was erased.
    pub erased: bool,
    /// Where none holds it: the last file before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Hit>,
    /// And the first one after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Hit>,
}

/// Runs the command.
pub async fn run(args: Find) -> ExitCode {
    telemetry::start();
    let (archive, ..) = args.place.open(None).await;
    let found = match find(&archive, &args.stream, args.at).await {
        Ok(found) => found,
        Err(e) => {
            tracing::error!("{}", e.chain());
            return ExitCode::from(e.outcome().exit_code());
        }
    };
    Output::tell(args.output, &found, |found| found.text(args.at));
    let outcome = if found.files.is_empty() {
        Outcome::TryAgain
    } else {
        Outcome::Committed
    };
    ExitCode::from(outcome.exit_code())
}

/// Looks through all manifests of a stream.
pub async fn find(archive: &Archive, stream: &str, at: Timestamp) -> Result<Found> {
    let mut found = Found::default();
    for folder in archive.stream(stream).await? {
        let tombstones = archive.tombstones(&folder).await?;
        let recordings = archive.recordings(&folder).await?;
        let visit = |manifest: &_, key: &str| {
            let (files, erased) = files(manifest, &tombstones);
            found.erased |= erased.iter().any(|f| f.producer <= at && at <= f.producer_end());
            files.iter().for_each(|file| found.take(file, key, at));
            Ok(())
        };
        archive.manifests(&recordings, visit).await?;
    }
    if !found.files.is_empty() {
        (found.before, found.after) = (None, None);
    }
    found.files.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

impl Found {
    /// Takes notice of a file. In it camera's time only goes forward.
    fn take(&mut self, file: &FootageFile, manifest: &str, at: Timestamp) {
        let (Some(first), Some(last)) = (file.fragments.first(), file.fragments.last()) else {
            return;
        };
        let hit = |offset_ms| Hit {
            key: file.key.clone(),
            manifest: manifest.into(),
            from: first.producer,
            to: last.producer_end(),
            offset_ms,
        };
        if at < first.producer {
            if self.after.as_ref().is_none_or(|a| first.producer < a.from) {
                self.after = Some(hit(None));
            }
        } else if at.duration_since(last.producer_end()) > LAST_FRAME {
            if self.before.as_ref().is_none_or(|b| b.to < last.producer_end()) {
                self.before = Some(hit(None));
            }
        } else {
            self.files
                .push(hit(Some(at.as_millisecond() - first.producer.as_millisecond())));
        }
    }

    fn text(&self, at: Timestamp) -> String {
        let mut text = String::new();
        for hit in &self.files {
            let into = hit.offset_ms.unwrap_or(0) as f64 / 1000.0;
            let Hit {
                key,
                manifest,
                from,
                to,
                ..
            } = hit;
            text.push_str(&format!(
                "{key}: {into:.3} s into it ({from} to {to}; {manifest})\n"
            ));
        }
        if self.erased {
            text.push_str(&format!("footage of {at} was erased\n"));
        }
        if self.files.is_empty() {
            text.push_str(&format!("no footage at {at}\n"));
        }
        for (where_, hit) in [("before", &self.before), ("after", &self.after)] {
            if let Some(Hit { key, from, to, .. }) = hit {
                text.push_str(&format!("{where_} it: {key} ({from} to {to})\n"));
            }
        }
        text
    }
}
