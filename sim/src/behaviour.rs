//! What AWS leaves open, or does one way today and another tomorrow: each question is a switch with its plausible answers.
//!
//! The default is what AWS documents or was seen to do, in its kind form. `hostile` has the worst answer to each question: a
//! program that is right under both does not depend on the answer.

use serde::{Deserialize, Serialize};

use crate::faults::LONGEST_MILLIS;

/// The answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Behaviour {
    /// DescribeStream and the rest say ResourceNotFoundException for so long (ms) after CreateStream.
    pub stream_visible_after_millis: i64,
    /// How many tags ListTagsForStream has in a page.
    pub tags_per_page: usize,
    /// ListFragments: how long after it was persisted a fragment is listed.
    pub listing_lag: Lag,
    /// ListFragments: how many fragments a page has where the client does not say.
    pub listing_default_results: i64,
    /// ListFragments by server time: what comes where the range begins before the oldest that the stream can have.
    pub listing_before_head: BeforeHead,
    /// Whether now and then two fragments in a row have the same server time, to the ms.
    pub equal_server_times: bool,
    /// The order in which GetMediaForFragmentList sends fragments.
    pub fragment_list_order: Order,
    /// How the tags of time are spelled in GetMediaForFragmentList.
    pub fragment_list_tags: TagNames,
    /// Whether the producer's tag AWS_KINESISVIDEO_END_OF_FRAGMENT is in what clients read.
    pub end_of_fragment_tag: bool,
    /// Whether ListFragments pays points for the pages after the first, too.
    pub listing_next_pages_cost: bool,
    /// GetClip's "100 MB", in bytes.
    pub clip_limit_bytes: u64,
    /// What GetClip's "100 MB" is measured on.
    pub clip_limit_of: ClipLimit,
    /// What becomes of a gap between two fragments in GetClip's file.
    pub clip_gaps: Gaps,
    /// Whether GetClip says how long its body is.
    pub clip_content_length: bool,
    /// Whether GetClip's file has other bytes each time, for the same footage.
    pub clip_bytes_vary: bool,
    /// The error of GetClip and GetMedia where the stream's key may not be used.
    pub key_denied_error: Denial,
    /// How long (ms) after a stream's tags were changed (or it was made) conditions on them do not hold yet: calls that change
    /// the stream are denied.
    pub tag_conditions_late_millis: i64,
    /// What comes of a second PutMedia on a stream.
    pub second_connection: SecondConnection,
    /// How long (ms) after the end of a minute its metrics are published.
    pub metrics_late_millis: i64,
    /// What a metric has for a minute in which nothing happened.
    pub idle_metrics: Idle,
    /// DescribeAlarmHistory: how long (ms) after it happened a change is listed.
    pub history_late_millis: i64,
    /// DescribeAlarmHistory: one of so many changes of state is listed twice; 0: none.
    pub history_twice_one_in: u64,
    /// DescribeAlarmHistory: one of so many changes of state is not listed at all; 0: none.
    pub history_missing_one_in: u64,
    /// DescribeAlarmHistory: at how many characters HistoryData is cut.
    pub history_data_characters: usize,
    /// Whether DescribeAlarms leaves DatapointsToAlarm out where it equals EvaluationPeriods.
    pub datapoints_to_alarm_omitted: bool,
    /// EventBridge and SNS: how long (ms) a delivery takes at most; each takes its own time, so they come in any order.
    pub delivery_at_most_millis: i64,
    /// EventBridge and SNS: one of so many deliveries comes twice; 0: none.
    pub delivery_twice_one_in: u64,
    /// EventBridge and SNS: one of so many deliveries never comes; 0: none.
    pub delivery_lost_one_in: u64,
    /// Whether ReceiveMessage gives messages in another order than they came in.
    pub queue_shuffled: bool,
    /// ReceiveMessage: one of so many messages is not hidden when it is received, and so comes twice; 0: none.
    pub queue_twice_one_in: u64,
}

/// How long after it was persisted a fragment is listed: each its own time, so a later one may come before an earlier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Lag {
    /// At most this (ms), for most.
    pub at_most_millis: i64,
    /// One of so many takes longer; 0: none.
    pub late_one_in: u64,
    /// So long (ms).
    pub late_millis: i64,
}

