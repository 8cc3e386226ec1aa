//! Identifiers as AWS gives them.

/// A UUID, as ids of messages and events are.
pub fn uuid() -> String {
    let hex = format!("{:032x}", rand::random::<u128>());
    let variant = ['8', '9', 'a', 'b'][rand::random_range(0..4)];
    format!(
        "{}-{}-4{}-{variant}{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}
