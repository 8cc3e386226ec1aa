//! Derived names: a readable head and ten hex digits of the SHA-256 of an identity.
//!
//! Pure. Never random and never from a uid, so that a rebuilt cluster finds again what it made.

use sha2::{Digest, Sha256};

/// How many hex digits of the hash stand in a name.
const DIGITS: usize = 10;

/// The hex digits that stand for an identity. Each part is hashed with its length, so that parts cannot run together.
pub fn digits<S: AsRef<str>>(identity: &[S]) -> String {
    let mut hash = Sha256::new();
    for part in identity {
        let part = part.as_ref().as_bytes();
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut digits = hex::encode(hash.finalize());
    digits.truncate(DIGITS);
    digits
}

/// A name for a Kubernetes object: `head`, made fit for a DNS label and cut, `-`, and the identity's digits; at most `max`
/// characters.
pub fn dns<S: AsRef<str>>(head: &str, identity: &[S], max: usize) -> String {
    let head: String = head
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(max.saturating_sub(DIGITS + 1))
        .collect();
    let head = head.trim_matches('-');
    if head.is_empty() {
        format!("x-{}", digits(identity))
    } else {
        format!("{head}-{}", digits(identity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable_bounded_and_of_the_identity_alone() {
        let name = dns("Front_Door.Camera", &["ns", "policy", "arn"], 52);
        assert!(name.starts_with("front-door-camera-"), "{name}");
        assert_eq!(name, dns("Front_Door.Camera", &["ns", "policy", "arn"], 52));
        assert_ne!(digits(&["ab", "c"]), digits(&["a", "bc"]));
        assert_eq!(dns(&"x".repeat(300), &["i"], 52).len(), 52);
        assert!(dns("___", &["i"], 52).starts_with("x-"));
    }
}
