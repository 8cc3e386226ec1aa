//! EventBridge's errors.

use super::pattern::Refused;
use crate::wire::Fault;

fn named(name: &'static str, message: impl Into<String>) -> Fault {
    Fault::sender(name, name, message)
}

/// A parameter's value that EventBridge does not take.
pub fn validation(message: impl Into<String>) -> Fault {
    named("ValidationException", message)
}

/// What is not simulated.
pub fn not_simulated(what: &str) -> Fault {
    validation(format!("kvs-sim does not simulate {what}."))
}

/// A parameter that is missing.
pub fn missing(parameter: &str) -> Fault {
    validation(format!("Parameter {parameter} is required."))
}

/// A rule that is not there.
pub fn no_rule(name: &str) -> Fault {
    named(
        "ResourceNotFoundException",
        format!("Rule {name} does not exist on EventBus default."),
    )
}

/// A bus that is not there.
pub fn no_bus(name: &str) -> Fault {
    named(
        "ResourceNotFoundException",
        format!("Event bus {name} does not exist."),
    )
}

/// A pattern that is refused.
pub fn pattern(refused: &Refused) -> Fault {
    named(
        "InvalidEventPatternException",
        format!("Event pattern is not valid. Reason: {refused}"),
    )
}
