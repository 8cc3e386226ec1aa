//! How the archive Jobs run: what a policy may say of their pods. What is not here (command, environment, volumes, security
//! context) nobody can change.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Affinity, LocalObjectReference, ResourceRequirements, Toleration, TopologySpreadConstraint,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How the archive Jobs run.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct JobTemplate {
    /// The service account of the pods, in the policy's namespace: its AWS identity reads the streams and writes the bucket.
    #[serde(default = "default_service_account")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: String,
    /// What the container requests and may use. Default: 100m CPU, 64Mi to 128Mi of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Nodes on which the pods may run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub tolerations: Vec<Toleration>,
    /// On which nodes, and beside which pods, the pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How the pods spread over nodes and zones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// The pods' PriorityClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Labels of Jobs and pods, such as a Kueue queue's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 63}))]
    #[x_kube(validation = Rule::new("self.all(k, size(k) <= 317 && !k.startsWith('kvs-operator.io/') && k != 'app.kubernetes.io/managed-by' && !k.startsWith('batch.kubernetes.io/') && k != 'controller-uid' && k != 'job-name')")
        .message("job.labels: kvs-operator.io/, batch.kubernetes.io/, app.kubernetes.io/managed-by, controller-uid and job-name are reserved"))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of Jobs and pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = {"type": "string", "maxLength": 1024}))]
    #[x_kube(validation = Rule::new("self.all(k, size(k) <= 317 && !k.startsWith('kvs-operator.io/'))")
        .message("job.annotations: kvs-operator.io/ is reserved"))]
    pub annotations: BTreeMap<String, String>,
    /// Secrets in the policy's namespace with which the image is pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Where a pod puts files together before they go to S3. Default: on the node's disk, as large as a clip can get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spool: Option<SpoolVolume>,
}

/// Where a pod puts files together before they go to S3.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SpoolVolume {
    /// How large it may get. Default: twice a clip at 100 Mbit/s, and room for fragments that are tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
    /// A storage class: each pod gets a volume of it, gone with the pod. Default: the node's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

fn default_service_account() -> String {
    "kvs-archiver".into()
}

impl Default for JobTemplate {
    fn default() -> Self {
        Self {
            service_account_name: default_service_account(),
            resources: None,
            node_selector: BTreeMap::new(),
            tolerations: vec![],
            affinity: None,
            topology_spread_constraints: vec![],
            priority_class_name: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            image_pull_secrets: vec![],
            spool: None,
        }
    }
}
