//! All rules with their targets. Every change goes to the log first, then into memory.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    error,
    model::{Rule, RuleId},
};
use crate::{log::Log, wire::Fault};

/// One change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Change {
    /// A rule is now this.
    Rule(Box<Rule>),
    /// A rule is gone.
    Gone(RuleId),
}

/// All rules.
#[derive(Debug)]
pub struct Book {
    rules: BTreeMap<RuleId, Rule>,
    log: Log,
}

impl Book {
    /// What the folder keeps of an earlier life.
    pub fn open(folder: Option<&Path>) -> anyhow::Result<Self> {
        let (log, changes) = Log::open(folder, "rules.jsonl")?;
        let mut book = Self {
            rules: BTreeMap::new(),
            log,
        };
        changes.into_iter().for_each(|change| book.apply(change));
        book.log.rewrite(
            book.rules
                .values()
                .cloned()
                .map(|rule| Change::Rule(Box::new(rule))),
        )?;
        Ok(book)
    }

    /// Makes a change.
    pub fn commit(&mut self, change: Change) -> Result<(), Fault> {
        self.log.commit([&change])?;
        self.apply(change);
        Ok(())
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Rule(rule) => {
                self.rules.insert(rule.id.clone(), *rule);
            }
            Change::Gone(id) => {
                self.rules.remove(&id);
            }
        }
    }

    /// One rule.
    pub fn rule(&self, id: &RuleId) -> Result<&Rule, Fault> {
        self.rules.get(id).ok_or_else(|| error::no_rule(&id.name))
    }

    /// A region's rules by name.
    pub fn rules<'a>(&'a self, region: &'a str) -> impl Iterator<Item = &'a Rule> {
        self.rules.values().filter(move |rule| rule.id.region == region)
    }
}
