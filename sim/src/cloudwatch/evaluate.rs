//! Alarm evaluation as AWS describes it ("How alarm state is evaluated when data is missing"): pure.
//!
//! CloudWatch reads more datapoints than the alarm has evaluation periods, the evaluation range. Where enough of them exist
//! the missing ones do not matter; only otherwise are they filled in, as few as possible, the way the alarm says.

use jiff::Timestamp;

use super::model::StateValue;

/// How a value is compared with the threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Breaching where it is at least the threshold.
    GreaterOrEqual,
    /// Breaching where it is more than the threshold.
    Greater,
    /// Breaching where it is less than the threshold.
    Less,
    /// Breaching where it is at most the threshold.
    LessOrEqual,
}

impl Comparison {
    /// AWS's name for it, such as `GreaterThanThreshold`.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "GreaterThanOrEqualToThreshold" => Self::GreaterOrEqual,
            "GreaterThanThreshold" => Self::Greater,
            "LessThanThreshold" => Self::Less,
            "LessThanOrEqualToThreshold" => Self::LessOrEqual,
            _ => return None,
        })
    }

    fn breaches(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::GreaterOrEqual => value >= threshold,
            Self::Greater => value > threshold,
            Self::Less => value < threshold,
            Self::LessOrEqual => value <= threshold,
        }
    }
}

/// What a missing datapoint counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// As breaching.
    Breaching,
    /// As not breaching.
    NotBreaching,
    /// The state stays as it is.
    Ignore,
    /// As nothing: INSUFFICIENT_DATA if there is nothing else.
    Unknown,
}

impl Missing {
    /// AWS's name for it, such as `notBreaching`.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "breaching" => Self::Breaching,
            "notBreaching" => Self::NotBreaching,
            "ignore" => Self::Ignore,
            "missing" => Self::Unknown,
            _ => return None,
        })
    }
}

/// When an alarm fires.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The comparison.
    pub comparison: Comparison,
    /// With what.
    pub threshold: f64,
    /// How many datapoints are judged (N), at least 1.
    pub periods: usize,
    /// How many of them must breach (M), 1 to N.
    pub to_alarm: usize,
    /// What missing ones count as.
    pub missing: Missing,
}

/// A datapoint's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    /// The statistic over the period.
    pub value: f64,
    /// From how many samples; `None` for the result of an expression.
    pub samples: Option<f64>,
}

/// One period of the evaluation range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slot {
    /// When the period begins.
    pub start: Timestamp,
    /// Its value; `None`: missing.
    pub value: Option<Value>,
}

/// What an evaluation came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The state that the data says; `None`: not changed.
    pub state: Option<StateValue>,
    /// What was judged, oldest first: N slots, or fewer if the range is shorter.
    pub judged: Vec<Slot>,
    /// How many missing ones were counted as breaching or not breaching.
    pub filled: usize,
}

impl Rule {
    /// Whether a value breaches.
    pub fn breaches(&self, value: f64) -> bool {
        self.comparison.breaches(value, self.threshold)
    }

    /// Judges an evaluation range, oldest first.
    pub fn judge(&self, range: &[Slot]) -> Verdict {
        let real: Vec<usize> = (0..range.len()).filter(|i| range[*i].value.is_some()).collect();
        if real.len() >= self.periods {
            let judged: Vec<Slot> = real[real.len() - self.periods..]
                .iter()
                .map(|i| range[*i])
                .collect();
            let state = self.alarm_if(self.breaching(&judged) >= self.to_alarm);
            return Verdict {
                state: Some(state),
                judged,
                filled: 0,
            };
        }
        let judged = self.with_newest_missing(range, real.len());
        let gaps = self.periods - real.len();
        let breaching = self.breaching(&judged);
        let (state, filled) = match self.missing {
            Missing::Breaching => (Some(self.alarm_if(breaching + gaps >= self.to_alarm)), gaps),
            Missing::NotBreaching => (Some(self.alarm_if(breaching >= self.to_alarm)), gaps),
            Missing::Ignore | Missing::Unknown => (self.undecided(range, &judged, breaching, real.len()), 0),
        };
        Verdict {
            state,
            judged,
            filled,
        }
    }

    /// All real datapoints, and of the missing ones the newest, up to N.
    fn with_newest_missing(&self, range: &[Slot], real: usize) -> Vec<Slot> {
        let mut gaps = self.periods - real;
        let mut judged: Vec<Slot> = range
            .iter()
            .rev()
            .filter(|slot| {
                let take = slot.value.is_some() || gaps > 0;
                if slot.value.is_none() && take {
                    gaps -= 1;
                }
                take
            })
            .copied()
            .collect();
        judged.reverse();
        judged
    }

