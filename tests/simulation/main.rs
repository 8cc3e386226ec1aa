//! The whole operator in one process on virtual time: the real passes, the real archiver, an AWS and a Kubernetes in memory,
//! and a storm of faults, all driven by one seed. The same seed gives the same story.
//!
//! `cargo test --test simulation` runs a fixed set of seeds, `make soak N=100 FROM=1000` more. `SEED=7 cargo test --test
//! simulation replay -- --ignored --nocapture` tells one story (`HOURS=6` as the fixed set has it, `STORM=0` without faults).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod alarms;
mod bucket;
mod cameras;
mod chance;
mod jobs;
mod judge;
mod matroska;
mod operator;
mod site;
mod story;
#[path = "../support/mod.rs"]
mod support;
mod users;
mod video;
mod world;

use support::kubernetes;

use story::{Outcome, run};

/// What is wrong with an outcome, for people.
fn verdict(seed: u64, outcome: &Outcome) -> Result<(), String> {
    if outcome.violations.is_empty() {
        return Ok(());
    }
    let first: Vec<_> = outcome.violations.iter().take(5).collect();
    Err(format!(
        "seed {seed}: {} violations, such as {first:#?}\nits story: SEED={seed} cargo test --test simulation replay -- --ignored --nocapture",
        outcome.violations.len()
    ))
}

/// Hours of cameras in the tests that every change runs.
const SHORT: u64 = 6;
/// Hours of cameras in a soak.
const DAY: u64 = 24;

#[test]
fn a_fixed_set_of_seeds_keeps_the_promise() {
    for seed in 0..4 {
        verdict(seed, &run(seed, SHORT, true)).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn in_fine_weather_nothing_is_lost() {
    let outcome = run(1, SHORT, false);
    verdict(1, &outcome).unwrap_or_else(|e| panic!("{e}"));
    assert!(
        outcome.counts["fragments archived"] > 100,
        "{:#?}",
        outcome.counts
    );
    assert!(!outcome.counts.contains_key("fragments lost with a true reason"));
}

#[test]
fn the_same_seed_gives_the_same_story() {
    let (one, other) = (run(2, 2, true).story, run(2, 2, true).story);
    assert!(one.len() > 100);
    if let Some((first, second)) = one.iter().zip(&other).find(|(one, other)| one != other) {
        panic!("the same seed tells two stories:\n{first}\n{second}");
    }
    assert_eq!(one.len(), other.len());
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
#[ignore = "for people: tells the story of one seed"]
fn replay() {
    let (seed, hours) = (number("SEED", 0), number("HOURS", DAY));
    let outcome = run(seed, hours, number("STORM", 1) > 0);
    for line in &outcome.story {
        println!("{line}");
    }
    println!("{:#?}", outcome.counts);
    verdict(seed, &outcome).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
#[ignore = "make soak: many seeds"]
fn soak() {
    let (from, seeds, hours) = (number("FROM", 1000), number("N", 100), number("HOURS", DAY));
    let (mut failed, mut counts) = (vec![], std::collections::BTreeMap::<String, u64>::new());
    for seed in from..from + seeds {
        let outcome = run(seed, hours, true);
        for (what, count) in &outcome.counts {
            *counts.entry(what.clone()).or_default() += count;
        }
        if let Err(e) = verdict(seed, &outcome) {
            println!("{e}");
            failed.push(seed);
        }
    }
    println!("{seeds} seeds from {from}, {hours} h of cameras each: {counts:#?}");
    assert!(
        failed.is_empty(),
        "{} of {seeds} seeds failed: {failed:?}",
        failed.len()
    );
}
