//! Slices: every fragment once, whoever does the work, however often it is killed.

use super::*;

#[tokio::test]
async fn a_slice_is_archived_and_reported() {
    let world = World::new(35);
    let report = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(
        (report.outcome, report.error.as_deref()),
        (Outcome::Committed, None)
    );
    assert_eq!(report.through, Some(world.at(60_000)));
    assert_eq!(
        (report.counts.clips, report.counts.fragments, report.counts.gaps),
        (3, 30, 0)
    );
    assert_eq!(world.judge().archived, numbers(0..30));
    assert!(
        world.stream.lock().unwrap().asked.values().all(|n| *n == 1),
        "nothing is fetched twice"
    );

    let again = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(
        (again.outcome, &again.counts, &again.manifest),
        (report.outcome, &report.counts, &report.manifest)
    );
    let next = world.run(&world.slice(60_000, 3_000_000, report.manifest)).await;
    assert_eq!(
        (next.counts.fragments, next.through),
        (5, Some(world.at(3_000_000)))
    );
    assert_eq!(world.judge().archived, numbers(0..35));
}

#[tokio::test]
async fn an_empty_slice_is_committed_and_hands_on_what_it_got() {
    let world = World::new(5);
    world.add(100, 600_000, "A_TEST");
    let first = world.run(&world.slice(0, 60_000, None)).await;
    let empty = world.run(&world.slice(60_000, 500_000, first.manifest)).await;
    assert_eq!(
        (empty.outcome, empty.counts.fragments, empty.counts.gaps),
        (Outcome::Committed, 0, 0)
    );
    let third = world.run(&world.slice(500_000, 700_000, empty.manifest)).await;
    assert_eq!(
        (third.counts.fragments, third.counts.gaps),
        (1, 1),
        "the gap lies across slices"
    );
}

#[tokio::test]
async fn nothing_is_written_before_anything_is_due() {
    let world = World::new(5);
    world.clock.set(world.at(50_000));
    let report = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(report.outcome, Outcome::TryAgain);
    assert!(world.keys().is_empty());
    world.clock.set(world.at(64_000));
    let report = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(
        (report.through, report.counts.fragments),
        (Some(world.at(4_000)), 2)
    );
}

/// Killed at every call, before and after it took effect, and run again: the same keys, the same bytes, nothing overwritten.
#[tokio::test]
async fn killed_at_any_call_and_run_again() {
    for sweeping in [false, true] {
        let scene = || {
            let world = World::new(30);
            world.add(40, 60_000, "A_OTHER");
            world.add(41, 62_000, "A_TEST");
            world
        };
        let reference = scene();
        let whole = async |world: &World, fate: &Arc<Fate>, blind: &[u64]| {
            let request = world.slice(0, 64_000, None);
            if !sweeping {
                return world.archiver(fate, blind).archive(&request).await;
            }
            // Here the slice saw only a part, and it is the sweep that gets killed.
            world
                .archiver(&Arc::default(), &[3, 17, 18, 40])
                .archive(&request)
                .await;
            let found = world
                .archiver(fate, &[])
                .archive(&world.sweep(0, 64_000, false))
                .await;
            if found.outcome != Outcome::Committed {
                return found;
            }
            world
                .archiver(fate, &[])
                .archive(&world.sweep(1, 64_000, true))
                .await
        };
        let reported = whole(&reference, &Arc::default(), &[]).await;
        assert_eq!(reported.error, None);
        let expected = reference.objects();
        assert_eq!(reference.judge().archived, numbers((0..30).chain(40..42)));
        let (mut call, mut finished) = (0, false);
        while !finished {
            call += 1;
            finished = true;
            for after in [false, true] {
                let world = scene();
                let fate = Fate::dies_at(call, after);
                whole(&world, &fate, &[]).await;
                finished &= !fate.died();
                let before = world.objects();
                let paid = world.asked_of_stored();
                let report = whole(&world, &Arc::default(), &[]).await;
                let asked = world.stream.lock().unwrap().asked.clone();
                let again = paid.iter().filter(|(number, times)| asked[*number] > **times);
                assert_eq!(again.count(), 0, "call {call}: what is in S3 is paid for again");
                assert_eq!(
                    (report.outcome, &report.counts),
                    (reported.outcome, &reported.counts),
                    "call {call}"
                );
                let now = world.objects();
                assert!(
                    before.iter().all(|(key, bytes)| now.get(key) == Some(bytes)),
                    "call {call}: overwritten"
                );
                assert_eq!(now, expected, "call {call}, after: {after}");
                world.judge();
            }
        }
        assert!(call > 10, "it was killed in {call} places");
    }
}

