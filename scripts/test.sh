#!/usr/bin/env bash
# Builds db4 and passes all its tests: every suite in an optimised build, the installed package from outside, then the
# suites that touch memory and files under AddressSanitizer and UBSan, and those with threads under ThreadSanitizer.
#
#     scripts/test.sh [--no-sanitizers]
#
# DB4_TEST_STEPS, DB4_TEST_KILLS and DB4_TEST_SEED set the length and the seed of the random tests.
source "$(dirname "$0")/common.sh"

sanitizers=yes
[ "${1:-}" != "--no-sanitizers" ] || sanitizers=no

say "Packages"
scripts/packages.sh build test

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
failed=0

# run PRESET SUITES: runs test programs, gathering their counts.
run() {
  local preset=$1 suite
  shift
  for suite in "$@"; do
    local program="build/$preset/bin/db4_test_$suite"
    [ -x "$program" ] || continue
    echo "-- $preset: $suite"
    if ! "$program" --gtest_brief=1 --gtest_output="xml:$results/$preset-$suite.xml" >"$results/log" 2>&1; then
      failed=1
      cat "$results/log"
    fi
    grep -hE '^\[  SKIPPED|[Ss]kipped|[Ss]eed' "$results/log" | sort | uniq | head -n 10 || true
  done
}

all=$(cd tests && ls -d */ | tr -d / | grep -vE '^(support|golden|install)$')

say "Optimised build and all tests"
build release -DDB4_WERROR=ON -- all
# shellcheck disable=SC2086
run release $all
if ! ctest --test-dir build/release -LE unit --output-on-failure -Q -O "$results/ctest.log"; then
  failed=1
  cat "$results/ctest.log"
fi

say "The installed package, from outside"
tests/install/run.sh build/release || failed=1

if [ "$sanitizers" = yes ]; then
  export DB4_TEST_STEPS=${DB4_TEST_SANITIZED_STEPS:-3000} DB4_TEST_KILLS=0
  say "AddressSanitizer and UBSan"
  memory="base kv codec objects warm hot catalog cold tiering store"
  # shellcheck disable=SC2046
  build asan -DDB4_BUILD_CLI=OFF -DDB4_BUILD_EXAMPLES=OFF -- db4_tests
  # shellcheck disable=SC2086
  run asan $memory
  say "ThreadSanitizer"
  build tsan -DDB4_BUILD_CLI=OFF -DDB4_BUILD_EXAMPLES=OFF -- db4_tests
  # Debian's RocksDB and SQLite are not instrumented: what they do among themselves is not ours to judge.
  export TSAN_OPTIONS="suppressions=$PWD/tests/support/tsan.supp"
  run tsan base kv objects warm hot tiering store
fi

total=$(awk -F'"' '/^<testsuites /{ for (i = 1; i < NF; i++) if ($i ~ / ?tests=$/) n += $(i + 1) } END { print n + 0 }' "$results"/*.xml)
bad=$(awk -F'"' '/^<testsuites /{ for (i = 1; i < NF; i++) if ($i ~ / (failures|errors)=$/) n += $(i + 1) } END { print n + 0 }' "$results"/*.xml)
skipped=$(cat "$results"/*.xml | grep -c '<skipped' || true)
[ "$failed" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
echo
echo "$((total - bad - skipped)) passed, $bad failed, $skipped skipped"
[ "$failed" -eq 0 ]
