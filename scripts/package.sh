#!/usr/bin/env bash
# Builds the Debian packages libdb4-storage0.1, libdb4-storage-dev and db4-tools, and prints where they are.
#
#     scripts/package.sh [CMAKE ARGUMENTS]
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

say "Packages"
scripts/packages.sh build package
say "Building db4, shared"
build package "$@" -- all
say "Packing"
folder=build/package/packages
rm -rf "$folder"
if ! (cd build/package && cpack -G DEB) >build/package-cpack.log 2>&1; then
  tail -n 40 build/package-cpack.log >&2
  echo "cpack failed; the whole log is build/package-cpack.log" >&2
  exit 1
fi
rm -rf "$folder/_CPack_Packages"
ls "$folder"/*.deb
