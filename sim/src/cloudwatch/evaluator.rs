//! The evaluator: every minute, or every few seconds, all alarms against the metrics.

use std::{collections::BTreeMap, sync::MutexGuard, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    CloudWatch,
    evaluate::{self, Comparison, Missing, Rule, Slot},
    math::{self, Inputs},
    model::{Alarm, AlarmId, MetricAlarm, MetricDataQuery, MetricStat, StateValue},
    reason::{self, About},
    statistics,
};
use crate::{
    faults::{self, Inside},
    wire::Fault,
};

/// How often the running task looks at the clock.
const TICK: Duration = Duration::from_secs(1);
/// How often alarms are evaluated early.
const EARLY: i64 = 5;
/// The second of a minute at which AWS's evaluation comes, more or less.
const SECOND: i64 = 4;
/// How much older the query in a reason is than the history item that quotes it.
const QUERY_BEFORE_HISTORY: SignedDuration = SignedDuration::from_millis(23);

/// The longest (ms) that a rule keeps a change of state back: a month.
const LONGEST_HOLD: u64 = 30 * 24 * 3_600_000;

impl CloudWatch {
    /// Evaluates alarms for as long as the future lives.
    pub async fn run(&self) {
        let mut done = None;
        loop {
            tokio::time::sleep(TICK).await;
            let now = self.world.clock.now();
            let due = self.due(now);
            if done != Some(due) {
                done = Some(due);
                if let Err(fault) = self.evaluate() {
                    tracing::error!(%fault, "alarms cannot be evaluated");
                }
            }
        }
    }

    /// Which evaluation is the last one due.
    fn due(&self, now: Timestamp) -> i64 {
        if self.world.settings.early_evaluation {
            now.as_second().div_euclid(EARLY)
        } else {
            (now.as_second() - SECOND).div_euclid(60)
        }
    }

    /// Evaluates all alarms once, now.
    pub fn evaluate(&self) -> Result<(), Fault> {
        self.keep_metrics()?;
        let now = self.world.clock.now();
        self.evaluate_new_composites(&mut self.book())?;
        let alarms: Vec<Alarm> = self.book().all().cloned().collect();
        for alarm in alarms {
            let Some((value, reason, data)) = self.verdict(&alarm, now)? else {
                self.held().remove(&alarm.id);
                continue;
            };
            if self.holds(&alarm.id, now) {
                continue;
            }
            let mut book = self.book();
            // The alarm may have changed meanwhile; then the next evaluation judges it.
            if book.alarm(&alarm.id) == Some(&alarm) {
                self.transition(&mut book, alarm, value, reason, Some(data))?;
            }
        }
        Ok(())
    }

