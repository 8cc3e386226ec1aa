//! How fast footage is sent.

use std::time::Duration;

/// How fast footage is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// So many seconds of footage a second.
    Speed(f64),
    /// Without waiting.
    AsFastAsPossible,
}

impl Pace {
    /// As a camera does.
    pub const REAL_TIME: Self = Self::Speed(1.0);

    /// How long after the first frame a frame is due that is `millis` of footage after it.
    pub fn due(self, millis: i64) -> Option<Duration> {
        match self {
            Self::Speed(speed) => Some(Duration::from_secs_f64(millis.max(0) as f64 / 1000.0 / speed)),
            Self::AsFastAsPossible => None,
        }
    }
}

impl std::fmt::Display for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::REAL_TIME => f.write_str("in real time"),
            Self::Speed(speed) => write!(f, "{speed} times as fast as real time"),
            Self::AsFastAsPossible => f.write_str("as fast as possible"),
        }
    }
}
