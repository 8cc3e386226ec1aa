//! How EventBridge and SNS deliver: at least once, each delivery in its own time, so in no order; or, where a switch or a rule
//! says so, not at all.

use std::sync::atomic::Ordering;

use jiff::{SignedDuration, Timestamp};

use crate::{
    faults::{Fault, Inside, LONGEST_MILLIS},
    world::World,
};

/// When the copies of one delivery arrive: one, unless a switch, or for an alarm's change of state a rule, says otherwise.
pub fn copies(world: &World, alarm: Option<&str>) -> Vec<Timestamp> {
    let now = world.clock.now();
    let behaviour = world.behaviour();
    let number = world.deliveries.fetch_add(1, Ordering::Relaxed) + 1;
    let strikes = |one_in: u64| number.is_multiple_of(one_in);
    let arrival = || {
        let most = behaviour.delivery_at_most_millis.max(0);
        now + SignedDuration::from_millis(rand::random_range(0..=most))
    };
    match alarm.and_then(|alarm| world.faults.strike_inside(Inside::AlarmEvent, alarm)) {
        Some(Fault::Missing {}) => vec![],
        Some(Fault::Twice {}) => vec![arrival(), arrival()],
        Some(Fault::Delay { millis }) => {
            let most = i64::try_from(millis.min(LONGEST_MILLIS)).unwrap_or_default();
            vec![arrival() + SignedDuration::from_millis(most)]
        }
        _ if strikes(behaviour.delivery_lost_one_in) => vec![],
        _ if strikes(behaviour.delivery_twice_one_in) => vec![arrival(), arrival()],
        _ => vec![arrival()],
    }
}
