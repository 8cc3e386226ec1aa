//! Erased footage does not come back.

use super::*;
use crate::archiver::tombstone::{self, Tombstone};

/// Footage that a tombstone takes does not come, whether it was planned before or after; nor does what is listed late.
#[tokio::test]
async fn erased_footage_is_not_archived() {
    let world = World::new(40);
    let of = |from: i64, to: i64| Tombstone {
        version: VERSION,
        program: "test".into(),
        stream_arn: ARN.into(),
        timestamp_type: TimestampType::ProducerTimestamp,
        from: world.at(from),
        to: world.at(to),
        objects: vec![],
    };
    let folder = tombstone::folder("archive", &ARN.parse().unwrap());
    let bury = async |t: Tombstone| {
        let store = world.archiver(&Arc::default(), &[]).store;
        store.commit(t.key(&folder, 1), t).await.unwrap();
    };
    // Planned and fetched in part before the tombstone is there.
    let fate = Fate::dies_at(8, false);
    let request = world.slice(0, 80_000, None);
    world.archiver(&fate, &[]).archive(&request).await;
    assert!(fate.died() && world.manifests().is_empty());
    bury(of(10_000, 14_000)).await;
    // The sixth and the seventh fragment begin in the span; the fifth ends before it.
    let report = world.run(&request).await;
    assert_eq!(
        (report.outcome, report.counts.erased),
        (Outcome::Committed, 2),
        "{report:?}"
    );
    let verdict = world.judge();
    assert_eq!(verdict.erased, [5, 6].map(number).into());
    assert_eq!(
        (verdict.archived.len(), verdict.lost.len(), verdict.unread.len()),
        (38, 0, 0)
    );

    // What could not be read, and what is listed late, in a span that is erased meanwhile.
    world.misbehave(45, Some(Misbehaviour::Absent));
    (40..50).for_each(|n| world.add(n, n as i64 * 2000, "A_TEST"));
    let next = world.slice(80_000, 100_000, report.manifest.clone());
    let archiver = world.archiver(&Arc::default(), &[47]);
    let report = archiver.archive(&next).await;
    assert_eq!(
        (report.counts.fragments, report.counts.unread),
        (8, 1),
        "{report:?}"
    );
    bury(of(88_500, 99_000)).await;
    let report = world.run(&world.sweep(0, 100_000, false)).await;
    assert_eq!((report.counts.erased, report.counts.unread), (4, 0), "{report:?}");
    let closed = world.run(&world.sweep(1, 100_000, true)).await;
    assert_eq!((closed.outcome, closed.counts.erased), (Outcome::Closed, 4));
    assert_eq!(world.judge().erased, [5, 6, 45, 47].map(number).into());
}
