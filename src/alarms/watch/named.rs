//! Alarms that somebody else made and policies name.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::{Named, Result, TOO_OLD, Watch, locked, no_time};
use crate::aws::{Alarms, Place, alarms::Alarm};

impl Watch {
    /// Alarms by their names, which may be anybody's, and as of when they are known; nothing where none is asked for. Nobody
    /// tells of their changes but they themselves, so that they are read at each look.
    ///
    /// # Errors
    /// They could not be read.
    pub async fn named(
        &self,
        alarms: &dyn Alarms,
        place: &Place,
        names: &BTreeSet<&str>,
    ) -> Result<Option<(Vec<Alarm>, Timestamp)>> {
        let region = self.region(place);
        let stale: Vec<String> = {
            let mut state = locked(&region.state);
            let now = self.elapsed();
            state
                .named
                .retain(|_, named| now.saturating_sub(named.read.1) < TOO_OLD);
            let fresh = |name: &&&str| {
                let named = state.named.get(**name);
                named.is_some_and(|named| now.saturating_sub(named.read.1) < self.fresh())
            };
            let stale = names.iter().filter(|name| !fresh(name));
            stale.map(|name| (*name).to_owned()).collect()
        };
        if !stale.is_empty() {
            let began = self.elapsed();
            let found = alarms.describe_named(&stale).await?;
            let Some(at) = self.began(began) else {
                return Err(no_time("cloudwatch:DescribeAlarms"));
            };
            let mut found: HashMap<_, _> = found
                .into_iter()
                .map(|alarm| (alarm.name.clone(), alarm))
                .collect();
            let mut state = locked(&region.state);
            for name in stale {
                let alarm = found.remove(&name);
                let read = (at, began);
                state.named.insert(name, Named { alarm, read });
            }
        }
        let state = locked(&region.state);
        let known: Vec<&Named> = names.iter().filter_map(|name| state.named.get(*name)).collect();
        let read = known.iter().map(|named| named.read.0).min();
        let there = known.iter().filter_map(|named| named.alarm.clone()).collect();
        Ok(read.map(|read| (there, read)))
    }
}
