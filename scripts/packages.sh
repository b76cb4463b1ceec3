#!/usr/bin/env bash
# Installs the Debian packages that the named sets need and this machine lacks:
#
#     scripts/packages.sh build|test|bench|style ...
#
# Says what it does; does nothing, and asks no server, where all of them are there. Uses sudo where it is not root.
set -euo pipefail

declare -A sets=(
  [build]="g++ cmake ninja-build ccache pkg-config librocksdb-dev libsqlite3-dev libzstd-dev libdeflate-dev libssl-dev
           libsimdjson-dev nlohmann-json3-dev libcli11-dev libtomlplusplus-dev"
  [test]="libgtest-dev libgmock-dev zstd gzip"
  [bench]="libtbb-dev"
  [style]="clang-14 clang-format-14 clang-tidy-14 libgtest-dev libgmock-dev libtbb-dev"
)

missing=()
for set in "$@"; do
  [ -n "${sets[$set]:-}" ] || { echo "packages.sh: unknown set '$set': use ${!sets[*]}" >&2; exit 2; }
  for package in ${sets[$set]}; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "packages.sh: not root, and there is no sudo: install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "Installing Debian packages: ${missing[*]}"
install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}
# An old package list knows no new versions: refresh it only where the first try fails.
if ! install >/dev/null 2>&1; then
  "${as_root[@]}" apt-get update -qq
  install >/dev/null
fi
