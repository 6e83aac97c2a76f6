#!/usr/bin/env bash
# Installs what the tests need on a fresh Debian 12 with Rust and Go, and starts dockerd. Root. Nothing is installed twice.
set -euo pipefail
packages=(skopeo umoci docker.io docker-registry buildah debootstrap jq git openssl python3 python3-pip pigz isal time attr cmake)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
fi
command -v go > /dev/null || { echo 'setup: Go is missing (https://go.dev/dl)' >&2; exit 1; }
export PATH=$PATH:$(go env GOPATH)/bin
command -v crane > /dev/null || go install github.com/google/go-containerregistry/cmd/crane@v0.20.6
command -v syft > /dev/null || go install github.com/anchore/syft/cmd/syft@v1.18.1
go mod download github.com/opencontainers/image-spec@v1.1.1
if ! docker info > /dev/null 2>&1; then
  nohup dockerd > /tmp/pydock-dockerd.log 2>&1 &
  for _ in $(seq 60); do docker info > /dev/null 2>&1 && break; sleep 0.5; done
  docker info > /dev/null || { tail -20 /tmp/pydock-dockerd.log >&2; exit 1; }
fi
