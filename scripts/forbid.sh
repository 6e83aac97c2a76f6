#!/usr/bin/env bash
# Fails on what must not be committed: marks of unfinished work, names of a machine.
set -euo pipefail
cd "$(dirname "$0")/.."
! git grep -nE '\b(TODO|FIXME|XXX|todo!|unimplemented!|dbg!)' -- src tests crates fuzz benches scripts ':!scripts/forbid.sh' ':!*.snap'
! git grep -nE '#\[allow\(' -- src tests crates
! git grep -nE '\bunsafe (\{|fn|impl|extern)' -- crates ':!crates/layer/src/codec/inflate/symbols.rs'
# Words that CONTRIBUTING.md asks to avoid.
! git grep -nE '\b([Tt]ells (whether|of|what|which|how)|anew|[Ww]hoever|[Ww]hat is there|(is|are) told|goes or stays|stays or goes|be had)\b' -- '*.rs' '*.md' '*.py' '*.sh' ':!scripts/forbid.sh' ':!docs/compatibility.md' ':!fixtures/images/pyapp'
