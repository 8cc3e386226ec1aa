//! Progress: a bar for a person at a terminal, JSON lines in the log for everything else.

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::archiver::{
    progress::{Event, Watcher},
    request::{ArchiveReport, Outcome},
};

/// Before the first file is done there is no rate, and nobody knows how long it takes.
const BEGIN: &str = "{bar:30} {binary_bytes} of {binary_total_bytes}  {wide_msg}";
const UNDER_WAY: &str =
    "{bar:30} {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left  {wide_msg}";

/// Who watches the command.
#[derive(Debug)]
pub struct Watch {
    bar: Option<ProgressBar>,
    planned: AtomicU64,
}

/// A bar where standard error is a terminal.
pub fn watcher() -> Arc<Watch> {
    let bar = std::io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new(0);
        set_style(&bar, BEGIN);
        bar
    });
    Arc::new(Watch {
        bar,
        planned: AtomicU64::new(0),
    })
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

impl Watcher for Watch {
    fn see(&self, event: &Event<'_>) {
        match (event, &self.bar) {
            (Event::Planned { fragments, bytes }, bar) => {
                let total = self.planned.fetch_add(*bytes, Ordering::Relaxed) + bytes;
                match bar {
                    Some(bar) => bar.set_length(total),
                    None => tracing::info!(fragments, bytes, "planned"),
                }
            }
            (Event::Done { bytes, .. }, Some(bar)) => {
                if bar.position() == 0 {
                    set_style(bar, UNDER_WAY);
                }
                bar.inc(*bytes);
            }
            (Event::Done { .. }, None) => {}
            (Event::Stored { key, .. }, Some(bar)) => {
                bar.set_message(key.rsplit('/').next().unwrap_or_default().to_owned());
            }
            (Event::Stored { key, bytes, found }, None) => tracing::info!(key, bytes, found, "stored"),
        }
    }
}

impl Watch {
    /// Ends the bar, and tells a person what came of it.
    pub fn finished(&self, report: &ArchiveReport) {
        let Some(bar) = &self.bar else { return };
        bar.finish_and_clear();
        let c = report.counts;
        let mut text = format!(
            "{} fragments in {} files ({}), {} gaps, {} unread, {} lost",
            c.fragments,
            c.clips,
            HumanBytes(u64::try_from(c.bytes).unwrap_or(0)),
            c.gaps,
            c.unread,
            c.lost
        );
        if let Some(through) = report.through {
            text.push_str(&format!("; archived through {through}"));
        }
        for loss in &report.losses {
            text.push_str(&format!("\n  lost: {}: {}", loss.what, loss.reason));
        }
        if let Some(error) = &report.error {
            text.push_str(&format!("\n{error}"));
        } else if report.outcome == Outcome::Committed {
            text.push_str("\nRun it again with --sweep --close to look for footage that was listed late, and to close the archive.");
        }
        eprintln!("{text}");
    }
}
