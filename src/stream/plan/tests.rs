//! The plan's laws, on a model of AWS that does what actions say.

use proptest::prelude::*;

use super::*;
use crate::{api::ConfigurationStatus, aws::Place};

const ARN: &str = "arn:aws:kinesisvideo:eu-west-1:123456789012:stream/front-door/1000000000000";

/// Long after the stream of `ARN` was made.
fn now() -> Timestamp {
    Timestamp::from_millisecond(1_000_000_000_000 + 1000 * 3600 * 1000).unwrap()
}

fn me() -> Owner {
    Owner {
        cluster: "ours".into(),
        namespace: "site".into(),
        name: "front-door".into(),
    }
}

fn other() -> Owner {
    Owner {
        name: "back-door".into(),
        ..me()
    }
}

fn desired() -> Desired {
    Desired {
        name: "front-door".into(),
        place: Place::own("eu-west-1"),
        retention: Some(24),
        media_type: None,
        device_name: None,
        kms_key_id: None,
        tier: None,
        images: None,
        notification: None,
        tags: BTreeMap::new(),
        tags_before: vec![],
        owner: me(),
        owner_tags: me().tags("uid"),
        management: ManagementPolicy::Manage,
        adoption: AdoptionPolicy::AdoptIfUnowned,
        deletion: DeletionPolicy::Retain,
        deleting: false,
        finalizer: false,
        suspend: false,
        known_arn: None,
        allow_loss_until: None,
    }
}

fn stream(status: StreamStatus, hours: i32) -> Stream {
    Stream {
        name: "front-door".into(),
        arn: ARN.into(),
        status,
        version: "v".into(),
        creation_time: None,
        data_retention_in_hours: hours,
        media_type: None,
        device_name: None,
        kms_key_id: Some("arn:aws:kms:eu-west-1:123456789012:alias/aws/kinesisvideo".into()),
    }
}

fn ours(hours: i32) -> Observed {
    Observed {
        stream: Some((stream(StreamStatus::Active, hours), me().tags("uid"))),
        ..Observed::default()
    }
}

fn need(hours_ago: i64) -> Need {
    Need {
        recording: "site/r".into(),
        oldest: Some(now() - SignedDuration::from_hours(hours_ago)),
        expires_at: None,
    }
}

fn versioned(action: &Action) -> bool {
    matches!(
        action,
        Action::Retention { .. } | Action::Update { .. } | Action::Delete
    )
}

/// AWS after the actions.
fn apply(observed: &mut Observed, actions: &[Action]) {
    for action in actions {
        if let Action::Create(new) = action {
            let mut made = stream(StreamStatus::Creating, new.data_retention_in_hours);
            made.media_type.clone_from(&new.media_type);
            made.device_name.clone_from(&new.device_name);
            made.kms_key_id = new.kms_key_id.clone().or(made.kms_key_id);
            observed.stream = Some((made, new.tags.clone()));
            observed.beside = Beside {
                tier: new.tier,
                ..Beside::default()
            };
            continue;
        }
        let (stream, tags) = observed.stream.as_mut().expect("there is something to change");
        match action {
            Action::Create(_) => {}
            Action::Tag { tags: set, .. } => tags.extend(set.clone()),
            Action::Untag(keys) => keys.iter().for_each(|key| {
                tags.remove(key);
            }),
            Action::Retention { from, to } => {
                assert_eq!(stream.data_retention_in_hours, *from);
                stream.data_retention_in_hours = *to;
            }
            Action::Update { update, .. } => {
                stream.media_type = update.media_type.clone().or(stream.media_type.take());
                stream.device_name = update.device_name.clone().or(stream.device_name.take());
            }
            Action::Tier { from, to } => {
                assert_eq!(observed.beside.tier, Some(*from));
                observed.beside.tier = Some(*to);
            }
            Action::Images { to, .. } => {
                assert!(stream.data_retention_in_hours > 0);
                observed.beside.images.clone_from(to);
            }
            Action::Notification { to, .. } => {
                assert!(stream.data_retention_in_hours > 0);
                observed.beside.notification.clone_from(to);
            }
            Action::Delete => stream.status = StreamStatus::Deleting,
        }
        if versioned(action) && *action != Action::Delete {
            stream.status = StreamStatus::Updating;
        }
    }
}

/// AWS after some time.
fn wait(observed: &mut Observed) {
    if let Some((stream, _)) = &mut observed.stream {
        match stream.status {
            StreamStatus::Deleting => observed.stream = None,
            _ => stream.status = StreamStatus::Active,
        }
    }
}

fn hours() -> impl Strategy<Value = i32> {
    prop_oneof![Just(0), Just(1), Just(24), Just(48), 0..=87600]
}

