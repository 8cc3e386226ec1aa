//! Object lock: retention and legal hold. The rules are pure; time is passed in.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{
    S3,
    answer::{self, time},
    attributes::set,
    buckets::find,
    error::{Error, Result},
    objects::object,
    request::Call,
    settings,
    state::{Bucket, Event},
    xml::Element,
};
use crate::http::{Body, Response};

/// What keeps a version from being deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// How, and until when.
    pub retention: Option<Retention>,
    /// Whether it is on legal hold; `None`: that was never said.
    pub hold: Option<bool>,
}

/// A retention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// How strictly.
    pub mode: Mode,
    /// Until when.
    pub until: Timestamp,
}

/// How strictly a version is retained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// Whoever asks to bypass it may.
    Governance,
    /// Nobody may shorten it.
    Compliance,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Governance, Self::Compliance]
            .into_iter()
            .find(|m| m.name() == name)
    }
}

const MODE: &str = "x-amz-object-lock-mode";
const UNTIL: &str = "x-amz-object-lock-retain-until-date";
const HOLD: &str = "x-amz-object-lock-legal-hold";

impl Lock {
    /// The lock of a new object: what the headers say, else the bucket's default.
    pub fn of_new(call: &Call, bucket: &Bucket, now: Timestamp) -> Result<Self> {
        let said = [MODE, UNTIL, HOLD].iter().any(|name| call.header(name).is_some());
        let Some(configuration) = settings::document(bucket, "object-lock") else {
            return if said {
                Err(no_configuration())
            } else {
                Ok(Self::default())
            };
        };
        let retention = match (call.header(MODE), call.header(UNTIL)) {
            (Some(mode), Some(until)) => Some(retention(mode, until, now)?),
            (None, None) => default_retention(&configuration, now),
            _ => {
                return Err(Error::because(
                    "InvalidArgument",
                    "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
                ));
            }
        };
        let hold = match call.header(HOLD) {
            None => None,
            Some("ON") => Some(true),
            Some("OFF") => Some(false),
            Some(_) => {
                return Err(Error::because(
                    "InvalidArgument",
                    "Legal Hold must be either of 'ON' or 'OFF'",
                ));
            }
        };
        Ok(Self { retention, hold })
    }

    /// Whether a body needs something to verify it by, because it will be locked.
    pub fn is_set(&self) -> bool {
        self.retention.is_some() || self.hold.is_some()
    }

    /// Refuses the deletion of a version that is locked.
    pub fn check_deletion(&self, now: Timestamp, bypass: bool) -> Result<()> {
        let retained = self
            .retention
            .as_ref()
            .is_some_and(|r| r.until > now && !(bypass && r.mode == Mode::Governance));
        if retained || self.hold == Some(true) {
            return Err(Error::because(
                "AccessDenied",
                "Access Denied because object protected by object lock.",
            ));
        }
        Ok(())
    }

    /// Refuses a retention that weakens the one that is there. `None` takes it away.
    fn check_change(&self, new: Option<&Retention>, now: Timestamp, bypass: bool) -> Result<()> {
        let Some(old) = self.retention.as_ref().filter(|old| old.until > now) else {
            return Ok(());
        };
        let weaker = new.is_none_or(|new| new.until < old.until || new.mode != old.mode);
        let stricter = new.is_some_and(|new| new.until >= old.until && new.mode == Mode::Compliance);
        if weaker && !stricter && (old.mode == Mode::Compliance || !bypass) {
            return Err(Error::because(
                "AccessDenied",
                "Access Denied because object protected by object lock.",
            ));
        }
        Ok(())
    }

    /// Writes it into an answer to GetObject or HeadObject.
    pub fn write(&self, headers: &mut axum::http::HeaderMap) {
        if let Some(retention) = &self.retention {
            set(headers, MODE, retention.mode.name());
            set(headers, UNTIL, time(retention.until));
        }
        if let Some(hold) = self.hold {
            set(headers, HOLD, if hold { "ON" } else { "OFF" });
        }
    }
}

fn no_configuration() -> Error {
    Error::because("InvalidRequest", "Bucket is missing Object Lock Configuration")
}

fn retention(mode: &str, until: &str, now: Timestamp) -> Result<Retention> {
    let mode =
        Mode::named(mode).ok_or_else(|| Error::because("InvalidArgument", "Unknown wormMode directive."))?;
    let until: Timestamp = until.parse().map_err(|_| {
        Error::because(
            "InvalidArgument",
            "The retain until date must be provided in ISO 8601 format",
        )
    })?;
    if until <= now {
        return Err(Error::because(
            "InvalidArgument",
            "The retain until date must be in the future!",
        ));
    }
    Ok(Retention { mode, until })
}

/// What the bucket's rule gives an object that is written now.
fn default_retention(configuration: &Element, now: Timestamp) -> Option<Retention> {
    let rule = configuration.child("Rule")?.child("DefaultRetention")?;
    let count = |name: &str| rule.get(name).and_then(|n| n.parse::<i64>().ok());
    let span = match (count("Days"), count("Years")) {
        (Some(days), _) => days.days(),
        (None, Some(years)) => years.years(),
        (None, None) => return None,
    };
    let until = now.to_zoned(TimeZone::UTC).checked_add(span).ok()?.timestamp();
    Some(Retention {
        mode: Mode::named(rule.get("Mode")?)?,
        until,
    })
}

