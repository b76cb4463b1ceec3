#!/usr/bin/env bash
# db4's main job on real documents, from nothing: installs the packages it needs, builds, and runs `db4 demo`.
#
#     scripts/quickstart.sh [arguments of db4 demo, such as --days 7]
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

say "Packages"
scripts/packages.sh build
# The demo's documents are apt's own list of packages.
if [ "$(apt-cache dumpavail 2>/dev/null | head -c 1 | wc -c)" -eq 0 ]; then
  echo "Fetching apt's list of packages"
  if [ "$(id -u)" -eq 0 ]; then apt-get update -qq; else sudo apt-get update -qq; fi
fi

say "Building (a few minutes the first time)"
build release -- db4_cli

say "db4 demo"
build/release/bin/db4 demo --dir build/demo --replace "$@"
echo
echo "The program is build/release/bin/db4; put that folder on your PATH to type the commands above."
