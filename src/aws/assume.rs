//! Credentials by STS AssumeRole, for a role of another account or of this one.
//!
//! Who asks for them keeps them until they expire: one call an hour for each role, whatever the number of streams.

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use aws_sdk_sts::{Client, types::Credentials as Answer};

use super::{AwsError, Connection, Kind, Result, place::Role};

/// The name of our sessions, as the other account's CloudTrail shows it.
const SESSION: &str = "kvs-operator";
/// The operation, as IAM writes it.
pub(super) const ASSUME_ROLE: &str = "sts:AssumeRole";

/// Gets a role's credentials with those of a connection.
#[derive(Debug)]
pub(super) struct Assume {
    sts: Client,
    connection: Connection,
    role: Role,
}

impl Assume {
    pub(super) fn new(connection: &Connection, role: &Role) -> Self {
        let config = aws_sdk_sts::config::Builder::from(connection.sdk())
            .interceptor(connection.date_interceptor())
            .build();
        Self {
            sts: Client::from_conf(config),
            connection: connection.clone(),
            role: role.clone(),
        }
    }

    async fn credentials(&self) -> Result<Credentials> {
        let with = if self.role.external_id.is_some() {
            "with"
        } else {
            "without"
        };
        let on = format!("{} ({with} an external id)", self.role.arn);
        let request = self
            .sts
            .assume_role()
            .role_arn(&self.role.arn)
            .role_session_name(SESSION)
            .set_external_id(self.role.external_id.clone());
        let answer = self.connection.call(ASSUME_ROLE, &on, request.send()).await?;
        answer.credentials.and_then(credentials).ok_or_else(|| {
            AwsError::ours(
                ASSUME_ROLE,
                on,
                Kind::Unavailable,
                "the answer has no credentials",
            )
        })
    }
}

fn credentials(answer: Answer) -> Option<Credentials> {
    Some(Credentials::new(
        answer.access_key_id,
        answer.secret_access_key,
        Some(answer.session_token),
        Some(answer.expiration.try_into().ok()?),
        "AssumeRole",
    ))
}

impl ProvideCredentials for Assume {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.credentials().await.map_err(CredentialsError::provider_error)
        })
    }
}

/// The account of a connection's credentials. Nobody needs a right for this.
///
/// # Errors
/// AWS does not say.
pub async fn own_account(connection: &Connection) -> Result<Option<String>> {
    let sts = Client::new(connection.sdk());
    let request = sts.get_caller_identity().send();
    let answer = connection.call("sts:GetCallerIdentity", "*", request).await?;
    Ok(answer.account)
}