    /// The state where too few datapoints exist and nothing is put in their place.
    fn undecided(
        &self,
        range: &[Slot],
        judged: &[Slot],
        breaching: usize,
        real: usize,
    ) -> Option<StateValue> {
        if breaching >= self.to_alarm {
            return Some(StateValue::Alarm);
        }
        if breaching < real {
            return Some(StateValue::Ok);
        }
        if self.missing == Missing::Ignore {
            return None;
        }
        // Nothing but breaching ones, fewer than M: an alarm only when the oldest is as old as M datapoints would be, so
        // that data which merely comes late raises none ("avoiding premature transitions to alarm state").
        let oldest = judged.iter().find(|slot| slot.value.is_some());
        let age = oldest
            .and_then(|o| range.iter().rev().position(|slot| slot.start == o.start))
            .map(|p| p + 1);
        let state = match age {
            Some(age) if age >= self.to_alarm => StateValue::Alarm,
            _ => StateValue::InsufficientData,
        };
        Some(state)
    }

    fn breaching(&self, slots: &[Slot]) -> usize {
        slots
            .iter()
            .filter_map(|slot| slot.value)
            .filter(|v| self.breaches(v.value))
            .count()
    }

    fn alarm_if(&self, alarm: bool) -> StateValue {
        if alarm { StateValue::Alarm } else { StateValue::Ok }
    }
}