/// Two at once that see different listings: one plan wins, both do the same.
#[tokio::test]
async fn two_at_once_with_different_views() {
    for (a, b) in [
        (vec![], vec![29]),
        (vec![0, 9, 28], vec![4, 5]),
        (vec![7], vec![]),
    ] {
        let world = World::new(30);
        let slice = world.slice(0, 60_000, None);
        let (one, two) = (
            world.archiver(&Arc::default(), &a),
            world.archiver(&Arc::default(), &b),
        );
        let (one, two) = tokio::join!(one.archive(&slice), two.archive(&slice));
        assert_eq!(
            (&one.error, &one.counts, &one.manifest),
            (&two.error, &two.counts, &two.manifest)
        );
        assert_eq!(one.outcome, Outcome::Committed);

        // Two sweeps at once, again with different views, and one that closes.
        let (one, two) = (
            world.archiver(&Arc::default(), &a),
            world.archiver(&Arc::default(), &b),
        );
        let (first, second) = (world.sweep(0, 60_000, false), world.sweep(0, 60_000, true));
        tokio::join!(one.archive(&first), two.archive(&second));
        let mut rounds = 1;
        let closed = loop {
            let report = world.run(&world.sweep(rounds, 60_000, true)).await;
            assert_eq!(report.error, None);
            if report.outcome == Outcome::Closed {
                break report;
            }
            rounds += 1;
            assert!(rounds < 5);
        };
        let verdict = world.judge();
        assert_eq!(closed.counts.fragments as usize, verdict.archived.len());
        let root: Root = serde_json::from_slice(&world.objects()[&closed.root.unwrap().key]).unwrap();
        assert_eq!(
            root.manifests.len(),
            world.manifests().len(),
            "the root names every manifest"
        );
        let files: BTreeSet<_> = world
            .keys()
            .into_iter()
            .filter(|k| k.contains("/stream="))
            .collect();
        assert_eq!(files, verdict.named, "every file is named");
    }
}

#[tokio::test]
async fn what_contradicts_is_a_conflict_and_never_overwritten() {
    let world = World::new(30);
    let first = world.run(&world.slice(0, 60_000, None)).await.manifest.unwrap();
    let tampered =
        |key: &str, change: &dyn Fn(&mut Object)| change(world.bucket.lock().unwrap().get_mut(key).unwrap());
    tampered(&first.key, &|o| o.bytes = Bytes::from_static(b"{}"));
    assert_eq!(
        world.run(&world.slice(0, 60_000, None)).await.outcome,
        Outcome::Conflict
    );
    assert_eq!(
        world
            .run(&world.slice(60_000, 90_000, Some(first.clone())))
            .await
            .outcome,
        Outcome::Conflict
    );
    assert_eq!(
        world.run(&world.sweep(0, 60_000, false)).await.outcome,
        Outcome::Conflict
    );
    world.bucket.lock().unwrap().remove(&first.key);
    assert_eq!(
        world.run(&world.sweep(0, 60_000, false)).await.outcome,
        Outcome::Conflict
    );
    // A file of other content under one of our keys: by another version of the writer if it holds the same fragments.
    let file = world.keys().into_iter().find(|k| k.contains("/stream=")).unwrap();
    tampered(&file, &|o| (o.head.sha256, o.head.size) = (Some([7; 32]), 7));
    let adopted = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(adopted.outcome, Outcome::Committed);
    let sums: Vec<_> = world
        .manifests()
        .into_iter()
        .flat_map(|m| m.objects)
        .map(|o| o.sha256)
        .collect();
    assert!(sums.contains(&hex::encode([7; 32])));
    world
        .bucket
        .lock()
        .unwrap()
        .retain(|key, _| !key.ends_with(".manifest.json"));
    tampered(&file, &|o| o.head.metadata.clear());
    let conflict = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(conflict.outcome, Outcome::Conflict);
    assert!(conflict.error.unwrap().contains(&file));
}

#[tokio::test]
async fn a_first_slice_begins_at_the_recordings_start() {
    let world = World::new(3);
    assert_eq!(
        world.run(&world.slice(2_000, 60_000, None)).await.outcome,
        Outcome::Invalid
    );
    let mut later = world.slice(0, 60_000, None);
    later.version = 99;
    assert_eq!(world.run(&later).await.outcome, Outcome::Invalid);
    assert!(world.keys().is_empty());
}

#[tokio::test]
async fn neither_plan_nor_manifest_says_when_or_where_it_was_made() {
    let documents = async |now: i64| {
        let world = World::new(30);
        world.clock.set(world.at(now));
        world.run(&world.slice(0, 60_000, None)).await;
        let objects = world.objects();
        let plan = objects.iter().find(|(k, _)| k.ends_with(".plan.json")).unwrap();
        serde_json::from_slice::<Plan>(plan.1).unwrap();
        objects
    };
    assert_eq!(documents(3_600_000).await, documents(7_200_000).await);
}
