//! The labels and annotations that the controllers put on objects, and find them by.

/// The label of everything that the operator makes in Kubernetes; its value is `MANAGER`.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Who makes it.
pub const MANAGER: &str = "kvs-operator";
/// Label: the ArchivePolicy's name.
pub const POLICY: &str = "kvs-operator.io/policy";
/// Label: the Recording's name.
pub const RECORDING: &str = "kvs-operator.io/recording";
/// Label: ten hex digits that stand for the stream's ARN (`names::digits`), since an ARN does not fit into a label.
pub const STREAM: &str = "kvs-operator.io/stream";
/// Annotation: the stream's ARN.
pub const STREAM_ARN: &str = "kvs-operator.io/stream-arn";
/// Annotation that a user sets to `true` on a Recording: what is not yet in S3 is given up, and a deletion goes through.
pub const ABANDON: &str = "kvs-operator.io/abandon";
/// Annotation on a Recording: what its name derives from, as JSON.
pub const IDENTITY: &str = "kvs-operator.io/identity";
/// Annotation on a Recording: it may go only when its policy's checkpoint is past this time, or the policy is gone; so it never
/// comes back.
pub const ENTRY: &str = "kvs-operator.io/entry";
/// Annotation on a Recording: `Level` where no history entry came in time and the alarm's state made it.
pub const FOUND_BY: &str = "kvs-operator.io/found-by";
/// Annotation on a Recording: why the operator has set its end, or is going to. An end without it was set by a user.
pub const ENDED: &str = "kvs-operator.io/ended";