fn text() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop_oneof![
        Just("video/h264".to_owned()),
        Just("video/h265".to_owned())
    ])
}

fn some_tags() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("[abc]", "[xy]", 0..3)
}

fn tiers() -> impl Strategy<Value = DefaultStorageTier> {
    prop_oneof![Just(DefaultStorageTier::Hot), Just(DefaultStorageTier::Warm)]
}

fn images() -> impl Strategy<Value = ImageGenerationConfiguration> {
    let status = prop::option::of(prop_oneof![
        Just(ConfigurationStatus::Enabled),
        Just(ConfigurationStatus::Disabled)
    ]);
    (status, prop::option::of(1..3i32)).prop_map(|(status, width_pixels)| ImageGenerationConfiguration {
        status,
        width_pixels,
        ..ImageGenerationConfiguration::default()
    })
}

fn notifications() -> impl Strategy<Value = NotificationConfiguration> {
    prop_oneof![
        Just(NotificationConfiguration::default()),
        Just(NotificationConfiguration {
            status: Some(ConfigurationStatus::Enabled),
            destination_config: None
        }),
    ]
}

fn desires() -> impl Strategy<Value = Desired> {
    let policies = (
        prop_oneof![4 => Just(ManagementPolicy::Manage), 1 => Just(ManagementPolicy::Observe)],
        prop_oneof![
            Just(AdoptionPolicy::Never),
            Just(AdoptionPolicy::AdoptIfUnowned),
            Just(AdoptionPolicy::Adopt)
        ],
        prop_oneof![Just(DeletionPolicy::Retain), Just(DeletionPolicy::Delete)],
    );
    let flags = (
        prop::bool::weighted(0.3),
        any::<bool>(),
        prop::bool::weighted(0.1),
        any::<bool>(),
    );
    let before = prop::collection::vec("[abc]", 0..3);
    let fields = (
        prop::option::of(hours()),
        text(),
        text(),
        some_tags(),
        before,
        any::<bool>(),
    );
    let beside = (
        prop::option::of(tiers()),
        prop::option::of(images()),
        prop::option::of(notifications()),
    );
    (fields, beside, policies, flags).prop_map(|(fields, beside, policies, flags)| Desired {
        tier: beside.0,
        images: beside.1,
        notification: beside.2,
        retention: fields.0,
        media_type: fields.1,
        device_name: fields.2,
        tags: fields.3,
        tags_before: fields.4,
        known_arn: fields.5.then(|| ARN.to_owned()),
        management: policies.0,
        adoption: policies.1,
        deletion: policies.2,
        deleting: flags.0,
        finalizer: flags.1,
        suspend: flags.2,
        allow_loss_until: flags.3.then(|| now() + SignedDuration::from_hours(1)),
        ..desired()
    })
}

fn worlds() -> impl Strategy<Value = Observed> {
    let status = prop_oneof![
        4 => Just(StreamStatus::Active),
        1 => Just(StreamStatus::Creating),
        1 => Just(StreamStatus::Updating),
        1 => Just(StreamStatus::Deleting),
    ];
    let owner = prop_oneof![
        3 => Just(Some(me())),
        2 => Just(None),
        1 => Just(Some(other())),
        1 => Just(Some(Owner { cluster: "theirs".into(), ..me() })),
    ];
    let stream_and_tags = (status, hours(), text(), text(), owner, some_tags()).prop_map(
        |(status, hours, m, d, owner, tags)| {
            let mut all = owner.map(|o| o.tags("uid")).unwrap_or_default();
            all.extend(tags);
            (
                Stream {
                    media_type: m,
                    device_name: d,
                    ..stream(status, hours)
                },
                all,
            )
        },
    );
    let beside = (
        tiers(),
        prop::option::of(images()),
        prop::option::of(notifications()),
    );
    let beside = beside.prop_map(|(tier, images, notification)| Beside {
        tier: Some(tier),
        images,
        notification,
    });
    let needs = prop::collection::vec((0..100i64).prop_map(need), 0..2);
    let unread = prop::collection::vec(
        Just(Unread {
            policy: "site/p".into(),
            through: None,
        }),
        0..2,
    );
    let flags = (any::<bool>(), any::<bool>());
    (
        prop::option::weighted(0.8, stream_and_tags),
        beside,
        needs,
        unread,
        flags,
    )
        .prop_map(
            |(stream, beside, needs, unread, (rival_lives, terminating))| Observed {
                stream,
                beside,
                rival_lives,
                needs,
                unread,
                terminating,
            },
        )
}

