//! What KVS does not deliver: unread, then archived or lost, and never silently.

use super::*;

#[tokio::test]
async fn what_cannot_be_read_is_unread_then_archived_or_lost() {
    for (name, how, expected) in [
        (
            "an error in band",
            Misbehaviour::Reported("5000"),
            "reported 5000",
        ),
        (
            "not found in band",
            Misbehaviour::Reported("4000"),
            "reported 4000",
        ),
        ("absent", Misbehaviour::Absent, "without it"),
        ("a failing call", Misbehaviour::Fails(Kind::Unavailable), "fails"),
        ("an invalid number", Misbehaviour::Fails(Kind::Invalid), "fails"),
        ("denied in band", Misbehaviour::Reported("4502"), "reported 4502"),
        ("a cut body", Misbehaviour::Cut(700), "ends inside"),
    ] {
        let world = World::new(30);
        world.misbehave(12, Some(how));
        let report = world.run(&world.slice(0, 60_000, None)).await;
        assert_eq!(
            (report.outcome, report.error),
            (Outcome::Committed, None),
            "{name}"
        );
        assert_eq!((report.counts.fragments, report.counts.unread), (29, 1), "{name}");
        let text = serde_json::to_string(&world.manifests()).unwrap();
        assert!(text.contains(expected), "{name}: {text}");

        let sweep = world.run(&world.sweep(0, 60_000, true)).await;
        assert_eq!(
            (sweep.outcome, sweep.counts.unread, sweep.root),
            (Outcome::NothingNew, 1, None),
            "{name}"
        );
        world.misbehave(12, None);
        let asked = || world.stream.lock().unwrap().asked[&number(12)];
        let before = asked();
        let sweep = world.run(&world.sweep(1, 60_000, true)).await;
        assert_eq!(asked() - before, 1, "{name}: what can be read again is read once");
        assert_eq!(
            (sweep.outcome, sweep.counts.unread, sweep.counts.fragments),
            (Outcome::Committed, 0, 30),
            "{name}"
        );
        assert_eq!(
            world.run(&world.sweep(2, 60_000, true)).await.outcome,
            Outcome::Closed,
            "{name}"
        );
        assert_eq!(world.judge().archived, numbers(0..30), "{name}");
    }
}

/// Time stands still but where everything waits: then it goes on at once to what is waited for.
#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_noticed_and_split_down_to_its_fragment() {
    for at in [0, 350, 1300] {
        let world = World::new(30);
        world.misbehave(12, Some(Misbehaviour::Stalls(at)));
        let report = world.run(&world.slice(0, 60_000, None)).await;
        assert_eq!((report.outcome, report.error), (Outcome::Committed, None));
        assert_eq!((report.counts.fragments, report.counts.unread), (29, 1));
        let text = serde_json::to_string(&world.manifests()).unwrap();
        assert!(text.contains("silent for half a minute"), "{text}");
        let asked = world.stream.lock().unwrap().asked.clone();
        let most = |n| asked.get(&number(n)).is_some_and(|times| *times <= 20);
        assert!((0..30).all(most), "{asked:?}");
        world.misbehave(12, None);
        world.run(&world.sweep(0, 60_000, true)).await;
        assert_eq!(world.judge().archived, numbers(0..30));
    }
}

#[tokio::test]
async fn unread_becomes_lost_when_retention_has_taken_it_and_not_before() {
    let world = World::new(30);
    world.misbehave(12, Some(Misbehaviour::Reported("4500")));
    world.run(&world.slice(0, 60_000, None)).await;
    world.clock.set(world.at(23 * 3_600_000 + 1_800_000));
    let before = world.run(&world.sweep(0, 60_000, true)).await;
    assert_eq!(
        (before.outcome, before.counts.unread, before.counts.lost),
        (Outcome::NothingNew, 1, 0)
    );
    world.clock.set(world.at(24 * 3_600_000 + 60_000));
    let after = world.run(&world.sweep(1, 60_000, true)).await;
    assert_eq!(
        (after.outcome, after.counts.unread, after.counts.lost),
        (Outcome::Committed, 0, 1)
    );
    assert!(
        after.losses[0].reason.starts_with("Expired"),
        "{:?}",
        after.losses
    );
    let closed = world.run(&world.sweep(2, 60_000, true)).await;
    assert_eq!(
        (closed.outcome, closed.counts.lost, closed.losses.len()),
        (Outcome::Closed, 1, 1)
    );
    assert_eq!(
        (world.judge().archived.len(), world.judge().lost),
        (29, numbers([12]))
    );
}

