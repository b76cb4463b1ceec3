#!/usr/bin/env bash
# Runs every benchmark at its smallest size and checks what it writes: that the JSON is as docs/benchmarks.md says, that
# the page stands alone and holds every row, and that results nobody wrote are refused. No figure is judged.
#
#     tests/bench/tiny_run.sh FOLDER_OF_THE_PROGRAMS
set -euo pipefail

programs=$(realpath "$1")
command -v jq >/dev/null || { echo "skipped: jq is not installed"; exit 77; }
# Databases in memory where there is room: what is tested is not the disk.
parent=/dev/shm
[ -w "$parent" ] || parent=${TMPDIR:-/tmp}
work=$(mktemp -d -p "$parent")
source "$(dirname "${BASH_SOURCE[0]}")/../support/servers/postgres.sh"
trap 'postgres_stop "$work/postgres"; rm -rf "$work"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }

names=(hot_reads tier_reads warm_hits writes lifecycle ten_million engines seal object_store)
chmod 755 "$work"
if postgres_start "$work/postgres"; then
  export DB4_TEST_POSTGRES_URL=$postgres_url
  names+=(shared invalidation)
fi
for name in "${names[@]}"; do
  "$programs/db4_bench_$name" --tiny --dir "$work" --json "$work/$name.json" >"$work/$name.log" ||
    fail "$name: $(tail -n 5 "$work/$name.log")"
  grep '^  skipped' "$work/$name.log" || true
done
[ -z "$(find "$work" -maxdepth 1 -type d -name 'db4-bench-*')" ] || fail "a database was left behind"

"$programs/db4_bench_report" --json "$work/all.json" --html "$work/all.html" --markdown "$work/all.md" \
  "${names[@]/#/$work/}" >/dev/null 2>&1 && fail "files that do not exist were taken for results"
files=()
for name in "${names[@]}"; do files+=("$work/$name.json"); done
"$programs/db4_bench_report" --json "$work/all.json" --html "$work/all.html" --markdown "$work/all.md" "${files[@]}" \
  >"$work/summary"
grep -q 'aim: 1.5 times RocksDB' "$work/summary" || fail "the summary lacks an aim"

# The shape, word for word that of docs/benchmarks.md.
jq -e --argjson programs ${#names[@]} '
  def exactly($names): (keys | sort) == ($names | sort);
  def figure: exactly(["median", "lowest", "highest"]) and all(.[]; type == "number")
    and .lowest <= .median and .median <= .highest;
  def aim: exactly(["text", "of", "bound", "met"]) and (.text | type == "string")
    and (.of == "ratio" or .of == "value") and (.bound | type == "number") and (.met | type == "boolean");
  def row: exactly(["what", "unit", "better", "subject", "db4", "peer", "ratio", "cpu_ratio", "aim"])
    and all(.what, .unit, .subject; type == "string" and length > 0)
    and (.better == "more" or .better == "less") and (.db4 | figure)
    and (.peer == null) == (.ratio == null)
    and (.peer == null or (.peer | (.name | type == "string") and (del(.name) | figure)))
    and (.ratio == null or (.ratio | figure)) and (.cpu_ratio == null or (.cpu_ratio | figure))
    and (.aim == null or (.aim | aim));
  def section: exactly(["title", "equal", "unequal", "rows"])
    and all(.title, .equal, .unequal; type == "string") and (.rows | length > 0 and all(row));
  def skipped: exactly(["peer", "reason"]) and all(.[]; type == "string");
  def program: exactly(["format", "program", "size", "rounds", "sections", "skipped", "seconds"])
    and .format == 1 and .size == "tiny" and .rounds >= 1 and .seconds > 0
    and (.sections | length > 0 and all(section)) and (.skipped | all(skipped));
  def machine: exactly(["cores", "processor", "memory_gib", "kernel", "load", "date", "db4", "compiler", "build",
                        "libraries"]) and all(.cores, .memory_gib, .load; type == "number")
    and all(.processor, .kernel, .date, .db4, .compiler, .build; type == "string") and (.libraries | type == "object");
  exactly(["format", "size", "seconds", "machine", "programs"]) and .format == 1 and .size == "tiny"
  and (.machine | machine) and (.programs | length == $programs and all(program))' "$work/all.json" >/dev/null ||
  fail "the JSON is not what docs/benchmarks.md says"

# What the aims are about is measured.
map=("read, 8 threads")
[ -z "$(jq '.skipped[] | select(.peer | startswith("tbb"))' "$work/hot_reads.json")" ] || map=()
for what in "${map[@]}" "write, 8 threads" "tiering looks, 100 due" "cold"; do
  jq -e --arg what "$what" '[.programs[].sections[].rows[] | select(.what == $what and .aim != null)] | length > 0' \
    "$work/all.json" >/dev/null || fail "no aim for '$what'"
done

rows=$(jq '[.programs[].sections[].rows[]] | length' "$work/all.json")
aims=$(jq '[.programs[].sections[].rows[] | select(.aim != null)] | length' "$work/all.json")
[ "$(grep -c '<tr><td' "$work/all.html")" -eq $((rows + aims)) ] || fail "the page lacks rows"
[ "$(grep -c '^| ' "$work/all.md")" -ge $((rows + aims)) ] || fail "the tables lack rows"
for need in 'name="viewport"' 'prefers-color-scheme: dark' '</html>'; do
  grep -q "$need" "$work/all.html" || fail "the page lacks $need"
done
! grep -Eq '<(script|link|img|iframe)|https?:|url\(|@import' "$work/all.html" || fail "the page asks for something"

# Text from elsewhere stays text.
jq '.skipped = [{"peer": "<script>alert(1)</script>", "reason": "a & \"b\" | c"}]' "$work/engines.json" >"$work/odd.json"
"$programs/db4_bench_report" --html "$work/odd.html" "$work/odd.json" >/dev/null
grep -q '&lt;script&gt;alert(1)&lt;/script&gt;: a &amp; &quot;b&quot; | c' "$work/odd.html" || fail "not escaped"
! grep -q '<script' "$work/odd.html" || fail "a script came through"

expect_usage() { code=0; "$@" >/dev/null 2>&1 || code=$?; [ "$code" -eq 2 ] || fail "'$*' ended with $code, not 2"; }
expect_usage "$programs/db4_bench_hot_reads" --no-such-option
