//! STS: AssumeRole and GetCallerIdentity. A role's credentials carry its account, and what is done with them is done there.
//!
//! Nobody's trust is simulated but one: `Settings::external_ids`.

use axum::http::HeaderMap;
use base64::{Engine, prelude::BASE64_STANDARD};
use ciborium::Value;
use jiff::{SignedDuration, Timestamp};
use rand::distr::{Alphanumeric, SampleString};
use serde::{Deserialize, Serialize};

use crate::{
    http::{Request, Response, account},
    wire::{Fault, Service, Time, int, tree, typed},
    world::World,
};

const SERVICE: Service = Service {
    target: "AWSSecurityTokenServiceV20110615",
    shapes: "com.amazonaws.sts",
    xmlns: "https://sts.amazonaws.com/doc/2011-06-15/",
    json: "1.0",
    flat: false,
};

/// What the ids of temporary access keys begin with; the account follows.
const TEMPORARY: &str = "ASIA";
/// For how long a role's credentials are good where the request does not say.
const GOOD_FOR: i64 = 3600;
/// Where the token of a session is in a request.
const TOKEN: &str = "x-amz-security-token";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRole {
    role_arn: Option<String>,
    role_session_name: Option<String>,
    external_id: Option<String>,
    #[serde(default, deserialize_with = "int")]
    duration_seconds: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Assumed {
    credentials: Credentials,
    assumed_role_user: User,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: Time,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct User {
    assumed_role_id: String,
    arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Caller {
    user_id: String,
    account: String,
    arn: String,
}

/// Answers a request.
pub async fn handle(world: &World, request: Request) -> Response {
    let perform = |headers: &HeaderMap, operation: &str, input: &Value| match operation {
        "AssumeRole" => assume_role(world, headers, &typed(input)?),
        "GetCallerIdentity" => tree(&caller(headers)),
        other => Err(Fault::unknown_operation(other)),
    };
    SERVICE.serve(request, perform).await
}

/// The account of the id of a role's access key.
pub fn account_of(key: &str) -> Option<&str> {
    key.strip_prefix(TEMPORARY)?
        .get(..12)
        .filter(|account| account.bytes().all(|b| b.is_ascii_digit()))
}

fn assume_role(world: &World, headers: &HeaderMap, input: &AssumeRole) -> Result<Value, Fault> {
    let required = |name: &str| Fault::missing(name);
    let arn = input.role_arn.as_deref().ok_or_else(|| required("RoleArn"))?;
    let session = input
        .role_session_name
        .as_deref()
        .ok_or_else(|| required("RoleSessionName"))?;
    let (account, role) = role(arn).ok_or_else(|| Fault::validation(format!("{arn} is invalid")))?;
    let wanted = world.settings.external_ids.get(arn);
    if wanted.is_some() && wanted != input.external_id.as_ref() {
        return Err(Fault {
            status: axum::http::StatusCode::FORBIDDEN,
            ..Fault::sender(
                "AccessDenied",
                "AccessDenied",
                format!(
                    "User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}",
                    caller(headers).arn
                ),
            )
        });
    }
    let seconds = input.duration_seconds.unwrap_or(GOOD_FOR);
    if !(900..=43_200).contains(&seconds) {
        return Err(Fault::validation("DurationSeconds: from 900 to 43200"));
    }
    let random = |length| Alphanumeric.sample_string(&mut rand::rng(), length);
    let user = format!("arn:aws:sts::{account}:assumed-role/{role}/{session}");
    let expiration: Timestamp = world.clock.now() + SignedDuration::from_secs(seconds);
    tree(&Assumed {
        credentials: Credentials {
            access_key_id: format!("{TEMPORARY}{account}{}", random(4).to_uppercase()),
            secret_access_key: random(40),
            session_token: BASE64_STANDARD.encode(&user),
            expiration: Time(expiration),
        },
        assumed_role_user: User {
            assumed_role_id: format!("AROASIMULATED:{session}"),
            arn: user,
        },
    })
}

/// A role's account and name.
fn role(arn: &str) -> Option<(&str, &str)> {
    let (account, role) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
    let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let name = role.rsplit('/').next().filter(|name| !name.is_empty())?;
    digits.then_some((account, name))
}

fn caller(headers: &HeaderMap) -> Caller {
    let account = account(headers).to_owned();
    let session = headers
        .get(TOKEN)
        .and_then(|token| String::from_utf8(BASE64_STANDARD.decode(token).ok()?).ok())
        .filter(|arn| arn.starts_with("arn:"));
    Caller {
        user_id: "AIDASIMULATED".into(),
        arn: session.unwrap_or_else(|| format!("arn:aws:iam::{account}:user/simulated")),
        account,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_roles_name_their_account() {
        for (key, account) in [
            ("ASIA210987654321ABCD", Some("210987654321")),
            ("ASIAIOSFODNN7EXAMPLE", None),
            ("ASIA2109", None),
            ("sim", None),
        ] {
            assert_eq!(account_of(key), account, "{key}");
        }
        assert_eq!(
            role("arn:aws:iam::210987654321:role/video/archive"),
            Some(("210987654321", "archive"))
        );
        for odd in [
            "archive",
            "arn:aws:iam::1:role/x",
            "arn:aws:iam::210987654321:user/x",
        ] {
            assert_eq!(role(odd), None, "{odd}");
        }
    }
}
