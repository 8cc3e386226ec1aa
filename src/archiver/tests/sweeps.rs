//! Sweeps and closing: what was listed late is archived and named, whatever happens on the way.

use super::*;

#[tokio::test]
async fn a_sweep_finds_what_was_listed_late_and_closes_when_nothing_is_new() {
    let world = World::new(30);
    let blind = world.archiver(&Arc::default(), &[4, 5, 20]);
    let slice = blind.archive(&world.slice(0, 60_000, None)).await;
    assert_eq!((slice.counts.fragments, slice.counts.gaps), (27, 2));
    let still_blind = blind.archive(&world.sweep(0, 60_000, false)).await;
    assert_eq!(
        (still_blind.outcome, still_blind.counts.fragments),
        (Outcome::NothingNew, 27)
    );
    let found = world.run(&world.sweep(1, 60_000, true)).await;
    assert_eq!((found.outcome, found.counts.fragments), (Outcome::Committed, 30));
    let again = world.run(&world.sweep(1, 60_000, true)).await;
    assert_eq!(
        (again.outcome, &again.counts, &again.manifest),
        (found.outcome, &found.counts, &found.manifest)
    );
    let closed = world.run(&world.sweep(2, 60_000, true)).await;
    assert_eq!((closed.outcome, closed.counts.fragments), (Outcome::Closed, 30));
    assert_eq!(world.run(&world.sweep(2, 60_000, true)).await.root, closed.root);
    assert_eq!(world.judge().archived, numbers(0..30));
}

/// Runs one `--close` sweep after another, as the controller does, until one closes.
pub async fn closed(world: &World, mut number: u32, through: i64) -> ArchiveReport {
    for _ in 0..5 {
        let report = world.run(&world.sweep(number, through, true)).await;
        assert_eq!(report.error, None);
        match report.outcome {
            Outcome::Closed => return report,
            Outcome::Committed => number += 1,
            other => panic!("{other:?}"),
        }
    }
    panic!("it does not close");
}

/// The root that counts: the one with the greatest position.
fn root(world: &World) -> Root {
    let roots = world
        .objects()
        .into_iter()
        .filter(|(key, _)| key.rsplit('/').next().unwrap().starts_with("recording"));
    let roots = roots.map(|(_, bytes)| serde_json::from_slice::<Root>(&bytes).unwrap());
    roots.max_by_key(|root| root.position).unwrap()
}

pub fn assert_root_names_all(world: &World, report: &ArchiveReport) {
    let root = root(world);
    assert_eq!(root.manifests.len(), world.manifests().len());
    assert_eq!(root.counts, report.counts);
    assert_eq!(root.counts.fragments as usize, world.judge().archived.len());
}

/// Killed anywhere while it closes, and only then the last fragment is listed: it is archived and named, before the root or
/// behind it.
#[tokio::test]
async fn what_is_listed_while_it_closes_is_archived_and_named() {
    let (mut call, mut finished) = (0, false);
    while !finished {
        call += 1;
        finished = true;
        for after in [false, true] {
            let world = World::new(6);
            let slice = world.archiver(&Arc::default(), &[2, 5]);
            slice.archive(&world.slice(0, 12_000, None)).await;
            let fate = Fate::dies_at(call, after);
            // It sees 2, closes, and never sees 5.
            for number in [0, 1] {
                let blind = world.archiver(&fate, &[5]);
                blind.archive(&world.sweep(number, 12_000, true)).await;
            }
            finished &= !fate.died();
            let before = world.objects();
            let report = closed(&world, 2, 12_000).await;
            assert_eq!(
                world.judge().archived,
                numbers(0..6),
                "call {call}, after: {after}"
            );
            assert_root_names_all(&world, &report);
            let now = world.objects();
            assert!(before.iter().all(|(key, bytes)| now.get(key) == Some(bytes)));
            let again = closed(&world, 3, 12_000).await;
            assert_eq!(
                (again.root, world.objects()),
                (report.root, now),
                "closed is closed"
            );
        }
    }
    assert!(call > 15, "it was killed in {call} places");
}

/// A closing that was planned and has no root yet is finished, or what was found meanwhile goes behind it.
#[tokio::test]
async fn who_lost_the_race_against_a_closing_goes_behind_it() {
    let world = World::new(6);
    let slice = world.archiver(&Arc::default(), &[5]);
    slice.archive(&world.slice(0, 12_000, None)).await;
    let (closes, finds) = (
        world.archiver(&Arc::default(), &[5]),
        world.archiver(&Arc::default(), &[]),
    );
    let (close, find) = (world.sweep(0, 12_000, true), world.sweep(0, 12_000, false));
    let (one, two) = tokio::join!(closes.archive(&close), finds.archive(&find));
    assert_eq!((&one.error, &two.error), (&None, &None));
    let report = closed(&world, 1, 12_000).await;
    assert_eq!(world.judge().archived, numbers(0..6));
    assert_root_names_all(&world, &report);
}

#[tokio::test]
async fn footage_that_is_found_later_fills_gaps() {
    let world = World::new(30);
    let blind = world.archiver(&Arc::default(), &[4, 5, 6, 20]);
    let slice = blind.archive(&world.slice(0, 60_000, None)).await;
    assert_eq!(slice.counts.gaps, 2);
    let still = world.archiver(&Arc::default(), &[5]);
    let found = still.archive(&world.sweep(0, 60_000, false)).await;
    assert_eq!(
        (found.outcome, found.counts.gaps),
        (Outcome::Committed, 1),
        "one is filled, one has become shorter"
    );
    let again = still.archive(&world.sweep(0, 60_000, false)).await;
    assert_eq!(again.counts, found.counts);
    let report = closed(&world, 1, 60_000).await;
    assert_eq!((report.counts.fragments, report.counts.gaps), (30, 0));
    assert_eq!(root(&world).counts.gaps, 0);
}

/// What a camera sent later belongs to the window by its own time; what is in it by server time is the slices' alone.
#[tokio::test]
async fn late_uploads_are_archived_once() {
    let world = World::new(6);
    world.run(&world.slice(0, 12_000, None)).await;
    for (n, producer, server) in [
        (40, -19_000, 30_000),
        (41, 4_000, 31_000),
        (42, 11_999, 32_000),
        (43, -21_000, 33_000),
        (44, 12_000, 34_000),
        (45, 2_000, -500),
    ] {
        world.add(n, producer, "A_TEST");
        world.stream.lock().unwrap().footage.last_mut().unwrap().0.server = world.at(server);
    }
    let sweep = |number, close| {
        let mut request = world.sweep(number, 12_000, close);
        let Task::Sweep { late_uploads, .. } = &mut request.task else {
            unreachable!()
        };
        *late_uploads = true;
        request
    };
    let unasked = world.run(&world.sweep(0, 12_000, false)).await;
    assert_eq!(unasked.outcome, Outcome::NothingNew);
    let found = world.run(&sweep(0, true)).await;
    assert_eq!((found.outcome, found.counts.fragments), (Outcome::Committed, 10));
    assert_eq!(
        world.judge().archived,
        numbers([0, 1, 2, 3, 4, 5, 40, 41, 42, 45])
    );
    let closed = world.run(&sweep(1, true)).await;
    assert_eq!((closed.outcome, closed.counts.fragments), (Outcome::Closed, 10));
    assert_root_names_all(&world, &closed);

    let mut wrong = sweep(2, true);
    wrong.recording.timestamp_type = TimestampType::ProducerTimestamp;
    assert_eq!(world.run(&wrong).await.outcome, Outcome::Invalid);
}