/// Whether the stream may be changed at all, said again in other words than the plan's.
fn may_write(desired: &Desired, observed: &Observed) -> bool {
    let Some((_, tags)) = &observed.stream else {
        return true;
    };
    match (desired.owner.claim(tags), desired.adoption) {
        (Claim::Ours, _) => true,
        (Claim::Nobody, adoption) => adoption != AdoptionPolicy::Never,
        (Claim::Another(owner), AdoptionPolicy::Adopt) => owner.cluster != "ours" || !observed.rival_lives,
        (Claim::Another(_), _) => false,
    }
}

proptest! {
    #[test]
    fn every_pass_keeps_the_rules(desired in desires(), observed in worlds()) {
        let plan = plan(&desired, &observed, now());
        let Step::Act(actions) = &plan.step else { return Ok(()) };
        prop_assert!(!actions.is_empty());
        prop_assert!(actions.iter().filter(|a| versioned(a)).count() <= 1, "one versioned change: {actions:?}");
        prop_assert!(!desired.suspend && desired.management == ManagementPolicy::Manage, "writes nothing: {actions:?}");
        prop_assert!(may_write(&desired, &observed), "not ours: {actions:?}");
        let Some((stream, tags)) = &observed.stream else {
            prop_assert!(matches!(actions[..], [Action::Create(_)]));
            return Ok(());
        };
        prop_assert_eq!(stream.status, StreamStatus::Active, "only ACTIVE streams are changed");
        for action in actions {
            match action {
                Action::Delete => {
                    prop_assert!(desired.deleting && desired.deletion == DeletionPolicy::Delete);
                    prop_assert_eq!(desired.owner.claim(tags), Claim::Ours);
                    let free = observed.needs.is_empty() && observed.unread.is_empty();
                    prop_assert!(free || desired.allow_loss_until.is_some(), "needed footage stays");
                }
                Action::Retention { from, to } if to < from && desired.allow_loss_until.is_none() => {
                    let horizon = now() - SignedDuration::from_hours(i64::from(*to));
                    let needed = observed.needs.iter().any(|n| n.oldest.is_some_and(|oldest| oldest < horizon));
                    prop_assert!(!needed && observed.unread.is_empty(), "needed footage stays");
                }
                Action::Untag(keys) => prop_assert!(keys.iter().all(|key| desired.tags_before.contains(key))),
                _ => {}
            }
        }
    }

    #[test]
    fn settles_from_any_state_and_stays(desired in desires(), mut observed in worlds()) {
        let others: Vec<_> = observed.stream.iter().flat_map(|(_, tags)| tags.clone())
            .filter(|(key, _)| !desired.all_tags().contains_key(key) && !desired.tags_before.contains(key))
            .filter(|(key, _)| !key.starts_with(crate::owner::PREFIX))
            .collect();
        let mut desired = desired;
        let mut same = observed.stream.is_some();
        for _ in 0..12 {
            let step = plan(&desired, &observed, now()).step;
            match step {
                Step::Act(actions) => {
                    apply(&mut observed, &actions);
                    // What the status would say by now.
                    desired.tags_before = desired.tags.keys().cloned().collect();
                }
                Step::Wait(_) => {
                    wait(&mut observed);
                    if observed.stream.is_none() {
                        desired.known_arn = None;
                        same = false;
                    }
                }
                rest => {
                    prop_assert_eq!(plan(&desired, &observed, now()).step, rest, "stays so");
                    for (key, value) in &others {
                        if let Some((_, tags)) = &observed.stream && same {
                            prop_assert_eq!(tags.get(key), Some(value), "tags of others are kept");
                        }
                    }
                    return Ok(());
                }
            }
        }
        prop_assert!(false, "did not settle: {:?}", plan(&desired, &observed, now()));
    }
}

#[test]
fn a_stream_that_is_not_there_is_made_with_its_tags() {
    let plan = plan(
        &Desired {
            retention: None,
            ..desired()
        },
        &Observed::default(),
        now(),
    );
    let Step::Act(actions) = plan.step else {
        panic!("{:?}", plan.step)
    };
    let [Action::Create(new)] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(
        new.data_retention_in_hours, 24,
        "without retention there would be nothing to archive"
    );
    assert_eq!(me().claim(&new.tags), Claim::Ours);
}

#[test]
fn retention_changes_in_place() {
    for (from, to) in [(24, 48), (48, 24), (24, 0), (0, 24)] {
        let plan = plan(
            &Desired {
                retention: Some(to),
                ..desired()
            },
            &ours(from),
            now(),
        );
        assert_eq!(plan.step, Step::Act(vec![Action::Retention { from, to }]));
    }
    let plan = plan(
        &Desired {
            retention: None,
            ..desired()
        },
        &ours(7),
        now(),
    );
    assert_eq!(plan.step, Step::Settled, "absent means not managed");
}

