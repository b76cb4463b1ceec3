#!/usr/bin/env bash
# Builds and runs the benchmarks. Each prints ratios against peers in the same run; timings of one machine and moment
# mean little, ratios more.
#
#     scripts/bench.sh [--quick] [--dir FOLDER]
#
# --quick: small sizes, some two minutes. --dir: where the databases go (the system's temporary folder); it should be on
# the disk you care about, with some 10 GB free for the full run.
source "$(dirname "$0")/common.sh"

say "Packages"
scripts/packages.sh build bench
say "Building"
build release -DDB4_BUILD_TESTS=OFF -DDB4_BUILD_EXAMPLES=OFF -- all
for program in build/release/bin/db4_bench_*; do
  say "$(basename "$program") $*"
  "$program" "$@"
done
