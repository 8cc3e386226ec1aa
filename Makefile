# Every command of the project. CI runs `make test`, and nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# What building and the unit tests need, and what the local cluster needs besides.
BUILD_PACKAGES := gcc libc6-dev make ca-certificates ffmpeg mkvtoolnix
NODE_PACKAGES := containerd runc containernetworking-plugins umoci nftables iproute2 iptables openssl curl procps
CLUSTER := tools/cluster/cluster.sh

export AWS_EC2_METADATA_DISABLED := true
export CARGO_TERM_COLOR ?= auto

.PHONY: help demo demo-down test check e2e generate packages node-packages cluster

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 14

demo: node-packages cluster ## everything from nothing to clips in S3, on a local cluster; VIDEO=file, KUBE_CONTEXT=name IMAGE=image
	@tools/demo/demo.sh

demo-down: ## remove every trace of the demo
	@tools/demo/down.sh

test: check e2e ## every check and test, on a fresh machine (what CI runs)

check: packages ## formatting, lints, unit tests, generated files, chart: minutes
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	cargo test --locked --workspace
	RUSTDOCFLAGS='--deny warnings' cargo doc --locked --workspace --no-deps --quiet
	$(MAKE) --no-print-directory chart

e2e: node-packages cluster ## the whole flow on a real cluster
	@tools/e2e.sh

generate: ## the CRDs from the types
	@tools/generate.sh

packages:
	@tools/packages.sh $(BUILD_PACKAGES)

node-packages: packages
	@tools/packages.sh $(NODE_PACKAGES)

cluster:
	@$(CLUSTER) build
