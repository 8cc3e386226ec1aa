//! Histories that are read alarm by alarm: where the account's may not be read as a whole, further back, and of others' alarms.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};

use super::{AGAIN, CALLS, Need, Region, Result, Single, Watch, locked, transition};
use crate::{alarms::Transition, aws::Alarms};

impl Watch {
    /// The histories of single alarms. What was read stays known, whatever comes of the rest.
    pub(super) async fn one_by_one(
        &self,
        alarms: &dyn Alarms,
        region: &Region,
        needs: Vec<Need>,
    ) -> Result<BTreeMap<String, Vec<Transition>>> {
        let results: Vec<Result<(String, Vec<Transition>)>> = stream::iter(needs)
            .map(|need| async move {
                let known = {
                    let state = locked(&region.state);
                    let known = state.single.get(&need.alarm);
                    let known = known.filter(|known| {
                        known.from <= need.from
                            && known.since == need.since
                            && self.elapsed().saturating_sub(known.read) < AGAIN
                    });
                    known.map(|known| known.transitions.clone())
                };
                let transitions = match known {
                    Some(transitions) => transitions,
                    None => {
                        let read = self.elapsed();
                        let entries = alarms.history(&need.alarm, need.from).await?;
                        let transitions: Vec<_> = entries.iter().filter_map(transition).collect();
                        let single = Single {
                            from: need.from,
                            since: need.since,
                            read,
                            transitions: transitions.clone(),
                        };
                        locked(&region.state).single.insert(need.alarm.clone(), single);
                        transitions
                    }
                };
                let wanted = transitions.into_iter().filter(|t| t.at >= need.from);
                Ok((need.alarm.clone(), wanted.collect()))
            })
            .buffer_unordered(CALLS)
            .collect()
            .await;
        results.into_iter().collect()
    }
}
