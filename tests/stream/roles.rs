//! Streams of other accounts, and what namespaces may use.

use kvs_operator::{
    api::condition,
    aws::{Place, Role, Streams, streams::Sdk},
    runtime::Class,
};
use kvs_sim::faults::{Fault, Rule};
use serde_json::{Value, json};

use crate::{
    site::{STREAMS, Site},
    support::{EXTERNAL_ID, Fixture, ROLE},
};

fn all() -> Value {
    json!([{ "namespaces": ["site"], "streams": ["*"], "roles": ["arn:aws:iam::210987654321:role/*"] }])
}

fn role() -> Role {
    Role {
        arn: ROLE.into(),
        external_id: Some(EXTERNAL_ID.into()),
    }
}

#[tokio::test]
async fn a_role_leads_to_its_own_account_and_its_credentials_are_got_once() {
    let site = Site::on(
        Fixture::granting(all()).await,
        json!({ "roleArn": ROLE, "externalId": EXTERNAL_ID, "dataRetentionInHours": 24, "tags": { "team": "a" } }),
    );
    let elsewhere = json!({ "streamName": "front-door", "region": "us-west-2", "roleArn": ROLE, "externalId": EXTERNAL_ID });
    site.apply("west", elsewhere);
    for name in ["front-door", "west"] {
        site.settle(name).await;
        site.is(name, "True", "InSync");
    }
    assert_eq!(
        site.aws.describe("front-door").await.unwrap(),
        None,
        "there is none in the operator's own account"
    );
    let theirs = Sdk::new(&site.fixture.connection.by_role(&role()));
    let stream = theirs.describe("front-door").await.unwrap().unwrap();
    assert!(
        stream.arn.contains(":eu-west-1:210987654321:stream/"),
        "{}",
        stream.arn
    );
    let arn = |name: &str| site.object(name).status.unwrap().stream_arn.unwrap();
    assert_eq!(arn("front-door"), stream.arn);
    assert!(
        arn("west").contains(":us-west-2:210987654321:stream/"),
        "{}",
        arn("west")
    );
    let place = Place {
        region: "us-west-2".into(),
        role: Some(role()),
    };
    assert!(
        site.fixture
            .context
            .ports(&place)
            .alarms
            .describe("x")
            .await
            .unwrap()
            .is_empty()
    );
    // One of these is this test's own connection's.
    assert_eq!(
        site.calls("sts:AssumeRole"),
        2,
        "one for two regions and two services"
    );
    let told = format!(
        "{:?} {:?}",
        site.fixture.kubernetes.events(),
        site.object("west").status
    );
    assert!(!told.contains(EXTERNAL_ID), "{told}");
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_named_with_what_is_missing() {
    let site = Site::on(Fixture::granting(all()).await, json!({ "roleArn": ROLE }));
    let error = site.pass("front-door").await.unwrap_err();
    assert_eq!(error.class(), Class::Person);
    site.is("front-door", "False", "RoleRefused");
    let message = site.message("front-door");
    for part in [
        "sts:AssumeRole",
        ROLE,
        "without an external id",
        "trust policy",
        "not authorized",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let status = site.object("front-door").status.unwrap();
    assert!(condition::is_true(&status.conditions, condition::STALLED));
    assert_eq!(
        (site.results("sts:AssumeRole", "AccessDenied"), site.changes()),
        (1, 0),
        "asked once a pass"
    );
}

#[tokio::test]
async fn an_sts_that_fails_is_asked_again() {
    let site = Site::on(
        Fixture::granting(all()).await,
        json!({ "roleArn": ROLE, "externalId": EXTERNAL_ID }),
    );
    site.fixture.sim.world.faults.add(Rule {
        operation: Some("AssumeRole".into()),
        stream: None,
        alarm: None,
        path: None,
        after: 0,
        times: Some(10),
        probability: 1.0,
        seed: 0,
        fault: Fault::Error {
            code: "ServiceUnavailable".into(),
            status: 503,
            message: "busy".into(),
            performed: false,
        },
    });
    let error = site.pass("front-door").await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error}");
    while site.pass("front-door").await.is_err() {}
    site.settle("front-door").await;
    site.is("front-door", "True", "InSync");
}

#[tokio::test]
async fn what_is_not_granted_makes_no_call_and_says_which_grant_is_missing() {
    let grants = json!([
        { "namespaces": ["site"], "streams": ["site-*"], "buckets": ["images/site"] },
        { "namespaces": ["other"], "streams": ["*"], "roles": [ROLE] },
    ]);
    let images = |uri: &str| {
        json!({ "status": "ENABLED", "imageSelectorType": "SERVER_TIMESTAMP", "samplingInterval": 3000,
                "format": "JPEG", "destinationConfig": { "uri": uri } })
    };
    for (spec, part) in [
        (json!({}), "use stream front-door of the operator's own account"),
        (
            json!({ "streamName": "site-1", "roleArn": ROLE }),
            "use the role arn:aws:iam::210987654321:role",
        ),
        (
            json!({ "streamName": "site-1", "imageGenerationConfiguration": images("s3://images/elsewhere") }),
            "into bucket images, below elsewhere/",
        ),
    ] {
        let site = Site::on(Fixture::granting(grants.clone()).await, spec);
        let error = site.pass("front-door").await.unwrap_err();
        assert_eq!(error.class(), Class::Person);
        site.is("front-door", "False", "NotGranted");
        assert!(
            site.message("front-door").contains(part),
            "{}",
            site.message("front-door")
        );
        assert!(site.fixture.context.clock.now().is_none(), "AWS was never asked");
        site.fixture.kubernetes.delete(STREAMS, "site", "front-door");
        assert!(site.find("front-door").is_none(), "nothing holds it");
    }
    let granted =
        json!({ "streamName": "site-1", "imageGenerationConfiguration": images("s3://images/site/a") });
    let site = Site::on(Fixture::granting(grants).await, granted);
    site.settle("front-door").await;
    site.is("front-door", "True", "InSync");
}

#[tokio::test]
async fn without_grants_there_are_no_roles() {
    let site = Site::new(json!({ "roleArn": ROLE })).await;
    assert!(site.pass("front-door").await.is_err());
    site.is("front-door", "False", "NotGranted");
    assert!(
        site.message("front-door").contains("no grants are set"),
        "{}",
        site.message("front-door")
    );
    assert!(site.fixture.context.clock.now().is_none(), "AWS was never asked");
}

#[tokio::test]
async fn a_stream_whose_grant_was_taken_away_stays_and_its_object_goes() {
    let site = Site::on(
        Fixture::granting(json!([])).await,
        json!({ "deletionPolicy": "Delete" }),
    );
    site.settle("front-door").await;
    assert!(site.object("front-door").metadata.finalizers.is_some());
    let mut context = (*site.fixture.context).clone();
    let mut config = (*context.config).clone();
    config.grants = r#"[{"namespaces": ["other"]}]"#.parse().unwrap();
    context.config = config.into();
    site.fixture.kubernetes.delete(STREAMS, "site", "front-door");
    site.pass_in(context, "front-door").await.unwrap();
    assert!(site.find("front-door").is_none());
    assert!(site.aws.describe("front-door").await.unwrap().is_some());
    let (reason, note) = site.fixture.kubernetes.events().pop().unwrap();
    assert!(
        reason == "Retained" && note.contains("may not use it"),
        "{reason} {note}"
    );
}
