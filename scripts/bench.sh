#!/usr/bin/env bash
# Builds the benchmarks and runs them against peers used directly in the same run, taking turns. What counts are the
# ratios: timings of one machine and moment mean little. docs/benchmarks.md explains and shows them.
#
#     scripts/bench.sh [--quick | --tiny] [--dir FOLDER] [--only NAME]... [--json FILE] [--html FILE] [--markdown FILE]
#
# Without --quick at most a quarter of an hour on two cores; --quick takes some two minutes, --tiny shows that all runs.
# --dir: where the databases go (the system's temporary folder): on the disk you care about, with 10 GB free for the full
# run. --only: hot_reads, tier_reads, warm_hits, writes, lifecycle, ten_million, engines, seal, object_store, shared or
# invalidation; may be given several times. The last three start servers, and run only where they are named.
# --json: all results in one file; --html: one page that needs no network; --markdown: the tables.
quick=() parent=${TMPDIR:-/tmp} only=() outputs=()
while [ $# -gt 0 ]; do
  case "$1" in
    --quick | --tiny) quick=("$1"); shift; continue ;;
    --dir | --only | --json | --html | --markdown)
      [ $# -ge 2 ] || { echo "bench.sh: $1 needs a value" >&2; exit 2; } ;;
    *) sed -n '/^#     scripts/s/^# *//p' "$0" >&2; exit 2 ;;
  esac
  case "$1" in
    --dir) mkdir -p "$2"; parent=$(realpath "$2") ;;
    --only) only+=("$2") ;;
    *) outputs+=("$1" "$(realpath "$2")") ;;
  esac
  shift 2
done
source "$(dirname "$0")/common.sh"
[ ${#only[@]} -gt 0 ] || only=(hot_reads tier_reads warm_hits writes lifecycle ten_million engines seal)

say "Packages"
scripts/packages.sh build bench
say "Building"
build release -DDB4_BUILD_BENCHMARKS=ON -- db4_benchmarks

# The databases are in there too, so that a run that is interrupted leaves nothing behind.
results=$(mktemp -d -p "$parent" db4-bench.XXXXXX)
servers=$PWD/tests/support/servers
source "$servers/postgres.sh"
finish() {
  postgres_stop "$results/postgres" || true
  [ ! -d "$results/ceph" ] || "$servers/ceph.sh" stop "$results/ceph" || true
  rm -rf "$results"
}
trap finish EXIT
# What is about S3 wants a server, unless one is named already; without it is left out, and that is said.
start_server() {
  [ -z "${DB4_TEST_S3_ENDPOINT:-}" ] || return 0
  scripts/packages.sh servers || return 0
  "$servers/ceph.sh" start "$results/ceph" >"$results/ceph.variables" || return 0
  set -a
  . "$results/ceph.variables"
  set +a
}
start_postgres() {
  [ -z "${DB4_TEST_POSTGRES_URL:-}" ] || return 0
  scripts/packages.sh test || return 0
  chmod 755 "$results"
  postgres_fsync=on postgres_start "$results/postgres" || return 0
  export DB4_TEST_POSTGRES_URL=$postgres_url
}
files=()
for name in "${only[@]}"; do
  [ -x "build/release/bin/db4_bench_$name" ] || { echo "bench.sh: there is no benchmark '$name'" >&2; exit 2; }
  say "$name"
  [ "$name" != object_store ] || start_server
  case "$name" in shared | invalidation) start_postgres ;; esac
  "build/release/bin/db4_bench_$name" "${quick[@]}" --dir "$results" --json "$results/$name.json"
  files+=("$results/$name.json")
done
say "All together"
build/release/bin/db4_bench_report "${outputs[@]}" "${files[@]}"
