//! What all simulated services share: clock, account, metrics, where state is kept, and the settings.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use crate::{
    behaviour::Behaviour,
    clock::Clock,
    faults::{Faults, Rule},
    metrics::Metrics,
};

/// The account of all credentials but those of a role that was assumed in another.
pub const ACCOUNT: &str = "123456789012";

/// The region where a request names none.
pub const DEFAULT_REGION: &str = "us-east-1";

/// An account and a region. Services keep what they have by one text: the region, and where the account is another than
/// `ACCOUNT`, `@` and the account behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The region.
    pub region: &'a str,
    /// The account.
    pub account: &'a str,
}

impl<'a> Place<'a> {
    /// The text for an account and a region.
    pub fn key(account: &str, region: &str) -> String {
        if account == ACCOUNT {
            region.to_owned()
        } else {
            format!("{region}@{account}")
        }
    }

    /// What the text stands for.
    pub fn of(key: &'a str) -> Self {
        let (region, account) = key.split_once('@').unwrap_or((key, ACCOUNT));
        Self { region, account }
    }
}

/// How the simulated AWS behaves where AWS leaves it open or slow. The defaults follow AWS.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where state is kept. `None`: nothing survives a restart.
    pub data: Option<PathBuf>,
    /// The endpoint as clients reach it, for GetDataEndpoint; `None`: as the request's Host header says.
    pub endpoint: Option<String>,
    /// How long a stream stays CREATING, UPDATING or DELETING.
    pub transition: std::time::Duration,
    /// How often alarms are evaluated, and how late metrics are visible. `false` follows AWS (every minute, a minute late).
    /// `true` evaluates every few seconds with what there is, for demonstrations.
    pub early_evaluation: bool,
    /// The answers to what AWS leaves open, at the start.
    pub behaviour: Behaviour,
    /// Roles that can be assumed only with an external id: their ARNs, and which.
    pub external_ids: BTreeMap<String, String>,
    /// Whether the service's quotas hold. Tests that are not about them are simpler without.
    pub quotas: bool,
    /// Faults on demand, at the start.
    pub faults: Vec<Rule>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: None,
            endpoint: None,
            transition: std::time::Duration::from_secs(10),
            early_evaluation: false,
            behaviour: Behaviour::default(),
            external_ids: BTreeMap::new(),
            quotas: false,
            faults: vec![],
        }
    }
}

/// What all services share.
#[derive(Debug)]
pub struct World {
    /// The one clock.
    pub clock: Arc<dyn Clock>,
    /// Metrics of all services, which alarms are evaluated on.
    pub metrics: Metrics,
    /// The settings.
    pub settings: Settings,
    /// Faults on demand.
    pub faults: Faults,
    /// Deliveries of EventBridge and SNS so far, in this life.
    pub deliveries: AtomicU64,
    behaviour: Mutex<Arc<Behaviour>>,
}

impl World {
    /// A world with nothing in it.
    pub fn new(clock: Arc<dyn Clock>, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            clock,
            metrics: Metrics::default(),
            faults: Faults::new(settings.faults.clone()),
            behaviour: Mutex::new(Arc::new(settings.behaviour.clone())),
            deliveries: AtomicU64::new(0),
            settings,
        })
    }

    /// The answers to what AWS leaves open, as they are now.
    pub fn behaviour(&self) -> Arc<Behaviour> {
        self.behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Answers differently from now on.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(behaviour);
    }
}
