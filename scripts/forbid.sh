#!/usr/bin/env bash
# Fails on what must not be committed: marks of unfinished work, names of a machine.
set -euo pipefail
cd "$(dirname "$0")/.."
! git grep -nE '\b(TODO|FIXME|XXX|todo!|unimplemented!|dbg!)' -- src tests crates fuzz benches scripts ':!scripts/forbid.sh' ':!*.snap'
! git grep -nE '#\[allow\(' -- src tests crates
! git grep -nE '\bunsafe (\{|fn|impl|extern)' -- crates ':!crates/layer/src/codec/inflate/symbols.rs'
