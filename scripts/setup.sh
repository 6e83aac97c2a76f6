#!/usr/bin/env bash
# Installs what the tests need on a fresh Debian 12 with Rust and Go, and starts dockerd. Root. Nothing is installed twice.
set -euo pipefail
packages=(skopeo umoci docker.io docker-registry buildah debootstrap jq git openssl python3 python3-pip pigz isal time attr cmake g++ nginx curl strace)
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
command -v regctl > /dev/null || go install github.com/regclient/regclient/cmd/regctl@v0.11.7
command -v registry > /dev/null || go install github.com/distribution/distribution/v3/cmd/registry@v3.0.0
command -v cosign > /dev/null || go install github.com/sigstore/cosign/v2/cmd/cosign@v2.4.3
# `go install` asks for a list of all versions, which some module proxies do not have. These are built as dependencies of a module.
build_needed() { # program, module, version, package
  command -v "$1" > /dev/null && return
  local folder
  folder=$(mktemp -d)
  (cd "$folder" && go mod init tools 2> /dev/null && go mod edit -require "$2@$3" && go build -mod=mod -o "$(go env GOPATH)/bin/$1" "$4")
  rm -rf "$folder"
}
build_needed oras oras.land/oras v1.2.0 oras.land/oras/cmd/oras
build_needed olareg github.com/olareg/olareg v0.1.2 github.com/olareg/olareg/cmd/olareg
command -v estargz > /dev/null || (cd "$(dirname "$0")/../tests/tools/estargz" && go build -o "$(go env GOPATH)/bin/estargz" .)
# zot's modules are not served under their own names; this is the last version under its old one, whose go.mod says another.
command -v zot > /dev/null || (
  folder=$(mktemp -d)
  cd "$folder"
  module=$(go mod download -json github.com/project-zot/zot@v1.4.3 | jq -r .Dir)
  cp -r "$module" source
  chmod -R u+w source
  cd source
  go build -tags containers_image_openpgp -o "$(go env GOPATH)/bin/zot" ./cmd/zot
  rm -rf "$folder"
)
go mod download github.com/opencontainers/image-spec@v1.1.1
if ! docker info > /dev/null 2>&1; then
  nohup dockerd > /tmp/pydock-dockerd.log 2>&1 &
  for _ in $(seq 60); do docker info > /dev/null 2>&1 && break; sleep 0.5; done
  docker info > /dev/null || { tail -20 /tmp/pydock-dockerd.log >&2; exit 1; }
fi
