#!/usr/bin/env bash
# Builds db4 and passes all its tests: every suite in an optimised build, the installed package from outside, then the
# suites that touch memory and files under AddressSanitizer and UBSan, and those with threads under ThreadSanitizer.
#
#     scripts/test.sh [--no-sanitizers]
#
# DB4_TEST_STEPS, DB4_TEST_KILLS and DB4_TEST_SEED set the length and the seed of the random tests;
# DB4_TEST_SANITIZED_STEPS their length under the sanitizers. The last line counts the tests of the optimised build
# and of the installed package, and the failures of every run.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

sanitizers=yes
case "${1:-}" in
  "") ;;
  --no-sanitizers) sanitizers=no ;;
  *) echo "usage: scripts/test.sh [--no-sanitizers]" >&2; exit 2 ;;
esac

say "Packages"
scripts/packages.sh build test bench
# A browser is large and not on every mirror: without it its tests are skipped.
scripts/packages.sh browser || echo "No browser could be installed"

# So are the servers of other people.
scripts/packages.sh servers || echo "No S3 servers could be installed"

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
passed=0 failed=0 skipped=0

finish() {
  printf '\n%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" -eq 0 ] || exit 1
  exit 0
}

# must COMMAND...: a step that is one test of its own; nothing is left to test where it fails.
must() {
  "$@" && return
  failed=$((failed + 1))
  finish
}

# total ATTRIBUTE FILE: the figure of a whole GoogleTest report.
total() { sed -nE "s/^<testsuites .* ?$1=\"([0-9]+)\".*/\1/p" "$2"; }

# run_suite PRESET SUITE: runs one test program and counts; GoogleTest writes its report at the end, so that a program
# without a report has crashed.
run_suite() {
  local preset=$1 suite=$2 report="$results/$1-$2.xml" log="$results/$1-$2.log" code=0 bad=1
  "${launcher[@]}" "build/$preset/bin/db4_test_$suite" --gtest_brief=1 --gtest_output="xml:$report" >"$log" 2>&1 || code=$?
  if [ -s "$report" ]; then
    local tests skips
    tests=$(($(total tests "$report") - $(total disabled "$report")))
    skips=$(grep -c '<testcase .*result="skipped"' "$report" || true)
    bad=$(total failures "$report")
    [ "$code" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
    if [ "$preset" = release ]; then
      passed=$((passed + tests - skips - bad))
      skipped=$((skipped + skips))
    fi
    printf -- '-- %s: %s tests, %s failed, %s skipped\n' "$suite" "$tests" "$bad" "$skips"
    sed -n '/: Skipped$/{n;s/^/   skipped: /p}' "$log" | sort -u | head -n 10
  else
    printf -- '-- %s: ended with code %s and no report\n' "$suite" "$code"
  fi
  failed=$((failed + bad))
  [ "$code" -eq 0 ] || tail -n 200 "$log"
}

launcher=()
suites=()
for folder in base kv codec crypto net keyservice catalog objects hot warm cold tiering invalidation store report; do
  if compgen -G "tests/$folder/*.cpp" >/dev/null; then suites+=("$folder"); fi
done

say "Optimised build"
must build release -DDB4_WERROR=ON -DDB4_BUILD_TESTS=ON -DDB4_BUILD_CLI=ON -DDB4_BUILD_EXAMPLES=ON \
  -DDB4_BUILD_BENCHMARKS=ON -DBUILD_SHARED_LIBS=OFF -- all

say "All suites: ${suites[*]}"
for suite in "${suites[@]}"; do run_suite release "$suite"; done

# What is no GoogleTest: the fuzzers' corpus, the command line's scripts. `ctest` names each.
say "Everything else that ctest runs"
junit="$results/ctest.xml"
ctest --test-dir build/release -LE unit --output-on-failure --output-junit "$junit" || true
others() { grep -c "^[[:space:]]*<testcase .*status=\"$1\"" "$junit" || true; }
passed=$((passed + $(others run))) skipped=$((skipped + $(others notrun))) failed=$((failed + $(others fail)))

say "The installed package, from outside"
must tests/install/run.sh build/release
passed=$((passed + 1))

say "The documents, as a site"
if scripts/packages.sh docs; then
  must scripts/docs.sh
  passed=$((passed + 1))
else
  echo "skipped: doxygen and mkdocs cannot be installed here"
  skipped=$((skipped + 1))
fi

# The sanitizers of g++ 12 need their part of the address space free, which a kernel with much randomisation does not
# grant: switch it off for the test where that is allowed. sanitizer_runs FLAG: whether an empty program runs under it.
if setarch "$(uname -m)" -R true 2>/dev/null; then launcher=(setarch "$(uname -m)" -R); fi
sanitizer_runs() {
  echo 'int main() {}' | g++ -x c++ - "-fsanitize=$1" -o "$results/probe" || return 1
  for _ in {1..20}; do timeout 20 "${launcher[@]}" "$results/probe" >/dev/null 2>&1 || return 1; done
}

# sanitize PRESET FLAG SUITES...
sanitize() {
  local preset=$1 flag=$2 suite
  shift 2
  say "-fsanitize=$flag: $*"
  if ! sanitizer_runs "$flag"; then
    echo "skipped: an empty program does not run under it on this kernel (try: sysctl vm.mmap_rnd_bits=28)"
    skipped=$((skipped + 1))
    return
  fi
  must build "$preset" -DDB4_BUILD_CLI=OFF -DDB4_BUILD_EXAMPLES=OFF -- "${@/#/db4_test_}"
  for suite in "$@"; do run_suite "$preset" "$suite"; done
}

# among SUITES...: those of them that have tests, in `chosen`.
among() {
  local suite
  chosen=()
  for suite in "$@"; do
    if [[ " ${suites[*]} " == *" $suite "* ]]; then chosen+=("$suite"); fi
  done
}

if [ "$sanitizers" = yes ]; then
  export DB4_TEST_STEPS=${DB4_TEST_SANITIZED_STEPS:-3000} DB4_TEST_KILLS=0
  among kv codec crypto catalog objects hot warm cold invalidation store
  sanitize asan address,undefined "${chosen[@]}"
  # Debian's RocksDB and SQLite are not instrumented: what they do among themselves is not ours to judge.
  export TSAN_OPTIONS="suppressions=$PWD/tests/support/tsan.supp"
  among base kv crypto keyservice objects hot warm cold tiering invalidation store
  sanitize tsan thread "${chosen[@]}"
fi

finish
