//! The pure parts against a small world that fails in every way it can: Jobs that die before or after they commit, reports
//! that get lost, pods that do not start, suspension, deleted Jobs, passes that act late on what they saw, a policy that holds
//! and ends recordings. The archive is modelled by its contract alone: who writes first wins.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use proptest::prelude::*;

use super::{
    due::{self, Rules},
    failure::{Failure, Reason},
    fixture,
    plan::{FINALIZER, Plan, is_final, plan},
    seen::{Checkpoint, JobState, Seen, SeenJob, Stream},
    status::status,
};
use crate::{
    api::{Counts, ObjectRef, Phase, Recording, RecordingStatus},
    archiver::request::{ArchiveReport, Outcome, Task, VERSION},
};

const SETTLE: i64 = 60_000;
const CLOSE_AFTER: i64 = 600_000;
const START: i64 = 1_700_000_000_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

fn rules() -> Rules {
    Rules {
        settle: SignedDuration::from_millis(SETTLE),
        close_after: SignedDuration::from_millis(CLOSE_AFTER),
    }
}

/// Chance, from one seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.roll(u64::try_from(high - low).unwrap())).unwrap()
    }
}

/// A fragment of the stream.
#[derive(Clone, Copy)]
struct Fragment {
    server: i64,
    /// From when on ListFragments returns it.
    listable: i64,
    /// Until when KVS does not deliver it whole.
    readable: i64,
}

/// What one manifest says of fragments, by server time.
#[derive(Clone, Default)]
struct Manifest {
    archived: BTreeSet<i64>,
    unread: BTreeSet<i64>,
}

/// A recording's folder in S3.
#[derive(Default)]
struct Folder {
    /// Plans of slices by start: their end.
    plans: BTreeMap<i64, i64>,
    slices: BTreeMap<i64, Manifest>,
    sweeps: BTreeMap<u32, Manifest>,
    root: bool,
}

impl Folder {
    fn archived(&self) -> Vec<i64> {
        self.slices
            .values()
            .chain(self.sweeps.values())
            .flat_map(|manifest| manifest.archived.iter().copied())
            .collect()
    }

    /// The totals of slices that begin before `through` and of sweeps up to `number`.
    fn totals(&self, through: i64, number: u32) -> Counts {
        let slices = self.slices.range(..through).map(|(_, manifest)| manifest);
        let sweeps = self.sweeps.range(..=number).map(|(_, manifest)| manifest);
        let (mut archived, mut unread, mut clips) = (BTreeSet::new(), BTreeSet::new(), 0);
        for manifest in slices.chain(sweeps) {
            archived.extend(manifest.archived.iter().copied());
            unread.extend(manifest.unread.iter().copied());
            clips += i64::from(!manifest.archived.is_empty());
        }
        let unread = unread.difference(&archived).count();
        Counts {
            clips,
            fragments: count(archived.len()),
            unread: count(unread),
            ..Default::default()
        }
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap()
}

fn object(key: String) -> Option<ObjectRef> {
    Some(ObjectRef {
        key,
        sha256: "0".repeat(64),
    })
}

/// A Job of the world: `seen` is what a pass sees of it.
#[derive(Clone)]
struct WorldJob {
    recording: usize,
    seen: SeenJob,
}

impl WorldJob {
    fn is_active(&self) -> bool {
        !matches!(self.seen.state, JobState::Done { .. })
    }
}

struct World {
    now: i64,
    /// The cluster's clock minus AWS's.
    skew: i64,
    /// In hours; nothing expires here, but short retention means frequent sweeps.
    retention: i64,
    dice: Dice,
    fragments: Vec<Fragment>,
    recordings: Vec<Recording>,
    versions: Vec<u64>,
    /// Which recordings a user has stopped, inside a slice perhaps.
    stopped: Vec<bool>,
    folders: Vec<Folder>,
    jobs: Vec<WorldJob>,
    uids: u64,
}

impl World {
    fn new(seed: u64, recordings: usize) -> Self {
        let mut dice = Dice(seed);
        let mut fragments = Vec::new();
        let mut server = START - 60_000;
        while server < START + 6 * 3_600_000 {
            server += dice.between(1_000, 20_000);
            let late = if dice.one_in(20) {
                dice.between(0, CLOSE_AFTER - 30_000)
            } else {
                dice.between(1_000, 40_000)
            };
            let unread = if dice.one_in(30) {
                dice.between(0, 7_200_000)
            } else {
                0
            };
            fragments.push(Fragment {
                server,
                listable: server + late,
                readable: server + unread,
            });
        }
        let skew = dice.between(-90_000, 90_000);
        let retention = if dice.one_in(2) { 1 } else { 24 };
        Self {
            now: START,
            skew,
            retention,
            fragments,
            recordings: (0..recordings)
                .map(|number| fixture::recording(&format!("r{number}"), at(START)))
                .collect(),
            versions: vec![0; recordings],
            stopped: vec![false; recordings],
            folders: (0..recordings).map(|_| Folder::default()).collect(),
            jobs: Vec::new(),
            uids: 0,
            dice,
        }
    }

