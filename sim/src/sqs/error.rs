//! SQS's errors: the code that the Query protocol has, and the name that the JSON protocol has.

use crate::wire::Fault;

fn simple(code: &'static str, shape: &'static str, message: impl Into<String>) -> Fault {
    Fault::sender(code, shape, message)
}

/// A queue that is not there.
pub fn no_queue() -> Fault {
    simple(
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "The specified queue does not exist.",
    )
}

/// A queue of this name is there, with other attributes.
pub fn exists(attribute: &str) -> Fault {
    simple(
        "QueueAlreadyExists",
        "QueueNameExists",
        format!("A queue already exists with the same name and a different value for attribute {attribute}"),
    )
}

/// An attribute that SQS does not know.
pub fn attribute_name(name: &str) -> Fault {
    simple(
        "InvalidAttributeName",
        "InvalidAttributeName",
        format!("Unknown Attribute {name}."),
    )
}

/// An attribute's value that SQS does not take.
pub fn attribute_value(name: &str) -> Fault {
    simple(
        "InvalidAttributeValue",
        "InvalidAttributeValue",
        format!("Invalid value for the parameter {name}."),
    )
}

/// A parameter's value that SQS does not take.
pub fn parameter(name: &str, value: &str, reason: &str) -> Fault {
    Fault::value(format!(
        "Value {value} for parameter {name} is invalid. Reason: {reason}"
    ))
}

/// A receipt handle that no receive gave.
pub fn receipt() -> Fault {
    simple(
        "ReceiptHandleIsInvalid",
        "ReceiptHandleIsInvalid",
        "The input receipt handle is invalid.",
    )
}

/// A message that is not in flight.
pub fn not_in_flight() -> Fault {
    simple(
        "AWS.SimpleQueueService.MessageNotInflight",
        "MessageNotInflight",
        "The specified message isn't in flight.",
    )
}

/// Too many messages in flight.
pub fn over_limit() -> Fault {
    simple(
        "OverLimit",
        "OverLimit",
        "Too many messages in flight for this queue.",
    )
}

/// A body with characters that XML 1.0 does not have.
pub fn contents() -> Fault {
    simple(
        "InvalidMessageContents",
        "InvalidMessageContents",
        "Message body contains characters outside the allowed set.",
    )
}

/// A batch without entries.
pub fn empty_batch() -> Fault {
    simple(
        "AWS.SimpleQueueService.EmptyBatchRequest",
        "EmptyBatchRequest",
        "There should be at least one entry in the request.",
    )
}

/// A batch with too many entries.
pub fn large_batch(entries: usize) -> Fault {
    simple(
        "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        "TooManyEntriesInBatchRequest",
        format!("Maximum number of entries per request are 10. You have sent {entries}."),
    )
}

/// A batch with too many bytes.
pub fn long_batch(bytes: usize) -> Fault {
    simple(
        "AWS.SimpleQueueService.BatchRequestTooLong",
        "BatchRequestTooLong",
        format!("Batch requests cannot be longer than 1048576 bytes. You have sent {bytes} bytes."),
    )
}

/// Two entries of a batch with one id.
pub fn repeated_id(id: &str) -> Fault {
    simple(
        "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
        "BatchEntryIdsNotDistinct",
        format!("Id {id} repeated."),
    )
}

/// An entry's id that SQS does not take.
pub fn entry_id() -> Fault {
    simple(
        "AWS.SimpleQueueService.InvalidBatchEntryId",
        "InvalidBatchEntryId",
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
    )
}
