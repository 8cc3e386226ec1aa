//! What an administrator sets for the controllers, by flags or the environment; Helm values lead here.

use std::net::SocketAddr;

use crate::{api::Span, grants::Grants};

/// The controllers' settings.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// What marks AWS objects as this cluster's. Give it to a rebuilt cluster that is to find its streams again. Default: the
    /// UID of the namespace kube-system.
    #[arg(long, env = "KVS_OPERATOR_CLUSTER_ID")]
    pub cluster_id: Option<String>,
    /// The region of streams that name none. Default: as the AWS SDK finds it.
    #[arg(long, env = "AWS_REGION")]
    pub region: Option<String>,
    /// What the names of managed alarms begin with; an IAM policy can be scoped to it.
    #[arg(long, env = "KVS_OPERATOR_ALARM_PREFIX", default_value = "kvs-operator")]
    pub alarm_prefix: String,
    /// How long after its server time a fragment counts as listable.
    #[arg(long, env = "KVS_OPERATOR_SETTLE", default_value = "60s")]
    pub settle: Span,
    /// How long after a recording's end its last listing happens at the earliest.
    #[arg(long, env = "KVS_OPERATOR_CLOSE_AFTER", default_value = "10m")]
    pub close_after: Span,
    /// How often changes of alarms are looked for.
    #[arg(long, env = "KVS_OPERATOR_SWEEP_INTERVAL", default_value = "15s")]
    pub sweep_interval: Span,
    /// The image of the archive Jobs: this program's own.
    #[arg(long, env = "KVS_OPERATOR_ARCHIVER_IMAGE")]
    pub archiver_image: String,
    /// When a node pulls that image: Always, IfNotPresent or Never.
    #[arg(long, env = "KVS_OPERATOR_ARCHIVER_IMAGE_PULL_POLICY", default_value = "IfNotPresent",
          value_parser = ["Always", "IfNotPresent", "Never"])]
    pub archiver_image_pull_policy: String,
    /// A Secret in each Recording's namespace that archive Jobs take AWS_* variables from, for clusters whose pods have no
    /// AWS identity. Default: none.
    #[arg(long, env = "KVS_OPERATOR_AWS_CREDENTIALS_SECRET")]
    pub aws_credentials_secret: Option<String>,
    /// An endpoint for all AWS services instead of AWS's own; archive Jobs use it too.
    #[arg(long, env = "AWS_ENDPOINT_URL")]
    pub aws_endpoint_url: Option<String>,
    /// How many times AWS's default quotas of calls a second the account has, where they were raised. The operator uses half.
    #[arg(long, env = "KVS_OPERATOR_AWS_QUOTA_FACTOR", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub aws_quota_factor: u32,
    /// What namespaces may use of AWS, as a JSON list of objects with `namespaces`, `streams`, `roles` and `buckets` (see
    /// docs/operations.md). Default: one tenant, and no roles.
    #[arg(
        long,
        env = "KVS_OPERATOR_GRANTS",
        default_value = "[]",
        hide_default_value = true
    )]
    pub grants: Grants,
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "KVS_OPERATOR_ADMIN_LISTEN", default_value = "0.0.0.0:8080")]
    pub admin_listen: SocketAddr,
}