    fn seen(&self, of: usize) -> Seen {
        let jobs = self.jobs.iter().map(|job| SeenJob {
            own: job.recording == of,
            ..job.seen.clone()
        });
        Seen {
            now: at(self.now),
            cluster_now: at(self.now + self.skew),
            stream: Stream::Kept(SignedDuration::from_hours(self.retention)),
            jobs: jobs.collect(),
            template: "t".into(),
            checkpoint: Checkpoint::Past,
            namespace_terminating: false,
        }
    }

    fn status_of(&self, of: usize) -> RecordingStatus {
        self.recordings[of].status.clone().unwrap_or_default()
    }

    fn through(&self, of: usize) -> i64 {
        ms(due::archived_through(
            &self.recordings[of].spec,
            &self.status_of(of),
        ))
    }

    /// Writes a status over the version that was read; says whether it was.
    fn write(&mut self, of: usize, version: u64, new: &RecordingStatus) -> bool {
        if self.versions[of] != version {
            return false;
        }
        let old_through = self.through(of);
        self.recordings[of].status = Some(new.clone());
        self.versions[of] += 1;
        let through = self.through(of);
        assert!(through >= old_through, "archivedThrough went back");
        if through > old_through {
            let folder = &self.folders[of];
            assert!(
                folder.slices.contains_key(&old_through),
                "archivedThrough moved without a manifest"
            );
            assert_eq!(
                folder.plans[&old_through], through,
                "archivedThrough moved past the manifest"
            );
        }
        let done = new
            .sweeps
            .as_ref()
            .map_or(0, |sweeps| u32::try_from(sweeps.done).unwrap());
        let recorded = done.checked_sub(1).map_or_else(
            || {
                self.folders[of]
                    .slices
                    .range(..through)
                    .map(|(_, manifest)| count(manifest.archived.len()))
                    .sum::<i64>()
            },
            |last| self.folders[of].totals(through, last).fragments,
        );
        assert_eq!(
            new.counts.fragments, recorded,
            "a result was counted twice, or not"
        );
        true
    }

    /// Takes a step that was planned from `version`, as `mod.rs` does. Says how long to wait.
    fn act(
        &mut self,
        of: usize,
        version: u64,
        recording: &Recording,
        seen: &Seen,
        plan: &Plan,
    ) -> Option<i64> {
        let new = status(recording, seen, plan, rules(), None);
        match plan {
            Plan::Hold | Plan::Release { .. } => {
                if self.versions[of] == version {
                    let held = matches!(plan, Plan::Hold);
                    self.recordings[of].metadata.finalizers = held.then(|| vec![FINALIZER.into()]);
                    self.versions[of] += 1;
                }
                return Some(0);
            }
            Plan::Create { name, task, failures } => {
                if self.write(of, version, &new) && !self.jobs.iter().any(|job| job.seen.name == *name) {
                    self.create(of, name, task, *failures);
                }
                return Some(5_000);
            }
            Plan::Retire(this) => {
                if let Some(job) = self.jobs.iter_mut().find(|job| job.seen.uid == this.uid) {
                    job.seen.retired = true;
                }
            }
            Plan::Remove { job: this, .. } => {
                if let Some(job) = self.jobs.iter_mut().find(|job| job.seen.uid == this.uid) {
                    assert!(job.seen.state != JobState::Running, "a running Job is deleted");
                    job.seen.deleting = true;
                }
            }
            Plan::Wait { after, .. } => {
                self.write(of, version, &new);
                return Some(i64::try_from(after.as_millis()).unwrap());
            }
            Plan::Record { .. } | Plan::Finish(_) => {}
            Plan::Rest => return None,
            Plan::End { .. } => panic!("nothing here asks for an end"),
        }
        self.write(of, version, &new);
        Some(0)
    }

