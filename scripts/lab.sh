#!/usr/bin/env bash
# Builds the large realistic images under target/lab, once.  usage: lab.sh [all]
set -euo pipefail
cd "$(dirname "$0")/.."
want=(fat-web slim-web fat-ds slim-ds mini)
for image in "${want[@]}"; do
  if [ ! -d "target/lab/oci/$image" ]; then
    apt-get update -qq
    exec bash fixtures/images/build.sh base python web ds mini export fat-web:1 slim-web:1 fat-ds:1 slim-ds:1 mini:1
  fi
done
