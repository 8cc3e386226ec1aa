//! The controllers' ports, one set for each place: made at first use, then shared. So are a role's credentials, and the token
//! buckets of an account and region.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Alarms, Connection, Place, Role, Streams, alarms, streams};

/// The ports of one place.
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

/// The ports of all places.
#[derive(Debug)]
pub struct Regions {
    connection: Connection,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// A connection for each role: its credentials are good in all regions.
    roles: BTreeMap<Role, Connection>,
    ports: BTreeMap<Place, Ports>,
}

impl Regions {
    /// All places, reached from this connection.
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            known: Mutex::default(),
        }
    }

    /// The same with these ports for one place.
    #[must_use]
    pub fn with(self, place: Place, ports: Ports) -> Self {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ports
            .insert(place, ports);
        self
    }

    /// The ports of a place.
    pub fn ports(&self, place: &Place) -> Ports {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = known.ports.get(place) {
            return there.clone();
        }
        let connection = match &place.role {
            None => &self.connection,
            Some(role) => known
                .roles
                .entry(role.clone())
                .or_insert_with(|| self.connection.by_role(role)),
        };
        let made = Ports::connect(&connection.in_region(&place.region));
        known.ports.insert(place.clone(), made.clone());
        made
    }
}