#[test]
fn a_decrease_waits_for_footage_that_it_would_drop() {
    let wants = Desired {
        retention: Some(24),
        ..desired()
    };
    let with = |needs: Vec<Need>| Observed { needs, ..ours(48) };
    let held = plan(&wants, &with(vec![need(30)]), now());
    assert_eq!(held.step, Step::Settled);
    assert_eq!(held.held.map(|h| h.recordings), Some(vec!["site/r".to_owned()]));
    let free = plan(&wants, &with(vec![need(2)]), now());
    assert!(matches!(free.step, Step::Act(_)), "what is young enough stays");
    let insists = Desired {
        allow_loss_until: Some(now() + SignedDuration::from_secs(1)),
        ..wants.clone()
    };
    assert!(matches!(
        plan(&insists, &with(vec![need(30)]), now()).step,
        Step::Act(_)
    ));
    let too_late = Desired {
        allow_loss_until: Some(now()),
        ..wants.clone()
    };
    assert_eq!(plan(&too_late, &with(vec![need(30)]), now()).step, Step::Settled);
    let unread = Observed {
        unread: vec![Unread {
            policy: "site/p".into(),
            through: None,
        }],
        ..ours(48)
    };
    assert!(
        plan(&wants, &unread, now()).held.is_some(),
        "what its alarms said is not known yet"
    );
}

#[test]
fn other_changes_go_on_while_a_decrease_waits() {
    let wants = Desired {
        media_type: Some("video/h265".into()),
        ..desired()
    };
    let plan = plan(
        &wants,
        &Observed {
            needs: vec![need(30)],
            ..ours(48)
        },
        now(),
    );
    assert!(
        matches!(&plan.step, Step::Act(a) if matches!(a[..], [Action::Update { .. }])),
        "{:?}",
        plan.step
    );
    assert!(plan.held.is_some());
}

#[test]
fn a_new_stream_may_be_late_to_show() {
    let wants = Desired {
        known_arn: Some(ARN.into()),
        ..desired()
    };
    let just_made = Timestamp::from_millisecond(1_000_000_030_000).unwrap();
    let plan_then = plan(&wants, &Observed::default(), just_made);
    assert_eq!(
        (plan_then.step, plan_then.replaced),
        (Step::Wait(Waiting::Creating), None)
    );
    let later = plan(&wants, &Observed::default(), now());
    assert!(matches!(later.step, Step::Act(_)));
    assert_eq!(
        later.replaced.as_deref(),
        Some(ARN),
        "it was deleted by another, and that is said"
    );
}

#[test]
fn a_stream_made_anew_is_noticed() {
    let wants = Desired {
        known_arn: Some(ARN.replace("1000000000000", "900000000000")),
        ..desired()
    };
    let plan = plan(&wants, &ours(24), now());
    assert_eq!(
        (plan.step, plan.replaced),
        (Step::Settled, wants.known_arn.clone())
    );
}

#[test]
fn deletion() {
    let goes = Desired {
        deleting: true,
        finalizer: true,
        deletion: DeletionPolicy::Delete,
        ..desired()
    };
    let step = |desired: &Desired, observed: &Observed| plan(desired, observed, now()).step;
    assert_eq!(step(&goes, &ours(24)), Step::Act(vec![Action::Delete]));
    assert_eq!(step(&goes, &Observed::default()), Step::LetGo(Farewell::Gone));
    let retains = Desired {
        deletion: DeletionPolicy::Retain,
        ..goes.clone()
    };
    assert_eq!(
        step(&retains, &ours(24)),
        Step::LetGo(Farewell::Retained),
        "changing the policy lets go"
    );
    let needed = Observed {
        needs: vec![Need {
            oldest: None,
            ..need(0)
        }],
        ..ours(24)
    };
    let held = plan(&goes, &needed, now());
    assert_eq!(
        (held.step, held.finalizer, held.held.is_some()),
        (Step::Settled, true, true)
    );
    let terminating = Observed {
        terminating: true,
        ..needed
    };
    assert_eq!(
        step(&goes, &terminating),
        Step::LetGo(Farewell::RetainedForNeeds),
        "a namespace does not wait"
    );
}

#[test]
fn keys_are_compared_only_where_they_can_be() {
    let default = "arn:aws:kms:eu-west-1:123456789012:alias/aws/kinesisvideo";
    let key = "arn:aws:kms:eu-west-1:123456789012:key/1234";
    for (wanted, there, other) in [
        (None, Some(default), false),
        (Some("1234"), Some(key), false),
        (Some(key), Some(key), false),
        (Some("5678"), Some(key), true),
        (Some("alias/mine"), Some(key), false),
        (Some("alias/aws/kinesisvideo"), Some(default), false),
        (Some("1234"), Some(default), true),
    ] {
        assert_eq!(other_key(wanted, there).is_some(), other, "{wanted:?} {there:?}");
    }
}