/// See [`Behaviour::listing_before_head`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BeforeHead {
    /// What is in the range.
    Listed,
    /// Nothing, as was seen in 2018 (producer-sdk-cpp#56).
    Empty,
}

/// See [`Behaviour::clip_limit_of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClipLimit {
    /// The fragments, as ListFragments gives their sizes.
    Fragments,
    /// The file that is made of them.
    Mp4,
}

/// See [`Behaviour::clip_gaps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gaps {
    /// The file's time goes on as the producer's does.
    Kept,
    /// One fragment begins where the other ends.
    Closed,
}

/// See [`Behaviour::key_denied_error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Denial {
    /// NotAuthorizedException.
    NotAuthorized,
    /// AccessDeniedException.
    AccessDenied,
}

/// See [`Behaviour::second_connection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecondConnection {
    /// It gets ConnectionLimitExceededException, as the API reference says.
    Refused,
    /// It is accepted and ends the first, as the page on quotas says.
    Replaces,
}

/// See [`Behaviour::fragment_list_order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// As the client asked.
    AsAsked,
    /// Any.
    Shuffled,
}

/// See [`Behaviour::fragment_list_tags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TagNames {
    /// `AWS_KINESISVIDEO_SERVER_TIMESTAMP`, as in captures of GetMedia and in AWS's parser library.
    Short,
    /// `AWS_KINESISVIDEO_SERVER_SIDE_TIMESTAMP`, as in the API reference of GetMediaForFragmentList.
    Side,
}

/// See [`Behaviour::idle_metrics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Idle {
    /// No data.
    Missing,
    /// PutMedia's counts are 0.
    Zero,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            stream_visible_after_millis: 0,
            tags_per_page: 50,
            listing_lag: Lag::default(),
            listing_default_results: 100,
            listing_before_head: BeforeHead::Listed,
            equal_server_times: false,
            fragment_list_order: Order::AsAsked,
            fragment_list_tags: TagNames::Short,
            end_of_fragment_tag: false,
            listing_next_pages_cost: true,
            clip_limit_bytes: 100 << 20,
            clip_limit_of: ClipLimit::Fragments,
            clip_gaps: Gaps::Kept,
            clip_content_length: true,
            clip_bytes_vary: false,
            key_denied_error: Denial::NotAuthorized,
            tag_conditions_late_millis: 0,
            second_connection: SecondConnection::Refused,
            metrics_late_millis: 0,
            idle_metrics: Idle::Missing,
            history_late_millis: 0,
            history_twice_one_in: 0,
            history_missing_one_in: 0,
            history_data_characters: 4095,
            datapoints_to_alarm_omitted: false,
            delivery_at_most_millis: 0,
            delivery_twice_one_in: 0,
            delivery_lost_one_in: 0,
            queue_shuffled: false,
            queue_twice_one_in: 0,
        }
    }
}

impl Behaviour {
    /// The profile of that name: `aws` or `hostile`.
    pub fn profile(name: &str) -> Option<Self> {
        match name {
            "aws" => Some(Self::default()),
            "hostile" => Some(Self::hostile()),
            _ => None,
        }
    }

    /// The worst answer to each question.
    pub fn hostile() -> Self {
        Self {
            stream_visible_after_millis: 3_000,
            tags_per_page: 2,
            listing_lag: Lag {
                at_most_millis: 8_000,
                late_one_in: 16,
                late_millis: 150_000,
            },
            listing_default_results: 3,
            listing_before_head: BeforeHead::Empty,
            equal_server_times: true,
            fragment_list_order: Order::Shuffled,
            fragment_list_tags: TagNames::Side,
            end_of_fragment_tag: true,
            listing_next_pages_cost: true,
            clip_limit_bytes: 100_000_000,
            clip_limit_of: ClipLimit::Mp4,
            clip_gaps: Gaps::Closed,
            clip_content_length: false,
            clip_bytes_vary: true,
            key_denied_error: Denial::AccessDenied,
            // A denial is for a person to mend, and programs wait for minutes before they ask again: to be tried by itself.
            tag_conditions_late_millis: 0,
            second_connection: SecondConnection::Replaces,
            metrics_late_millis: 240_000,
            idle_metrics: Idle::Zero,
            history_late_millis: 20_000,
            history_twice_one_in: 2,
            // AWS promises to list each, so the worst is that it takes long.
            history_missing_one_in: 0,
            history_data_characters: 4095,
            datapoints_to_alarm_omitted: true,
            delivery_at_most_millis: 60_000,
            delivery_twice_one_in: 3,
            // AWS guarantees alarms' events in one place of its documentation and calls them best effort in another.
            delivery_lost_one_in: 4,
            queue_shuffled: true,
            queue_twice_one_in: 5,
        }
    }

