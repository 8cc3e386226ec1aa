#!/usr/bin/env bash
# Terraform with its AWS provider: apply, no drift, change, no drift, destroy. It is not fetched: where the machine lacks it, this
# is skipped. The provider is looked for in TERRAFORM_MIRROR (a filesystem mirror), else in a folder tf-plugins below /opt.
set -euo pipefail
cd "$(dirname "$0")"
command -v terraform >/dev/null || { echo "there is no terraform"; exit 77; }
mirror=${TERRAFORM_MIRROR:-$(find /opt -maxdepth 2 -type d -name tf-plugins 2>/dev/null | head -n 1)}
[ -n "$mirror" ] && [ -n "$(find "$mirror" -path '*hashicorp/aws*' -type f -print -quit)" ] ||
  { echo "there is no mirror with the AWS provider (TERRAFORM_MIRROR)"; exit 77; }
cp main.tf "$SCRATCH"
cd "$SCRATCH"
cat >rc <<RC
provider_installation {
  filesystem_mirror { path = "$mirror" }
}
RC
export TF_CLI_CONFIG_FILE=$PWD/rc CHECKPOINT_DISABLE=1 TF_IN_AUTOMATION=1 TF_VAR_endpoint=$AWS_ENDPOINT_URL
unset AWS_ENDPOINT_URL
no_drift() {
  terraform plan -no-color -input=false -detailed-exitcode || { echo "the plan is not empty"; exit 1; }
}
terraform init -no-color -input=false
terraform apply -no-color -input=false -auto-approve
no_drift
export TF_VAR_tag=two TF_VAR_media_type=video/h265
terraform apply -no-color -input=false -auto-approve
no_drift
terraform destroy -no-color -input=false -auto-approve
