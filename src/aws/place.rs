//! Where AWS objects are: a region, and the role by which it is reached.
//!
//! Pure data.

use std::fmt;

/// An IAM role of the account that holds the objects, to be assumed for every call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// What the role's trust policy asks for, where it does. No secret, but nobody else's business: it is printed nowhere.
    pub external_id: Option<String>,
}

impl Role {
    /// The role that a spec names, if it names one.
    pub fn of(arn: Option<&String>, external_id: Option<&String>) -> Option<Self> {
        arn.map(|arn| Self {
            arn: arn.clone(),
            external_id: external_id.cloned(),
        })
    }

    /// The role's account.
    pub fn account(&self) -> &str {
        self.arn.split(':').nth(4).unwrap_or_default()
    }
}

/// A region, reached with the operator's own identity or by a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The region.
    pub region: String,
    /// The role. `None`: the operator's own identity.
    pub role: Option<Role>,
}

impl Place {
    /// A region of the operator's own account.
    pub fn own(region: impl Into<String>) -> Self {
        Self {
            region: region.into(),
            role: None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.region)?;
        match &self.role {
            Some(role) => write!(f, " by the role {}", role.arn),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_says_its_account_and_keeps_its_external_id() {
        let role = Role {
            arn: "arn:aws:iam::210987654321:role/video/operator".into(),
            external_id: Some("ours-7".into()),
        };
        assert_eq!(role.account(), "210987654321");
        let place = Place {
            role: Some(role),
            ..Place::own("eu-west-1")
        };
        assert_eq!(
            place.to_string(),
            "eu-west-1 by the role arn:aws:iam::210987654321:role/video/operator"
        );
    }
}