    /// The same with some answers changed: a JSON object with any of the fields.
    pub fn patched(&self, patch: &[u8]) -> serde_json::Result<Self> {
        let patch: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(patch)?;
        let mut all = serde_json::to_value(self)?;
        for (name, value) in patch {
            all[name] = value;
        }
        let patched: Self = serde_json::from_value(all)?;
        patched.check().map_err(serde::de::Error::custom)?;
        Ok(patched)
    }

    /// Refuses times that no clock has, and pages that never end.
    fn check(&self) -> Result<(), String> {
        let longest = i64::try_from(LONGEST_MILLIS).unwrap_or(i64::MAX);
        for (name, millis) in [
            ("streamVisibleAfterMillis", self.stream_visible_after_millis),
            ("listingLag.atMostMillis", self.listing_lag.at_most_millis),
            ("listingLag.lateMillis", self.listing_lag.late_millis),
            ("tagConditionsLateMillis", self.tag_conditions_late_millis),
            ("metricsLateMillis", self.metrics_late_millis),
            ("historyLateMillis", self.history_late_millis),
            ("deliveryAtMostMillis", self.delivery_at_most_millis),
        ] {
            if !(0..=longest).contains(&millis) {
                return Err(format!("{name} is {millis}: from 0 to 30 days, {longest}"));
            }
        }
        if self.tags_per_page == 0 || !(1..=1000).contains(&self.listing_default_results) {
            return Err("tagsPerPage is at least 1, listingDefaultResults 1 to 1000".into());
        }
        Ok(())
    }
}

impl Lag {
    /// How long (ms) a fragment takes, by a number that is its own.
    pub fn of(&self, number: u64) -> i64 {
        match number.checked_rem(self.late_one_in) {
            Some(0) => self.late_millis,
            _ => i64::try_from(number >> 8)
                .unwrap_or(0)
                .checked_rem(self.at_most_millis + 1)
                .unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_knows_no_other_names() {
        let patched =
            Behaviour::default().patched(br#"{"listingLag": {"atMostMillis": 5}, "idleMetrics": "Zero"}"#);
        let patched = patched.unwrap();
        assert_eq!(
            (patched.listing_lag.at_most_millis, patched.idle_metrics),
            (5, Idle::Zero)
        );
        assert_eq!(
            Behaviour {
                listing_lag: Lag::default(),
                idle_metrics: Idle::Missing,
                ..patched
            },
            Behaviour::default()
        );
        assert!(Behaviour::default().patched(br#"{"unknown": 1}"#).is_err());
        assert!(Behaviour::default().patched(b"[]").is_err());
        for absurd in [
            r#"{"historyLateMillis": 9223372036854775807}"#,
            r#"{"metricsLateMillis": -1}"#,
            r#"{"listingLag": {"atMostMillis": 9223372036854775807}}"#,
            r#"{"listingLag": {"lateMillis": 2592000001, "lateOneIn": 1}}"#,
            r#"{"tagsPerPage": 0}"#,
            r#"{"listingDefaultResults": 0}"#,
        ] {
            let refused = Behaviour::default().patched(absurd.as_bytes());
            assert!(refused.is_err(), "{absurd}");
        }
        assert!(Behaviour::hostile().patched(b"{}").is_ok());
    }

    #[test]
    fn lags_differ_and_some_are_late() {
        let lag = Behaviour::hostile().listing_lag;
        let lags: Vec<i64> = (0..64).map(|n| lag.of(n * 0x1234_5678_9abc)).collect();
        assert!(lags.iter().all(|l| (0..=8000).contains(l) || *l == 150_000));
        assert!(lags.contains(&150_000) && lags.iter().any(|l| *l < 8000));
        assert_eq!(Lag::default().of(12345), 0);
    }
}
