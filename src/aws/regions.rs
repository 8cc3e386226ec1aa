//! The controllers' ports, one set for each region: made at first use, then shared, so that token buckets are shared too.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Alarms, Connection, Streams, alarms, streams};

/// The ports of one account and region.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Kinesis Video Streams' control plane.
    pub streams: Arc<dyn Streams>,
    /// CloudWatch's alarms.
    pub alarms: Arc<dyn Alarms>,
}

impl Ports {
    /// Ports that call AWS.
    pub fn connect(connection: &Connection) -> Self {
        Self {
            streams: Arc::new(streams::Sdk::new(connection)),
            alarms: Arc::new(alarms::Sdk::new(connection)),
        }
    }
}

/// The ports of all regions.
#[derive(Debug)]
pub struct Regions {
    /// Where ports for another region come from. `None`: there are only those that are there (tests).
    connection: Option<Connection>,
    ports: Mutex<BTreeMap<String, Ports>>,
}

impl Regions {
    /// All regions, reached by this connection.
    pub fn new(connection: Connection) -> Self {
        Self {
            connection: Some(connection),
            ports: Mutex::default(),
        }
    }

    /// The same ports for one region, and no other region.
    pub fn only(region: &str, ports: Ports) -> Self {
        Self {
            connection: None,
            ports: Mutex::new(BTreeMap::from([(region.to_owned(), ports)])),
        }
    }

    /// The ports of a region. `None`: the region is not among those that there are.
    pub fn ports(&self, region: &str) -> Option<Ports> {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = ports.get(region) {
            return Some(there.clone());
        }
        let made = Ports::connect(&self.connection.as_ref()?.in_region(region));
        ports.insert(region.to_owned(), made.clone());
        Some(made)
    }
}
