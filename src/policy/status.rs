//! What a pass tells the user: counts, how far the archive is, problems, conditions. It is written also when the pass failed.
//!
//! Pure.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    act::Outcome,
    checkpoint,
    desired::Desired,
    plan::{Memory, Observed, Plan},
    recording,
};
use crate::{
    api::{
        ArchivePolicyStatus, Recording,
        condition::{self, READY, RECONCILING, STALLED, Say},
    },
    runtime::{Class, Error},
};

/// How many problems a status lists.
const PROBLEMS: usize = 20;
/// How far the checkpoint moves at least, where nothing waits for it: a status is not written for every look.
const STEP: SignedDuration = SignedDuration::from_mins(4);

/// How far a pass came.
#[derive(Debug, Default)]
pub struct Pass {
    /// What was wanted, where the spec could be followed.
    pub desired: Option<Desired>,
    /// What was there, and what the old status remembered.
    pub observed: Option<(Observed, Memory)>,
    /// What was to be done.
    pub plan: Option<Plan>,
    /// What was done.
    pub outcome: Outcome,
    /// What stopped it.
    pub failed: Option<Error>,
}

impl Pass {
    /// What stopped the pass, or the first stream's part of it.
    pub fn error(&self) -> Option<&Error> {
        self.failed.as_ref().or(self.outcome.failed.first())
    }
}

/// The status after a pass.
pub fn status(
    old: &ArchivePolicyStatus,
    pass: &Pass,
    suspended: bool,
    generation: Option<i64>,
    now: Timestamp,
) -> ArchivePolicyStatus {
    let mut status = old.clone();
    status.observed_generation = generation;
    if let Some(desired) = &pass.desired {
        status.streams = count(desired.selected.len());
    }
    if let (Some((observed, memory)), Some(plan)) = (&pass.observed, &pass.plan) {
        status.in_alarm = count(plan.in_alarm);
        status.problems = plan.problems.iter().take(PROBLEMS).cloned().collect();
        archive(&mut status, observed);
        remember(&mut status, pass, plan, observed, memory);
    }
    let say = conditions(old, pass, suspended, generation);
    status.conditions = condition::set(&old.conditions, &say, generation, now);
    status
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// What the policy's recordings say together.
fn archive(status: &mut ArchivePolicyStatus, observed: &Observed) {
    let unfinished = observed.recordings.iter().filter(|r| !recording::is_finished(r));
    let through = unfinished.map(|r| {
        let archived = r.status.as_ref().and_then(|s| s.archived_through.as_ref());
        archived.unwrap_or(&r.spec.start).0
    });
    let through: Vec<Timestamp> = through.collect();
    let of_all = || observed.recordings.iter().filter_map(|r| r.status.as_ref());
    status.active_recordings = count(through.len());
    status.archived_through = through.into_iter().min().map(Time);
    status.lost = of_all().map(|s| s.counts.lost).sum();
    // Recordings go in time, but what they wrote was written.
    let last = of_all()
        .filter_map(|s| s.last_clip_time.as_ref())
        .map(|t| t.0)
        .max();
    let before = status.last_clip_time.as_ref().map(|t| t.0);
    status.last_clip_time = last.max(before).map(Time);
}

/// The checkpoint moves in steps, except where something waits for it.
fn remember(
    status: &mut ArchivePolicyStatus,
    pass: &Pass,
    plan: &Plan,
    observed: &Observed,
    memory: &Memory,
) {
    status.watching_since = memory.watching_since.map(Time);
    if pass.outcome.postponed && memory.checkpoint.is_none() {
        // The policy has not begun with all of its streams yet.
        return;
    }
    let missing = plan.waiting.into_iter().chain(pass.outcome.missing).min();
    let next = checkpoint::next(memory.checkpoint, observed.transitions_read, missing);
    let old = status.history_through.as_ref().map(|t| t.0);
    let wanted = old.is_none_or(|old| {
        let waits = |r: &Arc<Recording>| (old..next).contains(&checkpoint::entry(r));
        next.duration_since(old) >= STEP || observed.recordings.iter().any(waits)
    });
    if wanted {
        status.history_through = Some(Time(next));
    }
}

fn say(type_: &'static str, status: bool, reason: &'static str, message: &str) -> Say {
    Say {
        type_,
        status,
        reason,
        message: message.into(),
    }
}

/// `Ready` always; the others, which are bad news, only where they hold.
fn conditions(old: &ArchivePolicyStatus, pass: &Pass, suspended: bool, generation: Option<i64>) -> Vec<Say> {
    if let Some(error) = pass.error() {
        let (reason, message) = (error.reason(), error.explain());
        let and = match error.class() {
            Class::Person => STALLED,
            Class::Soon | Class::Transient => RECONCILING,
        };
        // What was as it should be a moment ago most likely still is.
        let was = old
            .conditions
            .iter()
            .find(|c| c.type_ == READY && c.status == "True");
        let stays = was.filter(|c| and == RECONCILING && c.observed_generation == generation);
        let ready = match stays
            .and_then(|c| Some((READY_REASONS.into_iter().find(|r| *r == c.reason)?, &c.message)))
        {
            Some((reason, message)) => say(READY, true, reason, message),
            None => say(READY, false, reason, &message),
        };
        return vec![ready, say(and, true, reason, &message)];
    }
    let (Some(desired), Some(plan)) = (&pass.desired, &pass.plan) else {
        return vec![];
    };
    if pass
        .observed
        .as_ref()
        .is_some_and(|(_, memory)| memory.checkpoint.is_none())
        && pass.outcome.postponed
    {
        let text = "the alarms of the matched streams are being made";
        return vec![
            say(READY, false, "MakingAlarms", text),
            say(RECONCILING, true, "MakingAlarms", text),
        ];
    }
    if !plan.problems.is_empty() {
        let more = match plan.problems.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more: see status.problems)"),
        };
        let first = &plan.problems[0];
        let text = format!("VideoStream {}: {}{more}", first.stream, first.message);
        return vec![say(READY, false, "Problems", &text)];
    }
    if let Some(first) = desired.pending.first() {
        let text = match desired.pending.len() {
            1 => format!("waiting for the stream of VideoStream {first}"),
            n => format!("waiting for the streams of {n} VideoStreams, the first of them {first}"),
        };
        return vec![
            say(READY, false, "StreamsNotReady", &text),
            say(RECONCILING, true, "StreamsNotReady", &text),
        ];
    }
    let (reason, text) = match () {
        () if suspended => (SUSPENDED, "spec.suspend is true: no new recording begins"),
        () if desired.selected.is_empty() => (
            NO_STREAMS,
            "spec.streamSelector matches no VideoStream of this namespace",
        ),
        () => (WATCHING, "every matched stream has its alarm"),
    };
    vec![say(READY, true, reason, text)]
}

const SUSPENDED: &str = "Suspended";
const NO_STREAMS: &str = "NoStreams";
const WATCHING: &str = "Watching";
const READY_REASONS: [&str; 3] = [SUSPENDED, NO_STREAMS, WATCHING];
