//! Alarms' tags, which say whose they are.

use std::collections::BTreeMap;

use futures::{StreamExt, stream};

use super::{CALLS, Result, State, TAGS_DUE, TAGS_NEEDED, Tagged, Watch, locked};
use crate::aws::{Alarms, Place};

impl Watch {
    /// The tags of the alarms that are `needed`, and of some whose names begin so that nobody has looked at for hours. Reads few at
    /// a time; what was read stays known, whatever comes of the rest.
    ///
    /// # Errors
    /// They could not be read.
    pub async fn tags(
        &self,
        alarms: &dyn Alarms,
        place: &Place,
        prefix: &str,
        needed: Vec<String>,
    ) -> Result<Tagged> {
        let region = self.region(place);
        let region = &*region;
        let chance = || self.clock.node().chance();
        let to_read: BTreeMap<String, String> = {
            let mut state = locked(&region.state);
            let State {
                alarms, named, tags, ..
            } = &mut *state;
            let all = alarms.range(prefix.to_owned()..).map(|(name, _)| name);
            let all = all.take_while(|name| name.starts_with(prefix));
            let mut names = tags.due(all, self.elapsed(), TAGS_DUE, chance);
            names.extend(tags.stale(needed.clone(), self.elapsed(), TAGS_NEEDED));
            let arn = |name: String| {
                let alarm = alarms.get(&name).or_else(|| named.get(&name)?.alarm.as_ref())?;
                Some((alarm.arn.clone(), name))
            };
            names
                .into_iter()
                .filter_map(arn)
                .map(|(arn, name)| (name, arn))
                .collect()
        };
        let read: Vec<Result<String>> = stream::iter(to_read)
            .map(|(name, arn)| async move {
                let began = self.elapsed();
                // An alarm that has gone meanwhile has no owner.
                let tags = alarms.tags(&arn).await?.unwrap_or_default();
                let mut state = locked(&region.state);
                state.tags.add(name.clone(), tags, began, chance());
                Ok(name)
            })
            .buffer_unordered(CALLS)
            .collect()
            .await;
        let read = read.into_iter().collect::<Result<Vec<_>>>()?;
        let (state, now) = (locked(&region.state), self.elapsed());
        let unsure = needed.iter().filter(|name| !state.tags.is_fresh(name, now));
        let unsure = unsure.cloned().collect();
        let names = needed.into_iter().chain(read);
        let of = names.filter_map(|name| Some((state.tags.of(&name)?.clone(), name)));
        Ok(Tagged {
            of: of.map(|(tags, name)| (name, tags)).collect(),
            unsure,
        })
    }
}