#[tokio::test]
async fn what_cannot_be_parsed_is_stored_as_it_came() {
    let world = World::new(30);
    world.misbehave(12, Some(Misbehaviour::Garbage));
    let report = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(
        (report.outcome, report.counts.fragments, report.counts.unread),
        (Outcome::Committed, 30, 0)
    );
    let raw: Vec<_> = world
        .manifests()
        .into_iter()
        .flat_map(|m| m.objects)
        .filter(|o| o.flags.contains(&Flag::Raw))
        .collect();
    assert_eq!(raw.len(), 1);
    world.judge();
}

#[tokio::test]
async fn refused_altogether_commits_nothing() {
    for how in [Misbehaviour::Reported("4501"), Misbehaviour::Fails(Kind::Denied)] {
        let world = World::new(30);
        (0..30).for_each(|n| world.misbehave(n, Some(how.clone())));
        let report = world.run(&world.slice(0, 60_000, None)).await;
        assert_eq!(report.outcome, Outcome::Denied, "{how:?}");
        assert!(world.manifests().is_empty());
        (0..30).for_each(|n| world.misbehave(n, None));
        assert_eq!(
            world.run(&world.slice(0, 60_000, None)).await.counts.fragments,
            30,
            "access is mended"
        );
    }
}

#[tokio::test]
async fn a_bad_day_of_kvs_commits_nothing() {
    let world = World::new(3);
    (0..3).for_each(|n| world.misbehave(n, Some(Misbehaviour::Fails(Kind::Unavailable))));
    assert_eq!(
        world.run(&world.slice(0, 60_000, None)).await.outcome,
        Outcome::TryAgain
    );
    let world = World::new(3);
    (0..3).for_each(|n| world.misbehave(n, Some(Misbehaviour::Fails(Kind::Throttled))));
    assert_eq!(
        world.run(&world.slice(0, 60_000, None)).await.outcome,
        Outcome::TryAgain
    );
    assert!(world.manifests().is_empty());
}

#[tokio::test]
async fn what_expired_before_it_was_listed_is_a_lost_span() {
    let world = World::new(30);
    world.clock.set(world.at(24 * 3_600_000 + 30_500));
    let report = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(
        (report.outcome, report.counts.fragments, report.counts.lost),
        (Outcome::Committed, 14, 1)
    );
    assert_eq!(
        report.losses[0].what,
        format!("{}/{}", world.at(0), world.at(30_500))
    );
    let sweep = world.run(&world.sweep(0, 60_000, true)).await;
    assert_eq!(
        (sweep.outcome, sweep.counts.lost),
        (Outcome::Closed, 1),
        "a sweep loses nothing"
    );
}

#[tokio::test]
async fn a_deleted_stream_is_a_lost_span_and_what_was_planned_is_lost() {
    let mut died = 0;
    let world = loop {
        died += 1;
        let world = World::new(30);
        let fate = Fate::dies_at(died, false);
        let archiver = world.archiver(&fate, &[]);
        archiver.archive(&world.slice(0, 60_000, None)).await;
        if world.keys().iter().any(|k| k.contains("/stream=")) {
            break world;
        }
    };
    let files = world.keys().iter().filter(|k| k.contains("/stream=")).count();
    assert_eq!(files, 1, "it died after its first file");
    world.stream.lock().unwrap().gone = true;
    let report = world.run(&world.slice(0, 60_000, None)).await;
    assert_eq!(
        (report.outcome, report.counts.fragments, report.counts.lost),
        (Outcome::Committed, 10, 20)
    );
    let next = world.run(&world.slice(60_000, 120_000, report.manifest)).await;
    assert_eq!(
        (next.outcome, next.counts.lost, next.through),
        (Outcome::Committed, 1, Some(world.at(120_000)))
    );
    assert!(next.losses[0].reason.starts_with("StreamDeleted"));
    assert_eq!(
        world.run(&world.sweep(0, 120_000, true)).await.outcome,
        Outcome::Closed
    );
    world.judge();
}