impl S3 {
    pub(super) fn get_object_retention(&self, call: &Call) -> Result<Response> {
        let retention = self.lock(call)?.retention.ok_or_else(no_lock)?;
        let document = Element::new("Retention")
            .text("Mode", retention.mode.name())
            .text("RetainUntilDate", time(retention.until));
        Ok(answer::xml(&document))
    }

    pub(super) fn get_object_legal_hold(&self, call: &Call) -> Result<Response> {
        let hold = self.lock(call)?.hold.ok_or_else(no_lock)?;
        Ok(answer::xml(
            &Element::new("LegalHold").text("Status", if hold { "ON" } else { "OFF" }),
        ))
    }

    pub(super) async fn put_object_retention(&self, call: &Call, body: Body) -> Result<Response> {
        let document = call.document(body, "Retention").await?;
        let now = self.world.clock.now();
        let new = match (document.get("Mode"), document.get("RetainUntilDate")) {
            (Some(mode), Some(until)) => Some(retention(mode, until, now)?),
            (None, None) => None,
            _ => return Err(Error::new("MalformedXML")),
        };
        let bypass = bypasses(call);
        self.change_lock(call, |lock| {
            lock.check_change(new.as_ref(), now, bypass)?;
            Ok(Lock {
                retention: new,
                ..lock
            })
        })
    }

    pub(super) async fn put_object_legal_hold(&self, call: &Call, body: Body) -> Result<Response> {
        let document = call.document(body, "LegalHold").await?;
        let hold = match document.get("Status") {
            Some("ON") => true,
            Some("OFF") => false,
            _ => return Err(Error::new("MalformedXML")),
        };
        self.change_lock(call, |lock| {
            Ok(Lock {
                hold: Some(hold),
                ..lock
            })
        })
    }

    fn lock(&self, call: &Call) -> Result<Lock> {
        self.bucket(call, |bucket| {
            settings::document(bucket, "object-lock").ok_or_else(no_configuration)?;
            Ok(object(bucket, call)?.1.attributes.lock.clone())
        })
    }

    fn change_lock(&self, call: &Call, change: impl FnOnce(Lock) -> Result<Lock>) -> Result<Response> {
        self.store.change(|state| {
            let bucket = find(&state.buckets, &call.bucket)?;
            settings::document(bucket, "object-lock").ok_or_else(no_configuration)?;
            let (version, object) = object(bucket, call)?;
            let mut attributes = Box::new(object.attributes.clone());
            attributes.lock = change(attributes.lock)?;
            let (bucket, key, id) = (call.bucket.clone(), call.key.clone(), version.id.clone());
            Ok((
                vec![Event::Attributes {
                    bucket,
                    key,
                    id,
                    attributes,
                }],
                (),
            ))
        })?;
        Ok(answer::empty())
    }
}

/// Whether a request asks to bypass governance.
pub fn bypasses(call: &Call) -> bool {
    call.header("x-amz-bypass-governance-retention")
        .is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

fn no_lock() -> Error {
    Error::because(
        "NoSuchObjectLockConfiguration",
        "The specified object does not have a ObjectLock configuration",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn deletion() {
        let lock = |mode, hold| Lock {
            retention: Some(Retention { mode, until: at(100) }),
            hold,
        };
        for (lock, now, bypass, allowed) in [
            (Lock::default(), 0, false, true),
            (lock(Mode::Governance, None), 99, false, false),
            (lock(Mode::Governance, None), 99, true, true),
            (lock(Mode::Governance, None), 100, false, true),
            (lock(Mode::Compliance, None), 99, true, false),
            (lock(Mode::Compliance, Some(false)), 100, false, true),
            (lock(Mode::Governance, Some(true)), 100, true, false),
        ] {
            assert_eq!(
                lock.check_deletion(at(now), bypass).is_ok(),
                allowed,
                "{lock:?} {now} {bypass}"
            );
        }
    }

    #[test]
    fn change() {
        let retention = |mode, until| Retention {
            mode,
            until: at(until),
        };
        let (governance, compliance) = (Mode::Governance, Mode::Compliance);
        for (old, new, bypass, allowed) in [
            (governance, Some((governance, 200)), false, true),
            (governance, Some((compliance, 200)), false, true),
            (governance, Some((governance, 50)), false, false),
            (governance, Some((governance, 50)), true, true),
            (governance, None, false, false),
            (governance, None, true, true),
            (compliance, Some((compliance, 200)), false, true),
            (compliance, Some((compliance, 50)), true, false),
            (compliance, Some((governance, 200)), true, false),
            (compliance, None, true, false),
        ] {
            let lock = Lock {
                retention: Some(retention(old, 100)),
                hold: None,
            };
            let new = new.map(|(mode, until)| retention(mode, until));
            assert_eq!(
                lock.check_change(new.as_ref(), at(0), bypass).is_ok(),
                allowed,
                "{old:?} {new:?} {bypass}"
            );
            assert!(
                lock.check_change(new.as_ref(), at(100), bypass).is_ok(),
                "it has run out"
            );
        }
    }
}
