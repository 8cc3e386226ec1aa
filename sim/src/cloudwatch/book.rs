//! All alarms and their history. Every change goes to the log first, then into memory.

use std::{collections::BTreeMap, path::Path};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    history::Item,
    model::{Alarm, AlarmId},
};
use crate::{log::Log, wire::Fault};

/// How long AWS keeps history.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// One change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Change {
    /// An alarm is now this.
    Alarm(Box<Alarm>),
    /// An alarm is gone.
    Gone(AlarmId),
    /// Something happened to an alarm.
    Happened(Item),
}

/// Where an item is in its region's history: by time, and in the order of writing.
pub type Place = (i64, u64);

/// All alarms and their history.
#[derive(Debug)]
pub struct Book {
    alarms: BTreeMap<AlarmId, Alarm>,
    history: BTreeMap<String, BTreeMap<Place, Item>>,
    written: u64,
    log: Log,
}

impl Book {
    /// What the folder keeps of an earlier life.
    pub fn open(folder: Option<&Path>, now: Timestamp) -> anyhow::Result<Self> {
        let (log, changes) = Log::open(folder, "alarms.jsonl")?;
        let mut book = Self {
            alarms: BTreeMap::new(),
            history: BTreeMap::new(),
            written: 0,
            log,
        };
        changes.into_iter().for_each(|change| book.apply(change));
        book.forget(now);
        let alarms = book
            .alarms
            .values()
            .map(|alarm| Change::Alarm(Box::new(alarm.clone())));
        let items = book
            .history
            .values()
            .flat_map(BTreeMap::values)
            .cloned()
            .map(Change::Happened);
        book.log.rewrite(alarms.chain(items))?;
        Ok(book)
    }

    /// Makes changes, all or none.
    pub fn commit(&mut self, changes: Vec<Change>) -> Result<(), Fault> {
        self.log.commit(&changes)?;
        changes.into_iter().for_each(|change| self.apply(change));
        Ok(())
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Alarm(alarm) => {
                self.alarms.insert(alarm.id.clone(), *alarm);
            }
            Change::Gone(id) => {
                self.alarms.remove(&id);
            }
            Change::Happened(item) => {
                let place = (item.at.as_millisecond(), self.written);
                self.written += 1;
                self.history
                    .entry(item.alarm.region.clone())
                    .or_default()
                    .insert(place, item);
            }
        }
    }

    /// Drops history that AWS no longer keeps.
    pub fn forget(&mut self, now: Timestamp) {
        let oldest = ((now - KEPT).as_millisecond(), 0);
        for items in self.history.values_mut() {
            *items = items.split_off(&oldest);
        }
    }

    /// One alarm.
    pub fn alarm(&self, id: &AlarmId) -> Option<&Alarm> {
        self.alarms.get(id)
    }

    /// One alarm of a region, by name.
    pub fn named(&self, region: &str, name: &str) -> Option<&Alarm> {
        self.alarms.get(&AlarmId {
            region: region.to_owned(),
            name: name.to_owned(),
        })
    }

    /// All alarms of all regions.
    pub fn all(&self) -> impl Iterator<Item = &Alarm> {
        self.alarms.values()
    }

    /// A region's alarms by name.
    pub fn alarms<'a>(&'a self, region: &'a str) -> impl Iterator<Item = &'a Alarm> {
        let first = AlarmId {
            region: region.to_owned(),
            name: String::new(),
        };
        self.alarms
            .range(first..)
            .map(|(_, alarm)| alarm)
            .take_while(move |alarm| alarm.id.region == region)
    }

    /// A region's history, oldest first.
    pub fn history(&self, region: &str) -> impl DoubleEndedIterator<Item = (&Place, &Item)> {
        self.history.get(region).into_iter().flatten()
    }
}