    fn create(&mut self, of: usize, name: &str, task: &Task, failures: i32) {
        let cluster_now = at(self.now + self.skew);
        for job in &self.jobs {
            assert!(
                job.recording != of || !job.is_active(),
                "two active Jobs of one recording"
            );
            assert!(
                !job.seen.holds_place(cluster_now),
                "two Jobs of a stream at a time"
            );
        }
        self.uids += 1;
        let seen = SeenJob {
            name: name.into(),
            uid: self.uids.to_string(),
            own: true,
            task: Some(task.clone()),
            failures,
            template: "t".into(),
            deleting: false,
            retired: false,
            state: JobState::Waiting {
                since: cluster_now,
                blocked: None,
            },
        };
        self.jobs.push(WorldJob { recording: of, seen });
    }

    /// One pass. `stale`: it acts only after something else has happened.
    fn pass(&mut self, of: usize, stale: bool) -> Option<i64> {
        let (version, recording, seen) = (self.versions[of], self.recordings[of].clone(), self.seen(of));
        let plan = plan(&recording, &seen, rules());
        // What was decided while another pass did something else to the stream is only possible between two processes; then
        // the one thing that is not promised is that the place on the stream was still free.
        if stale && !matches!(plan, Plan::Create { .. }) {
            self.happen();
        }
        self.act(of, version, &recording, &seen, &plan)
    }

    /// Something happens to some Job.
    fn happen(&mut self) {
        self.jobs.retain(|job| !job.seen.deleting || job.is_active());
        if self.jobs.is_empty() {
            return;
        }
        let which = usize::try_from(self.dice.roll(count(self.jobs.len()).unsigned_abs())).unwrap();
        let job = self.jobs[which].seen.clone();
        let cluster_now = at(self.now + self.skew);
        match job.state {
            _ if job.deleting => drop(self.jobs.remove(which)),
            JobState::Done { .. } if job.retired || self.dice.one_in(30) => drop(self.jobs.remove(which)),
            JobState::Done { .. } => {}
            JobState::Suspended => {
                if self.dice.one_in(3) {
                    self.jobs[which].seen.state = JobState::Waiting {
                        since: cluster_now,
                        blocked: None,
                    };
                }
            }
            JobState::Waiting { since, .. } => match self.dice.roll(12) {
                0 => self.jobs[which].seen.state = JobState::Suspended,
                1 => {
                    let blocked = Failure::new(Reason::ServiceAccountMissing, "there is none");
                    self.jobs[which].seen.state = JobState::Waiting {
                        since,
                        blocked: Some(blocked),
                    };
                }
                2 => drop(self.jobs.remove(which)),
                _ => self.jobs[which].seen.state = JobState::Running,
            },
            JobState::Running => match self.dice.roll(12) {
                // Killed by hand, with its Job.
                0 => drop(self.jobs.remove(which)),
                // The pod was evicted, the Job starts another.
                1 => {
                    self.jobs[which].seen.state = JobState::Waiting {
                        since: cluster_now,
                        blocked: None,
                    }
                }
                2 => self.finish(which, Err(Failure::new(Reason::TryAgain, "no"))),
                3 => self.finish(which, Err(Failure::new(Reason::AccessDenied, "no"))),
                4 => self.finish(which, Err(Failure::new(Reason::OutOfMemory, "no"))),
                // The plan is written, and nothing else.
                5 => {
                    self.plan_slice(which);
                    self.finish(which, Err(Failure::new(Reason::Crashed, "no")));
                }
                // All is written, and nobody hears of it.
                6 => {
                    let _lost = self.archive(which);
                    self.finish(which, Err(Failure::new(Reason::ResultLost, "no")));
                }
                7 => {}
                _ => {
                    let result = self.archive(which);
                    self.finish(which, result);
                }
            },
        }
    }

    fn finish(&mut self, which: usize, result: Result<Box<ArchiveReport>, Failure>) {
        self.jobs[which].seen.state = JobState::Done {
            at: at(self.now + self.skew),
            result,
        };
    }

    /// The slice's plan: the one that is there, else a new one.
    fn plan_slice(&mut self, which: usize) -> Option<i64> {
        let Some(Task::Slice { from, to, .. }) = self.jobs[which].seen.task.clone() else {
            return None;
        };
        let folder = &mut self.folders[self.jobs[which].recording];
        let end = ms(to).min(self.now - SETTLE).min(ms(from) + 4 * 3_600_000);
        if let Some(there) = folder.plans.get(&ms(from)) {
            return Some(*there);
        }
        if end <= ms(from) {
            return None;
        }
        folder.plans.insert(ms(from), end);
        Some(end)
    }

