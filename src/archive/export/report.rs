//! What is told of an export.
//!
//! Pure.

use indicatif::HumanBytes;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::Serialize;

use super::choice::{Choice, Missing};
use crate::{
    archive::times::shown,
    archiver::{gaps, plan::Hole},
    aws::Fragment,
};

/// What came of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The file; none where there is no footage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Exported>,
    /// What was asked for.
    pub asked: Stretch,
    /// What the reader of the file should know, in the order of time.
    pub notes: Vec<Note>,
}

/// The file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    /// Its path.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
    /// From the first fragment's start to the start of the last one's last frame, by the camera's clock.
    pub covers: Stretch,
    /// How many fragments are in it.
    pub fragments: usize,
    /// How many files of the archive were read for it.
    pub files: usize,
    /// How many frames, of all tracks.
    pub frames: usize,
}

/// A span of the camera's time, as text in the time zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// Where it begins.
    pub from: String,
    /// Where it ends.
    pub to: String,
}

impl Stretch {
    /// A span in a time zone.
    pub fn of(span: Hole, zone: &TimeZone) -> Self {
        Self {
            from: shown(span.from, zone),
            to: shown(span.to, zone),
        }
    }
}

/// Something that is not as one would think.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// What it is.
    pub kind: Kind,
    /// When.
    #[serde(flatten)]
    pub span: Stretch,
    /// Where in the file it shows, in ms from its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The kinds of notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Nothing is archived of this time. In the file the last picture stands still for as long.
    Gap,
    /// The camera sent this time again: it is shown again, behind the first.
    Repeat,
    /// It comes later in the file than the camera's clock says: a repeat before it takes its place.
    Moved,
    /// It was erased on purpose.
    Erased,
    /// It is lost.
    Lost,
    /// KVS has not delivered it so far.
    Unread,
    /// It is archived as it came, and cannot be parsed: it is not in the file.
    Raw,
}

/// A fragment as it is in the file.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What was listed.
    pub fragment: Fragment,
    /// Where it begins in the file, in ms.
    pub at_ms: i64,
    /// By how much it was moved behind what comes before it, in ms.
    pub moved_ms: i64,
}

/// The notes on an export: `shown` in the order of the file, `raw` what could not be parsed.
pub fn notes(
    choice: &Choice,
    asked: Hole,
    (shown, raw): (&[Shown], &[Fragment]),
    tolerance: SignedDuration,
    zone: &TimeZone,
) -> Vec<Note> {
    let mut notes: Vec<(Timestamp, Note)> = Vec::new();
    let mut add = |kind, span: Hole, at_ms, why| {
        let note = Note {
            kind,
            span: Stretch::of(span, zone),
            at_ms,
            why,
        };
        notes.push((span.from, note));
    };
    let span = |f: &Fragment| Hole {
        from: f.producer,
        to: f.producer_end(),
    };
    let fragments: Vec<Fragment> = shown.iter().map(|s| s.fragment.clone()).collect();
    let ends = covered(&fragments).unwrap_or(Hole {
        from: asked.to,
        to: asked.to,
    });
    let edges = [
        Hole {
            from: asked.from,
            to: ends.from,
        },
        Hole {
            from: ends.to,
            to: asked.to,
        },
    ];
    let outside = edges
        .into_iter()
        .filter(|e| e.to.duration_since(e.from) > tolerance);
    for gap in gaps::between(&fragments, tolerance, None)
        .into_iter()
        .chain(outside)
    {
        let behind = shown
            .iter()
            .find(|s| s.fragment.producer == gap.to && s.moved_ms == 0);
        let lasts = gap.to.as_millisecond() - gap.from.as_millisecond();
        add(Kind::Gap, gap, behind.map(|s| (s.at_ms - lasts).max(0)), None);
    }
    let mut end = Timestamp::MIN;
    // What was moved together was sent together.
    for stretch in
        shown.chunk_by(|a, b| a.moved_ms == b.moved_ms && b.fragment.producer >= a.fragment.producer)
    {
        let ([first, ..], [.., last]) = (stretch, stretch) else {
            continue;
        };
        let (from, to) = (first.fragment.producer, last.fragment.producer_end());
        if first.moved_ms > 0 {
            let why = format!(
                "{:.3} s later than by the camera's clock",
                first.moved_ms as f64 / 1000.0
            );
            let (kind, to) = if from < end {
                (Kind::Repeat, to.min(end))
            } else {
                (Kind::Moved, to)
            };
            add(kind, Hole { from, to }, Some(first.at_ms), Some(why));
        }
        end = end.max(to);
    }
    for (fragment, why) in choice.missing() {
        let (kind, why) = match why {
            Missing::Erased => (Kind::Erased, None),
            Missing::Lost(why) => (Kind::Lost, Some(why.clone())),
            Missing::Unread(why) => (Kind::Unread, Some(why.clone())),
        };
        add(kind, span(fragment), None, why);
    }
    for lost in &choice.lost_spans {
        let hole = Hole {
            from: lost.from,
            to: lost.to,
        };
        add(Kind::Lost, hole, None, Some(lost.reason.clone()));
    }
    for fragment in raw {
        let why = Some(format!("fragment {}", fragment.number));
        add(Kind::Raw, span(fragment), None, why);
    }
    notes.sort_by_key(|(from, _)| *from);
    notes.into_iter().map(|(_, note)| note).collect()
}

/// From the first frame to the last; `None`: there is none.
pub fn covered(fragments: &[Fragment]) -> Option<Hole> {
    Some(Hole {
        from: fragments.iter().map(|f| f.producer).min()?,
        to: fragments.iter().map(Fragment::producer_end).max()?,
    })
}

impl Report {
    /// For a person.
    pub fn text(&self) -> String {
        let Stretch { from, to } = &self.asked;
        let mut lines = match &self.file {
            None => vec![format!("no footage from {from} to {to}: nothing was written")],
            Some(file) => vec![
                format!(
                    "{}: {}, {} fragments from {} files of the archive, every one compared with its SHA-256",
                    file.path,
                    HumanBytes(file.bytes),
                    file.fragments,
                    file.files
                ),
                format!("asked     {from} to {to}"),
                format!("covers    {} to {}", file.covers.from, file.covers.to),
                format!("sha256    {}", file.sha256),
            ],
        };
        for note in &self.notes {
            let kind = match note.kind {
                Kind::Gap => "gap",
                Kind::Repeat => "repeat",
                Kind::Moved => "moved",
                Kind::Erased => "erased",
                Kind::Lost => "lost",
                Kind::Unread => "unread",
                Kind::Raw => "raw",
            };
            let mut line = format!("{kind:<9} {} to {}", note.span.from, note.span.to);
            if let Some(at) = note.at_ms {
                line.push_str(&format!(", {:.3} s into the file", at as f64 / 1000.0));
            }
            if let Some(why) = &note.why {
                line.push_str(&format!(": {why}"));
            }
            lines.push(line);
        }
        lines.join("\n") + "\n"
    }
}
