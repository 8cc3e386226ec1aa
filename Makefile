# Every command of the project. CI runs `make test`, and nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# What building and the unit tests need, and what the local cluster needs besides.
BUILD_PACKAGES := gcc libc6-dev make ca-certificates curl ffmpeg mkvtoolnix python3-venv
NODE_PACKAGES := containerd runc containernetworking-plugins umoci nftables iproute2 iptables openssl procps
# Tests of whole flows on kvs-sim.
FLOWS := archive policy recording stream
# What a soak runs.
N ?= 100
FROM ?= 1000
HOURS ?= 24
CLUSTER := tools/cluster/cluster.sh

export AWS_EC2_METADATA_DISABLED := true
export CARGO_TERM_COLOR ?= auto

.PHONY: help demo demo-down test check check-and-clients clients e2e bench soak mutations generate chart s3 packages client-packages node-packages cluster programs

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 14

demo: $(if $(KUBE_CONTEXT),packages,node-packages cluster) ## everything from nothing to clips in S3, on a local cluster; VIDEO=file, KUBE_CONTEXT=name IMAGE=image
	@tools/demo/demo.sh

demo-down: ## remove every trace of the demo
	@tools/demo/down.sh

test: node-packages ## every check and test, on a fresh machine (what CI runs)
	@# From nothing, the Go and the Rust builds take the longest: beside each other they use both cores to the end.
	$(MAKE) --no-print-directory -j2 cluster programs
	@# The end-to-end test mostly waits for footage in real time: the rest runs beside it. What each says comes in one piece.
	$(MAKE) --no-print-directory -j2 --output-sync=recurse e2e check-and-clients

check-and-clients:
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory clients
	@$(MAKE) --no-print-directory s3

check: packages ## formatting, lints, unit tests, generated files, chart: minutes
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	cargo test --locked --workspace
	@# The same under the worst answer to everything that AWS leaves open.
	KVS_SIM_PROFILE=hostile cargo test --locked $(foreach flow,$(FLOWS),--test $(flow))
	RUSTDOCFLAGS='--deny warnings' cargo doc --locked --workspace --no-deps --quiet
	$(MAKE) --no-print-directory chart
	@echo "make check: all is well"

s3: programs ## what the archiver asks of S3, asked of an S3 that nobody here wrote
	@tools/s3/versitygw.sh

clients: programs client-packages ## kvs-sim as boto3, the AWS CLI, Terraform and AWS's other SDKs see it
	@tests/clients/run.sh

e2e: node-packages cluster ## the whole flow on a real cluster; PROFILE=hostile: with the worst answers that AWS may give
	@tools/e2e.sh

# Only these two need a control plane, and so root.
bench: $(if $(or $(filter streams policies,$(BENCH)),$(if $(BENCH),,all)),node-packages cluster,packages) ## what the project promises to be, measured, as a table; fails where a bound is broken. BENCH="NAME..." for some
	@tools/bench.sh $(BENCH)

soak: packages ## the whole operator under a storm on virtual time, seed after seed: N=100 FROM=1000 HOURS=24
	N=$(N) FROM=$(FROM) HOURS=$(HOURS) cargo test --locked --profile soak --test simulation soak -- --ignored --nocapture

mutations: packages ## mistakes planted one at a time: the simulation finds each; SEEDS=6 HOURS=6
	@tools/mutations.py

generate: ## CRDs, the chart's copies and docs/schema, from the types
	@tools/generate.sh

# helm comes with the local cluster's programs.
chart: cluster
	@eval "$$($(CLUSTER) env)" && helm lint --quiet --strict charts/kvs-operator \
	  && helm template kvs-operator charts/kvs-operator --namespace kvs-operator >/dev/null \
	  && echo "chart: lint and template are well"

programs: packages
	cargo build --locked --workspace --bins
	cargo test --locked --workspace --no-run --quiet

packages:
	@tools/packages.sh $(BUILD_PACKAGES)

# Java is Debian's where the machine has none and may install it. The rest of what the clients need they bring, pinned; only
# Terraform is not fetched.
client-packages: packages
	@{ command -v java && command -v mvn; } >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null \
	  || tools/packages.sh default-jdk-headless maven

# Before anything is built for minutes: network namespaces, mounts and cgroups are root's.
node-packages: packages
	@[ "$$(id -u)" = 0 ] || { echo "The local cluster needs root on Linux; make check does not, nor make demo KUBE_CONTEXT=name." >&2; exit 1; }
	@tools/packages.sh $(NODE_PACKAGES)

cluster:
	@$(CLUSTER) build