    /// The archiver, by its contract.
    fn archive(&mut self, which: usize) -> Result<Box<ArchiveReport>, Failure> {
        let of = self.jobs[which].recording;
        let task = self.jobs[which].seen.task.clone().unwrap();
        let report = |outcome, listed: Option<i64>, counts| ArchiveReport {
            version: VERSION,
            outcome,
            listed_at: listed.map(at),
            through: None,
            counts,
            manifest: None,
            root: None,
            losses: vec![],
            error: None,
        };
        let now = self.now;
        match task {
            Task::Slice { from, .. } => {
                let Some(end) = self.plan_slice(which) else {
                    return Err(Failure::new(Reason::TryAgain, "nothing has settled"));
                };
                let (from, known) = (ms(from), self.folders[of].slices.contains_key(&ms(from)));
                let listed = self.manifest(from, end, &BTreeSet::new());
                let folder = &mut self.folders[of];
                let manifest = folder.slices.entry(from).or_insert(listed);
                let counts = Counts {
                    clips: i64::from(!manifest.archived.is_empty()),
                    fragments: count(manifest.archived.len()),
                    unread: count(manifest.unread.len()),
                    ..Default::default()
                };
                Ok(Box::new(ArchiveReport {
                    through: Some(at(end)),
                    manifest: object(format!("slice-{from}")),
                    ..report(Outcome::Committed, (!known).then_some(now), counts)
                }))
            }
            Task::Sweep {
                number,
                through,
                close,
                ..
            } => {
                let through = ms(through);
                if self.folders[of].sweeps.contains_key(&number) {
                    let counts = self.folders[of].totals(through, number);
                    let manifest = object(format!("sweep-{number}"));
                    return Ok(Box::new(ArchiveReport {
                        manifest,
                        ..report(Outcome::Committed, None, counts)
                    }));
                }
                if close && self.folders[of].root {
                    let counts = self.folders[of].totals(through, number);
                    return Ok(Box::new(ArchiveReport {
                        root: object("root".into()),
                        ..report(Outcome::Closed, None, counts)
                    }));
                }
                if close && self.folders[of].slices.range(through..).next().is_some() {
                    return Err(Failure::new(Reason::InvalidRequest, "slices go on behind it"));
                }
                let held: BTreeSet<i64> = self.folders[of].archived().into_iter().collect();
                let mut found = self.manifest(START, through, &held);
                let before = self.folders[of].totals(through, number);
                found
                    .unread
                    .retain(|fragment| !self.folders[of].names_unread(*fragment));
                let new = !found.archived.is_empty() || !found.unread.is_empty();
                let folder = &mut self.folders[of];
                if new {
                    folder.sweeps.insert(number, found);
                    let manifest = object(format!("sweep-{number}"));
                    let counts = folder.totals(through, number);
                    return Ok(Box::new(ArchiveReport {
                        manifest,
                        ..report(Outcome::Committed, Some(now), counts)
                    }));
                }
                if close && before.unread == 0 {
                    folder.root = true;
                    return Ok(Box::new(ArchiveReport {
                        root: object("root".into()),
                        ..report(Outcome::Closed, Some(now), before)
                    }));
                }
                Ok(Box::new(report(Outcome::NothingNew, Some(now), before)))
            }
        }
    }

    /// What a listing of [from, to) says now of fragments that are not in `held`.
    fn manifest(&self, from: i64, to: i64, held: &BTreeSet<i64>) -> Manifest {
        let mut manifest = Manifest::default();
        for fragment in &self.fragments {
            if fragment.server < from
                || fragment.server >= to
                || fragment.listable > self.now
                || held.contains(&fragment.server)
            {
                continue;
            }
            if fragment.readable <= self.now {
                &mut manifest.archived
            } else {
                &mut manifest.unread
            }
            .insert(fragment.server);
        }
        manifest
    }

    /// A user stops a recording at any time between its start and now.
    fn user(&mut self, of: usize) {
        let end = self.dice.between(START + 1, self.now.max(START + 2));
        let recording = &mut self.recordings[of];
        if recording.spec.end.is_none() {
            recording.spec.end = Some(MicroTime(at(end)));
            recording.metadata.generation = recording.metadata.generation.map(|generation| generation + 1);
            self.versions[of] += 1;
            self.stopped[of] = true;
        }
    }

    /// The policy: holds, goes on, ends.
    fn policy(&mut self, of: usize) {
        if self.recordings[of].spec.end.is_some() {
            return;
        }
        let spec = &mut self.recordings[of].spec;
        match (&spec.hold_at, self.dice.roll(3)) {
            (None, 0) => {
                // Alarms tell of their end minutes late.
                let hold = (self.now - self.dice.between(0, 400_000)).max(START + 1);
                spec.hold_at = Some(MicroTime(at(hold)));
            }
            (Some(_), 0) => spec.hold_at = None,
            (Some(hold), _) => {
                let hold = hold.0;
                self.end(of, hold);
                return;
            }
            _ => return,
        }
        let generation = self.recordings[of].metadata.generation.unwrap_or(0);
        self.recordings[of].metadata.generation = Some(generation + 1);
        self.versions[of] += 1;
    }

