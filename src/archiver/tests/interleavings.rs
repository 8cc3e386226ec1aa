//! Several runs at once, in any order of their calls, each with its own view of ListFragments and killed anywhere: whatever
//! they leave behind, who comes after them brings everything into S3 exactly once, and names it.

use std::{future::poll_fn, pin::Pin, task::Poll};

use proptest::prelude::*;

use super::*;

/// What one run does before it is gone.
#[derive(Clone, Debug)]
struct Run {
    /// What its listings do not show.
    blind: Vec<u64>,
    /// The call at which it dies; 0: it lives.
    dies_at: u64,
    /// Whether that call takes effect.
    after: bool,
    /// Its sweeps: number, and whether to close.
    sweeps: Vec<(u32, bool)>,
}

fn any_run() -> impl Strategy<Value = Run> {
    (
        prop::collection::vec(0..FRAGMENTS, 0..4),
        prop_oneof![Just(0u64), 1..60u64],
        any::<bool>(),
        prop::collection::vec((0..3u32, any::<bool>()), 0..3),
    )
        .prop_map(|(blind, dies_at, after, sweeps)| Run {
            blind,
            dies_at,
            after,
            sweeps,
        })
}

const FRAGMENTS: u64 = 12;
const END: i64 = 24_000;

async fn goes(world: &World, run: Run) {
    let fate = Fate::dies_at(run.dies_at, run.after);
    let archiver = world.archiver(&fate, &run.blind);
    archiver.archive(&world.slice(0, END, None)).await;
    for (number, close) in run.sweeps {
        archiver.archive(&world.sweep(number, END, close)).await;
    }
}

/// Lets one of them make a step at a time, as `order` says.
async fn interleaved<'a>(runs: impl Iterator<Item = Pin<Box<dyn Future<Output = ()> + 'a>>>, order: &[u8]) {
    let mut runs: Vec<_> = runs.collect();
    let mut order = order.iter().copied().cycle();
    poll_fn(|context| {
        if runs.is_empty() {
            return Poll::Ready(());
        }
        let next = usize::from(order.next().unwrap_or(0)) % runs.len();
        if runs[next].as_mut().poll(context).is_ready() {
            drop(runs.remove(next));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whatever_runs_do_to_each_other_everything_is_archived_once(
        runs in prop::collection::vec(any_run(), 1..4),
        order in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new(FRAGMENTS);
            let (first, second) = runs.split_at(runs.len() / 2);
            let mut before = BTreeMap::new();
            for some in [first, second] {
                interleaved(some.iter().map(|run| Box::pin(goes(&world, run.clone())) as _), &order).await;
                let now = world.objects();
                assert!(before.iter().all(|(key, bytes)| now.get(key) == Some(bytes)), "changed");
                before = now;
            }
            let slice = world.run(&world.slice(0, END, None)).await;
            assert_eq!((slice.outcome, slice.error), (Outcome::Committed, None));
            let report = sweeps::closed(&world, 3, END).await;
            assert_eq!(world.judge().archived, numbers(0..FRAGMENTS));
            sweeps::assert_root_names_all(&world, &report);
            let now = world.objects();
            assert!(before.iter().all(|(key, bytes)| now.get(key) == Some(bytes)), "changed");
        });
    }
}