/// Where the evaluation range of an alarm ends at `now`, and how many periods it has.
///
/// As AWS: whole minutes, data is visible a minute late, and the range has two periods more than the alarm judges (AWS's
/// example reads 5 for 3). `early`: the running minute counts as soon as it has data, or is half over without any; and the
/// range is no longer than what is judged, so that an alarm also clears soon. `late`: so many periods later metrics are
/// published, and so much longer the range is: AWS does not say how long it is, but alarms on what comes late do go off.
pub fn range(
    now: Timestamp,
    early: bool,
    running_has_data: bool,
    periods: usize,
    late: usize,
) -> (i64, usize) {
    let minute = now.as_second().div_euclid(60) * 60;
    if !early {
        return (minute - 60, periods + 2 + late);
    }
    // The newest that is published may lie before the running minute and the late ones.
    let count = if late == 0 { periods } else { periods + late + 1 };
    if running_has_data || now.as_second() - minute >= 30 {
        (minute + 60, count)
    } else {
        (minute, count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A range as AWS's tables draw it: `0` not breaching, `X` breaching, `-` missing.
    fn slots(drawing: &str) -> Vec<Slot> {
        let value = |c| match c {
            '0' => Some(Value {
                value: 0.0,
                samples: Some(1.0),
            }),
            'X' => Some(Value {
                value: 9.0,
                samples: Some(1.0),
            }),
            _ => None,
        };
        let start = |i| Timestamp::from_second(60 * i as i64).unwrap();
        drawing
            .chars()
            .enumerate()
            .map(|(i, c)| Slot {
                start: start(i),
                value: value(c),
            })
            .collect()
    }

    fn rule(to_alarm: usize, periods: usize, missing: Missing) -> Rule {
        Rule {
            comparison: Comparison::GreaterOrEqual,
            threshold: 1.0,
            periods,
            to_alarm,
            missing,
        }
    }

    const ALL: [Missing; 4] = [
        Missing::Unknown,
        Missing::Ignore,
        Missing::Breaching,
        Missing::NotBreaching,
    ];

    #[test]
    fn as_in_the_tables_of_the_user_guide() {
        use StateValue::{Alarm, InsufficientData as Unknown, Ok};
        let keep = None;
        // M, N, range, then the state for missing, ignore, breaching, notBreaching.
        let cases = [
            (3, 3, "0-X-X", [Some(Ok), Some(Ok), Some(Ok), Some(Ok)]),
            (3, 3, "0----", [Some(Ok), Some(Ok), Some(Ok), Some(Ok)]),
            (3, 3, "-----", [Some(Unknown), keep, Some(Alarm), Some(Ok)]),
            (
                3,
                3,
                "0XX-X",
                [Some(Alarm), Some(Alarm), Some(Alarm), Some(Alarm)],
            ),
            (3, 3, "----X", [Some(Unknown), keep, Some(Alarm), Some(Ok)]),
            (3, 3, "---X-", [Some(Unknown), keep, Some(Alarm), Some(Ok)]),
            (3, 3, "--X--", [Some(Alarm), keep, Some(Alarm), Some(Ok)]),
            (3, 3, "X----", [Some(Alarm), keep, Some(Alarm), Some(Ok)]),
            (
                2,
                3,
                "0-X-X",
                [Some(Alarm), Some(Alarm), Some(Alarm), Some(Alarm)],
            ),
            (
                2,
                3,
                "00X0X",
                [Some(Alarm), Some(Alarm), Some(Alarm), Some(Alarm)],
            ),
            (2, 3, "0-X--", [Some(Ok), Some(Ok), Some(Alarm), Some(Ok)]),
            (2, 3, "----0", [Some(Ok), Some(Ok), Some(Alarm), Some(Ok)]),
            (2, 3, "----X", [Some(Unknown), keep, Some(Alarm), Some(Ok)]),
            (2, 3, "---X-", [Some(Alarm), keep, Some(Alarm), Some(Ok)]),
            (1, 1, "--X", [Some(Alarm), Some(Alarm), Some(Alarm), Some(Alarm)]),
            (1, 1, "X--", [Some(Alarm), Some(Alarm), Some(Alarm), Some(Alarm)]),
            (1, 1, "---", [Some(Unknown), keep, Some(Alarm), Some(Ok)]),
        ];
        for (m, n, drawing, expected) in cases {
            for (missing, expected) in ALL.into_iter().zip(expected) {
                let verdict = rule(m, n, missing).judge(&slots(drawing));
                assert_eq!(verdict.state, expected, "{m} of {n}, {drawing}, {missing:?}");
            }
        }
    }

    #[test]
    fn comparisons() {
        let cases = [
            ("GreaterThanOrEqualToThreshold", [false, true, true]),
            ("GreaterThanThreshold", [false, false, true]),
            ("LessThanThreshold", [true, false, false]),
            ("LessThanOrEqualToThreshold", [true, true, false]),
        ];
        for (name, expected) in cases {
            let comparison = Comparison::parse(name).unwrap();
            assert_eq!(
                [0.0, 1.0, 2.0].map(|v| comparison.breaches(v, 1.0)),
                expected,
                "{name}"
            );
        }
        assert_eq!(Comparison::parse("Foo"), None);
    }

    #[test]
    fn the_range_ends_a_minute_late_unless_early() {
        let at = |s| Timestamp::from_second(s).unwrap();
        // 16:00:04 in the guide's own example judges the period that begins at 15:58:00.
        assert_eq!(range(at(16 * 3600 + 4), false, true, 1, 0), (16 * 3600 - 60, 3));
        assert_eq!(range(at(610), true, true, 1, 0), (660, 1));
        assert_eq!(range(at(610), true, false, 1, 0), (600, 1));
        assert_eq!(range(at(630), true, false, 2, 0), (660, 2));
        // The minute at 0, published four minutes after its end.
        assert_eq!(range(at(300), false, false, 1, 4), (240, 7));
        assert_eq!(range(at(359), true, false, 1, 4), (360, 6));
    }

    fn drawing() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof![Just('0'), Just('X'), Just('-')], 1..12)
            .prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn enough_data_makes_the_treatment_irrelevant(drawing in drawing(), m in 1usize..4, extra in 0usize..3) {
            let n = m + extra;
            let range = slots(&drawing);
            let states = ALL.map(|missing| rule(m, n, missing).judge(&range));
            if range.iter().filter(|s| s.value.is_some()).count() >= n {
                prop_assert!(states.iter().all(|s| s == &states[0]));
                prop_assert!(states[0].judged.len() == n && states[0].filled == 0);
            }
        }

        #[test]
        fn one_more_breaching_value_never_clears(drawing in drawing(), m in 1usize..4, extra in 0usize..3, at in any::<prop::sample::Index>()) {
            let n = m + extra;
            let at = at.index(drawing.len());
            let worse: String = drawing.chars().enumerate().map(|(i, c)| if i == at && c == '0' { 'X' } else { c }).collect();
            for missing in ALL {
                let before = rule(m, n, missing).judge(&slots(&drawing)).state;
                let after = rule(m, n, missing).judge(&slots(&worse)).state;
                // Without non-breaching values `ignore` and `missing` may hold their judgement back.
                let held = matches!(missing, Missing::Ignore | Missing::Unknown) && !worse.contains('0');
                prop_assert!(before != Some(StateValue::Alarm) || after == Some(StateValue::Alarm) || held);
            }
        }

        #[test]
        fn every_real_datapoint_is_judged_while_they_are_few(drawing in drawing(), m in 1usize..4, extra in 0usize..3) {
            let n = m + extra;
            let range = slots(&drawing);
            let real = range.iter().filter(|s| s.value.is_some()).count();
            let verdict = rule(m, n, Missing::Breaching).judge(&range);
            prop_assert_eq!(verdict.judged.iter().filter(|s| s.value.is_some()).count(), real.min(n));
            prop_assert!(verdict.judged.len() <= n);
            prop_assert!(verdict.judged.windows(2).all(|w| w[0].start < w[1].start));
        }
    }
}
