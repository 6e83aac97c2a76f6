#!/usr/bin/env bash
# All tests: formatting, lints, docs, unit, integration and end to end, with real tools.  Root on Debian 12 with Rust and Go.
#   test.sh          everything
#   test.sh quick    without the large images
#   test.sh full     also popular packages (scripts/compat.py) and application images (scripts/apps.py): hours on a fresh machine
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh
export PATH=$PATH:$(go env GOPATH)/bin
if [ "${1:-}" != quick ]; then
  # Building images waits for the network, compiling for the processor.
  mkdir -p target
  bash scripts/lab.sh > target/lab.log 2>&1 &
  lab=$!
fi
cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- -D warnings
RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --workspace --quiet
bash scripts/forbid.sh
cargo deny --version > /dev/null 2>&1 || cargo install --quiet --locked cargo-deny
# Of all platforms: a build fetches this one's only.
cargo fetch --locked --quiet
cargo deny --offline check bans licenses sources 2>&1 | tail -5
cargo test --workspace --exclude pydock-fuzz --quiet
if [ "${1:-}" != quick ]; then
  wait $lab || { tail -50 target/lab.log; exit 1; }
  cargo test --release --quiet --test it -- --ignored --test-threads 1
  # The commands of README.md and docs/cli.md, and what they print.
  python3 scripts/picture.py --check target/release/pydock
fi
if [ "${1:-}" = full ]; then
  [ -d target/lab/oci/compat ] || bash fixtures/images/build.sh base python compat export compat:1
  cargo build --release --quiet
  python3 scripts/compat.py --check
  python3 scripts/apps.py
fi
