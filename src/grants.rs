//! What a namespace may use of AWS: which streams, by which roles, and which buckets. The cluster's administrator says so; where
//! nobody says anything, the cluster has one tenant.
//!
//! Pure.

use std::str::FromStr;

use serde::Deserialize;

/// What some namespaces may use. In every text `*` stands for any characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grant {
    /// The namespaces.
    pub namespaces: Vec<String>,
    /// Names of streams: of the accounts of `roles`, or where there are none, of the operator's own account.
    #[serde(default)]
    pub streams: Vec<String>,
    /// ARNs of roles by which those streams are reached.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Buckets that footage and images may go to, as `bucket` or, for keys below a prefix, `bucket/prefix`.
    #[serde(default)]
    pub buckets: Vec<String>,
}

/// Every grant. Without any there is one tenant: all namespaces may use everything of the operator's own account, and no roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(Vec<Grant>);

/// Why something may not be used: which grant is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Missing(String);

impl FromStr for Grants {
    type Err = serde_json::Error;

    fn from_str(json: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(json).map(Self)
    }
}

impl Grants {
    /// Whether any of them has roles.
    pub fn have_roles(&self) -> bool {
        self.0.iter().any(|grant| !grant.roles.is_empty())
    }

    fn of<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Grant> {
        self.0
            .iter()
            .filter(move |grant| any(&grant.namespaces, namespace))
    }

    /// Whether a namespace may use the stream of that name, by that role or with the operator's own identity.
    ///
    /// # Errors
    /// It may not.
    pub fn stream(&self, namespace: &str, name: &str, role: Option<&str>) -> Result<(), Missing> {
        match role {
            None if self.0.is_empty() => Ok(()),
            Some(role) if self.0.is_empty() => Err(Missing(format!(
                "spec.roleArn is {role}, and roles are the cluster administrator's to grant: no grants are set (Helm value grants)"
            ))),
            Some(role) => {
                let mut by_role = self.of(namespace).filter(|grant| any(&grant.roles, role)).peekable();
                if by_role.peek().is_none() {
                    return Err(Missing(format!(
                        "no grant lets namespace {namespace} use the role {role} (Helm value grants: roles)"
                    )));
                }
                by_role.any(|grant| any(&grant.streams, name)).then_some(()).ok_or_else(|| {
                    Missing(format!(
                        "no grant lets namespace {namespace} use stream {name} by the role {role} (Helm value grants: streams)"
                    ))
                })
            }
            None => self
                .of(namespace)
                .any(|grant| grant.roles.is_empty() && any(&grant.streams, name))
                .then_some(())
                .ok_or_else(|| {
                    Missing(format!(
                        "no grant lets namespace {namespace} use stream {name} of the operator's own account (Helm value grants: streams)"
                    ))
                }),
        }
    }

    /// Whether a namespace may write below a prefix of a bucket.
    ///
    /// # Errors
    /// It may not.
    pub fn bucket(&self, namespace: &str, bucket: &str, prefix: &str) -> Result<(), Missing> {
        let granted = |grant: &str| match grant.split_once('/') {
            None => matches(grant, bucket),
            Some((of, below)) => matches(of, bucket) && is_below(below.trim_end_matches('/'), prefix),
        };
        if self.0.is_empty()
            || self
                .of(namespace)
                .any(|grant| grant.buckets.iter().any(|b| granted(b)))
        {
            return Ok(());
        }
        let below = match prefix {
            "" => "all of it".to_owned(),
            prefix => format!("below {prefix}/"),
        };
        Err(Missing(format!(
            "no grant lets namespace {namespace} write into bucket {bucket}, {below} (Helm value grants: buckets)"
        )))
    }
}

/// Whether a prefix is that of a grant, or below it.
fn is_below(grant: &str, prefix: &str) -> bool {
    grant.is_empty() || matches(grant, prefix) || matches(&format!("{grant}/*"), prefix)
}

fn any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, text))
}

/// Whether a text is as a pattern says, in which `*` stands for any characters.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut left) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut rest: Vec<&str> = parts.collect();
    let Some(last) = rest.pop() else {
        return left.is_empty();
    };
    for part in rest {
        // The first place is the best: it leaves most to what follows.
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::210987654321:role/kvs";

    fn grants() -> Grants {
        r#"[
            {"namespaces": ["north"], "streams": ["north-*"], "buckets": ["footage/north"]},
            {"namespaces": ["north", "lab-*"], "streams": ["lab-*-cam"], "roles": ["arn:aws:iam::210987654321:role/*"]},
            {"namespaces": ["*"], "streams": ["shared"], "buckets": ["lobby"]}
        ]"#
        .parse()
        .unwrap()
    }

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "bca", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXcYb", false),
            ("lab-*-cam", "lab-cam", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn streams_and_roles_go_together() {
        let grants = grants();
        for (namespace, name, role, granted) in [
            ("north", "north-1", None, true),
            ("north", "south-1", None, false),
            ("south", "north-1", None, false),
            ("south", "shared", None, true),
            // A grant with roles is about their accounts, one without about the operator's own.
            ("north", "lab-1-cam", None, false),
            ("north", "lab-1-cam", Some(ROLE), true),
            ("lab-7", "lab-1-cam", Some(ROLE), true),
            ("north", "north-1", Some(ROLE), false),
            ("south", "shared", Some(ROLE), false),
            (
                "north",
                "lab-1-cam",
                Some("arn:aws:iam::999999999999:role/kvs"),
                false,
            ),
        ] {
            let answer = grants.stream(namespace, name, role);
            assert_eq!(answer.is_ok(), granted, "{namespace} {name} {role:?} {answer:?}");
        }
        assert_eq!(
            grants.stream("south", "x", Some(ROLE)).unwrap_err().to_string(),
            format!("no grant lets namespace south use the role {ROLE} (Helm value grants: roles)")
        );
    }

    #[test]
    fn a_prefix_ends_at_a_slash() {
        let grants = grants();
        for (namespace, bucket, prefix, granted) in [
            ("north", "footage", "north", true),
            ("north", "footage", "north/door", true),
            ("north", "footage", "northern", false),
            ("north", "footage", "", false),
            ("north", "other", "north", false),
            ("south", "footage", "north", false),
            ("south", "lobby", "", true),
            ("south", "lobby", "x", true),
        ] {
            assert_eq!(
                grants.bucket(namespace, bucket, prefix).is_ok(),
                granted,
                "{namespace} {bucket} {prefix}"
            );
        }
    }

    #[test]
    fn without_grants_there_is_one_tenant_and_no_role() {
        let none = Grants::default();
        assert_eq!(none, "[]".parse().unwrap());
        assert!(none.stream("any", "any", None).is_ok() && none.bucket("any", "any", "").is_ok());
        let missing = none.stream("any", "any", Some(ROLE)).unwrap_err().to_string();
        assert!(
            missing.contains(ROLE) && missing.contains("no grants are set"),
            "{missing}"
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(r#"[{"namespaces": ["a"], "stream": ["b"]}]"#.parse::<Grants>().is_err());
        assert!(r#"[{"streams": ["b"]}]"#.parse::<Grants>().is_err());
    }
}
