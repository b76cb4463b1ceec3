#!/usr/bin/env bash
# Runs the real db4 through its commands and checks what they print and the codes they end with.
#
#     tests/cli/commands.sh PATH_OF_DB4
set -euo pipefail

db4=$(realpath "$1")
readme_path=$(realpath "$(dirname "$0")/../../README.md")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset DB4_STORE

fail() { echo "FAILED: $*" >&2; exit 1; }
# expect CODE COMMAND...: ends with that code; what it printed is in $out.
expect() {
  local wanted=$1 code=0
  shift
  out=$("$@" 2>&1) || code=$?
  [ "$code" -eq "$wanted" ] || fail "'$*' ended with $code instead of $wanted: $out"
}
has() { [[ "$out" == *"$1"* ]] || fail "no '$1' in: $out"; }

expect 2 "$db4"
expect 0 "$db4" --help; has "Exit codes"
expect 0 "$db4" --version; has "db4 "
expect 2 "$db4" get a b; has "db4 init"
expect 0 "$db4" init --store s --max-size 50MiB
grep -q 'max_size = "50MiB"' s/db4.toml || fail "init did not keep --max-size"
expect 3 "$db4" init --store s
export DB4_STORE=s

printf '{"name": "Alice"}' | "$db4" put users 1 | grep -q "version 1 in hot" || fail "put"
expect 0 "$db4" get users 1
[ "$out" = '{"name": "Alice"}' ] || fail "get gave $out"
expect 0 "$db4" get users 1 --meta; has '"_meta"'
expect 4 "$db4" get users nobody; has "no document"
printf '{"a": ' >bad.json
expect 2 "$db4" put users 2 bad.json; has "byte"
printf '{}' >ok.json
expect 3 "$db4" put users 1 ok.json --if-version 7; has "stands at 1"
expect 0 "$db4" put users 1 ok.json --if-version 1
expect 2 "$db4" put users 1 ok.json --tier lukewarm; has "hot, warm or cold"

# Ids that would break a path, a table or a terminal.
for id in ../up 'a/b' '%2e' $'line\nbreak' '🦆' A a; do
  printf '{"id": 1}' | "$db4" put strange "$id" >/dev/null
  expect 0 "$db4" get strange "$id"; has '{"id": 1}'
done
expect 0 "$db4" ls strange; has 'line\nbreak'
[ "$("$db4" ls strange --json | grep -c '"version"')" -eq 7 ] || fail "seven distinct ids"

printf '{"id":"x","n":1}\n{"id":"y","n":2}\nnot json\n{"id":"z","n":3}\n' >lines
expect 2 "$db4" import things lines; has "line 3"
expect 0 "$db4" import things lines --skip-bad; has "skipped 1 lines"
expect 0 "$db4" get things z; has '"n":3'
expect 2 "$db4" import things <<<'{"n":1}'; has "--id-field"
expect 0 "$db4" ls; has things

expect 0 "$db4" demote users 1; has "moved to cold"
expect 0 "$db4" stat users 1; has "cold"
expect 0 "$db4" explain users 1; has "by hand"
expect 2 "$db4" demote users 1 --to hot
expect 0 "$db4" promote users 1; has "moved to hot"
expect 0 "$db4" tier run --dry-run; has "would demote 0"
expect 0 "$db4" tier run --max-operations 5 --max-bytes 1MiB --json; has '"demoted": 0'
expect 0 "$db4" stat; has "cold"
expect 0 "$db4" rm users 1
expect 4 "$db4" rm users 1

printf '[hot]\nmax_sise = "1MiB"\n' >>s/db4.toml
expect 2 "$db4" ls; has "db4.toml:"
expect 2 "$db4" ls --store elsewhere; has "no db4.toml"

# Another process holds the store: told who it is.
"$db4" init --store held >/dev/null
mkfifo pipe
"$db4" --store held import things pipe --batch 1 >/dev/null &
holder=$!
exec 3>pipe
printf '{"id":"1"}\n' >&3
for _ in $(seq 100); do [ -s held/hot/LOCK ] && break; read -rt 0.1 <> <(:) || true; done
expect 5 "$db4" --store held ls; has "$holder"
exec 3>&-
wait "$holder"

printf '{"id":"%s","text":"some text that is read now and then"}\n' $(seq 300) >corpus.jsonl
expect 0 "$db4" demo --dir demo --input corpus.jsonl --days 2 --reads 20 --writes 2 --json
has '"read_back": 300'
expect 3 "$db4" demo --dir demo --input corpus.jsonl
expect 0 "$db4" --store demo stat; has "objects"
# The README's commands, as they stand there.
unset DB4_STORE
printf '{"id":"1001","total":12}\n{"id":"1002","total":7}\n' >orders.jsonl
PATH="$(dirname "$db4"):$PATH"
awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside && /^db4 /' "$readme_path" >readme.sh
grep -q explain readme.sh || fail "the README has no commands"
expect 0 bash -euo pipefail readme.sh; has '"total":12'
echo "the commands do what they say"