    /// Whether a rule keeps an alarm's change of state back. What goes back meanwhile never was.
    fn holds(&self, id: &AlarmId, now: Timestamp) -> bool {
        let mut held = self.held();
        match held.get(id) {
            Some(until) if now < *until => return true,
            Some(_) => {
                held.remove(id);
                return false;
            }
            None => {}
        }
        match self.world.faults.strike_inside(Inside::AlarmEvaluation, &id.name) {
            Some(faults::Fault::Delay { millis }) => {
                let until = now + std::time::Duration::from_millis(millis.min(LONGEST_HOLD));
                held.insert(id.clone(), until);
                true
            }
            _ => false,
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<AlarmId, Timestamp>> {
        self.held.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The state that an alarm should change to, with reason and reason data.
    fn verdict(&self, alarm: &Alarm, now: Timestamp) -> Result<Option<(StateValue, String, String)>, Fault> {
        let Some(watches) = alarm.metric() else {
            return Ok(None);
        };
        let Some(rule) = rule(watches) else {
            return Ok(None);
        };
        let queries = watches.queries();
        let Some(watched) = queries.iter().find(|query| query.return_data != Some(false)) else {
            return Ok(None);
        };
        let stat = watched.metric_stat.as_ref();
        let range = self.range(&alarm.id.region, &queries, watched, rule.periods, now);
        let verdict = rule.judge(&range);
        if watches.evaluate_low_sample_count_percentile.as_deref() == Some("ignore")
            && let Some(share) = stat.and_then(|stat| statistics::percentile(&stat.stat))
            && verdict
                .judged
                .iter()
                .filter_map(|slot| slot.value?.samples)
                .any(|n| n < statistics::enough(share))
        {
            return Ok(None);
        }
        let Some(state) = verdict.state.filter(|state| *state != alarm.state.value) else {
            return Ok(None);
        };
        let about = About {
            statistic: stat.map(|stat| stat.stat.clone()),
            period: watches.period(),
            m_given: watches.datapoints_to_alarm.is_some(),
        };
        let text = reason::text(&rule, &about, &verdict, state, alarm.state.value);
        let data = reason::data(&rule, &about, &verdict, now - QUERY_BEFORE_HISTORY)
            .map_err(|e| Fault::internal(e.to_string()))?;
        Ok(Some((state, text, data)))
    }

    /// The evaluation range of what is watched.
    fn range(
        &self,
        region: &str,
        queries: &[MetricDataQuery],
        watched: &MetricDataQuery,
        periods: usize,
        now: Timestamp,
    ) -> Vec<Slot> {
        let stats: Vec<(&str, &MetricStat)> = queries
            .iter()
            .filter_map(|query| Some((query.id.as_str(), query.metric_stat.as_ref()?)))
            .collect();
        let read =
            |stat: &MetricStat, from, to| match (Timestamp::from_second(from), Timestamp::from_second(to)) {
                (Ok(from), Ok(to)) => self.world.metrics.read(&stat.metric.in_region(region), from, to),
                _ => vec![],
            };
        let minute = now.as_second().div_euclid(60) * 60;
        let early = self.world.settings.early_evaluation;
        let running = early
            && stats
                .iter()
                .any(|(_, stat)| !read(stat, minute, minute + 60).is_empty());
        let period = stats.iter().find_map(|(_, stat)| stat.period).unwrap_or(60);
        let late = self.world.behaviour().metrics_late_millis.max(0);
        let late = late.saturating_add(period * 1000 - 1) / (period * 1000);
        let late = usize::try_from(late).unwrap_or(0);
        let (end, count) = evaluate::range(now, early, running, periods, late);
        let from = end - period * count as i64;
        let slots = |stat: &MetricStat| {
            statistics::slots(
                statistics::periods(&read(stat, from, end), from, period, count),
                &stat.stat,
            )
        };
        if let Some(stat) = &watched.metric_stat {
            return slots(stat);
        }
        let mut inputs = Inputs {
            range: (0..count as i64).map(|i| from + i * period).collect(),
            ..Inputs::default()
        };
        for (id, stat) in &stats {
            let value = |slot: &Slot| Some((slot.start.as_second(), slot.value?.value));
            inputs
                .series
                .insert((*id).to_owned(), slots(stat).iter().filter_map(value).collect());
            inputs.periods.insert((*id).to_owned(), period);
        }
        let series =
            math::expressions(queries).and_then(|parsed| math::resolve(&watched.id, &parsed, &inputs));
        let series = series.unwrap_or_else(|error| {
            tracing::warn!(error, "an alarm's expression cannot be evaluated");
            Default::default()
        });
        let slot = |start: &i64| {
            let value = series.get(start).map(|value| evaluate::Value {
                value: *value,
                samples: None,
            });
            Some(Slot {
                start: Timestamp::from_second(*start).ok()?,
                value,
            })
        };
        inputs.range.iter().filter_map(slot).collect()
    }
}

fn rule(watches: &MetricAlarm) -> Option<Rule> {
    let periods = usize::try_from(watches.evaluation_periods?).ok()?;
    Some(Rule {
        comparison: Comparison::parse(watches.comparison_operator.as_deref()?)?,
        threshold: watches.threshold?,
        periods,
        to_alarm: watches
            .datapoints_to_alarm
            .and_then(|m| usize::try_from(m).ok())
            .unwrap_or(periods),
        missing: watches
            .treat_missing_data
            .as_deref()
            .and_then(Missing::parse)
            .unwrap_or(Missing::Unknown),
    })
}