    /// Ends at the hold, or where a slice that has been asked for may reach; only once the status answers to the hold.
    fn end(&mut self, of: usize, hold: Timestamp) {
        let (status, recording) = (self.status_of(of), &self.recordings[of]);
        if status.observed_generation != recording.metadata.generation {
            return;
        }
        let reach = status
            .job
            .as_ref()
            .and_then(|job| job.to.as_ref())
            .map_or(hold, |to| to.0.max(hold));
        let end = reach.max(at(self.through(of))).max(at(START + 1));
        let recording = &mut self.recordings[of];
        recording.spec.end = Some(MicroTime(end));
        recording.metadata.generation = recording.metadata.generation.map(|generation| generation + 1);
        self.versions[of] += 1;
    }

    fn is_finished(&self, of: usize) -> bool {
        is_final(&self.status_of(of))
    }

    /// Everything works from now on: everything must get done.
    fn calm(&mut self) {
        for of in 0..self.recordings.len() {
            let hold = at(self.now.max(START + 1));
            for _ in 0..1_000 {
                if self.recordings[of].spec.end.is_some() {
                    break;
                }
                self.pass(of, false);
                self.end(of, hold);
            }
        }
        for _ in 0..20_000 {
            let mut next = i64::MAX;
            for of in 0..self.recordings.len() {
                if let Some(wait) = self.pass(of, false) {
                    next = next.min(wait);
                }
            }
            let cluster_now = at(self.now + self.skew);
            self.jobs.retain(|job| !job.seen.deleting && !job.seen.retired);
            for which in 0..self.jobs.len() {
                if self.jobs[which].is_active() {
                    let result = self.archive(which);
                    self.jobs[which].seen.state = JobState::Done {
                        at: cluster_now,
                        result,
                    };
                    next = 0;
                }
            }
            if (0..self.recordings.len()).all(|of| self.is_finished(of)) {
                return;
            }
            self.now += next.clamp(0, 600_000);
        }
        for (of, recording) in self.recordings.iter().enumerate() {
            eprintln!(
                "{:#?}\n{:#?}",
                recording.status,
                plan(recording, &self.seen(of), rules())
            );
        }
        panic!("not everything got done");
    }

    /// What must hold in the end: each fragment of the window in exactly one manifest, and the count is right.
    fn judge(&self) {
        for (of, folder) in self.folders.iter().enumerate() {
            let status = self.status_of(of);
            assert_eq!(status.phase, Some(Phase::Complete), "{status:#?}");
            let mut end = ms(self.recordings[of].spec.end.as_ref().unwrap().0);
            if self.stopped[of] {
                assert!(self.through(of) >= end);
                end = self.through(of);
            }
            assert_eq!(
                self.through(of),
                end,
                "a slice reaches past the end that the policy was allowed to set"
            );
            let inside = self
                .fragments
                .iter()
                .map(|fragment| fragment.server)
                .filter(|at| (START..end).contains(at));
            let mut archived = folder.archived();
            archived.sort_unstable();
            assert_eq!(
                archived,
                inside.collect::<Vec<_>>(),
                "not every fragment exactly once"
            );
            assert_eq!(status.counts.fragments, count(archived.len()));
            assert_eq!((status.counts.unread, status.job, folder.root), (0, None, true));
        }
    }
}

impl Folder {
    fn names_unread(&self, fragment: i64) -> bool {
        self.slices
            .values()
            .chain(self.sweeps.values())
            .any(|manifest| manifest.unread.contains(&fragment))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn whatever_happens_everything_is_archived_once(seed: u64, recordings in 1usize..=3, steps in 0usize..400) {
        let mut world = World::new(seed, recordings);
        for _ in 0..steps {
            let of = usize::try_from(world.dice.roll(count(recordings).unsigned_abs())).unwrap();
            match world.dice.roll(20) {
                0..=8 => {
                    let stale = world.dice.one_in(4);
                    world.pass(of, stale);
                }
                9..=14 => world.happen(),
                15 if world.dice.one_in(10) => world.user(of),
                15 => world.policy(of),
                _ => world.now += world.dice.between(500, 90_000),
            }
        }
        world.calm();
        world.judge();
    }
}
