#!/usr/bin/env bash
# The main job on the committed image: slims it, and shows the result.  Needs Rust only.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --quiet
mkdir -p target/demo
target/release/pydock slim "$@" oci-archive:fixtures/pyapp.oci.tar:pyapp:1 oci-archive:target/demo/pyapp-slim.tar:pyapp-slim:1
