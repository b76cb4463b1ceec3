#!/usr/bin/env bash
# Installs the Debian packages that the named sets need and this machine lacks:
#
#     scripts/packages.sh build|test|servers|package|bench|style|fuzz|docs ...
#
# Says what it does; does nothing, and asks no server, where all of them are there. Uses sudo where it is not root.
set -euo pipefail

declare -A sets=(
  [build]="g++ cmake ninja-build ccache pkg-config librocksdb-dev libsqlite3-dev libzstd-dev libdeflate-dev libssl-dev
           libsimdjson-dev libcurl4-openssl-dev libpugixml-dev libhiredis-dev libpq-dev libsodium-dev nlohmann-json3-dev
           libcli11-dev libtomlplusplus-dev"
  [test]="libgtest-dev libgmock-dev zstd gzip binutils clang-14 groff-base python3 python3-cryptography jq zsh fish
          redis-server openssl postgresql"
  [browser]="chromium"
  [servers]="radosgw ceph-mon ceph-osd ceph-common ceph-base swift-proxy swift-account swift-container swift-object
             memcached s3cmd rclone"
  [package]="dpkg-dev file gzip"
  [bench]="libtbb-dev libleveldb-dev liblmdb-dev redis-tools"
  [style]="clang-14 clang-format-14 clang-tidy-14 libgtest-dev libgmock-dev libtbb-dev libleveldb-dev liblmdb-dev"
  [fuzz]="clang libclang-rt-14-dev"
  [docs]="doxygen mkdocs"
)

command -v dpkg-query >/dev/null || {
  echo "packages.sh: this is no Debian: install what stands for these packages yourself:" "${sets[@]}" >&2
  exit 1
}

missing=()
for set in "$@"; do
  [ -n "${sets[$set]:-}" ] || { echo "packages.sh: unknown set '$set': use one of ${!sets[*]}" >&2; exit 2; }
  for package in ${sets[$set]}; do
    # No `grep -q` behind dpkg-query here: it would stop reading early, and pipefail would call that a failure.
    status=$(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null || true)
    [[ " ${status//$'\n'/ } " == *" installed "* ]] || missing+=("$package")
  done
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null ||
    { echo "packages.sh: not root, and there is no sudo: have these installed: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >"$log" 2>&1; }

echo "Installing Debian packages: ${missing[*]}"
# A list of packages may be absent or too old to name files that are still served: refresh it only then.
if ! apt install -y --no-install-recommends "${missing[@]}"; then
  echo "Refreshing the list of packages"
  apt update || { cat "$log" >&2; exit 1; }
  apt install -y --no-install-recommends "${missing[@]}" || { cat "$log" >&2; exit 1; }
fi
