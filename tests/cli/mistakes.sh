#!/usr/bin/env bash
# What people get wrong: they are told so, in words that help, and nothing is done behind their backs.
#
#     tests/cli/mistakes.sh PATH_OF_DB4
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$db4" init s --set hot.durability=process >/dev/null
export DB4_STORE=s
echo '{"n": 1}' >one.json
"$db4" put orders 1 one.json >/dev/null
"$db4" put orders 2 one.json >/dev/null

# What is not there: in words, or as JSON and nothing else.
for command in get stat explain tier promote demote rm cp; do
  target=()
  if [ "$command" = cp ]; then target=(other); fi
  expect 4 "$db4" "$command" orders nobody "${target[@]}"; has "no document orders/nobody"
  "$db4" "$command" orders nobody "${target[@]}" --json >stdout 2>stderr && fail "$command found nobody"
  [ ! -s stderr ] || fail "$command --json says: $(cat stderr)"
  grep -qE '"(found|removed)": false' stdout || fail "$command --json prints: $(cat stdout)"
done
expect 4 "$db4" ls ordres; has "no collection ordres; did you mean orders?"
expect 4 "$db4" du nope; has 'no collection nope; `db4 ls` lists them'
expect 4 "$db4" export ordres; has "did you mean orders?"
expect 4 "$db4" ls nope --json; has '"documents": []'; lacks "no collection"
expect 4 "$db4" ls nope --ids; has "no collection"
expect 0 "$db4" ls orders --prefix 9
expect 0 "$db4" ls orders --cursor 2
expect 0 "$db4" ls orders --cursor 1; has "  2    hot"; lacks "  1    hot"

# Options that would have no effect.
for option in "--prefix 1" "--limit 5" "--cursor 1" "--tier hot" "--ids"; do
  # shellcheck disable=SC2086
  expect 2 "$db4" ls $option; has "${option%% *} needs COLLECTION too"
done
expect 2 "$db4" du --prefix 1; has "--prefix needs COLLECTION too"
expect 2 "$db4" ls orders --ids --json; has "--ids does not go with --json"
expect 2 "$db4" cp orders 1 orders; has "onto itself"
expect 2 "$db4" cp orders 1 orders 1 --to-store ./s/; has "onto itself"
expect 0 "$db4" stat orders 1; has "version   1"
"$db4" init other >/dev/null
expect 0 "$db4" cp orders 1 orders --to-store other
mkfifo pipe
start "$db4" import orders pipe --batch 1 >/dev/null
exec 3>pipe
until_true [ -S s/hot/live.sock ]
expect 2 "$db4" --set hot.max_size=1MiB put orders 3 one.json; has "--set has no effect there"
expect 2 "$db4" --set hot.max_size=1MiB top --once; has "--set has no effect there"
expect 4 "$db4" get orders 3
exec 3>&-
wait "$started_pid"
expect 0 "$db4" --set hot.max_size=1MiB put orders 3 one.json

# Names that are empty come of variables that are not set.
expect 2 "$db4" init ''; has "folder's name is empty"
expect 2 "$db4" --store '' ls; has "folder's name is empty"
[ ! -e db4.toml ] || fail "init '' made a store here"

# A store without settings is adopted, and that is said; what cannot be opened leaves no settings behind.
rm other/db4.toml
expect 0 "$db4" init other; has "store without settings in other, with 1 document:"
rm other/db4.toml
expect 2 "$db4" init other --set hot.type=sqlite
[ ! -e other/db4.toml ] || fail "a store that cannot be opened has settings now"
expect 0 "$db4" init other --json; has '"adopted": true'; has '"documents": 1'

# Wrong words get advice of their own.
expect 2 "$db4" --wait x ls; has "--wait: 'x' is no duration"; has 5min; lacks 50MiB
expect 2 "$db4" --wait 5MiB ls; has "unknown unit"; has min; lacks "KiB"
expect 2 "$db4" top --interval soon; has "--interval: 'soon' is no duration"
expect 2 "$db4" tier run --max-bytes some; has "--max-bytes: 'some' is no size"; has 50MiB
expect 2 "$db4" man nope; lacks "did you mean"
expect 2 "$db4" man tpo; has "did you mean top?"
expect 2 "$db4" --set live.max_clients=0 put orders 1 one.json; has "live.max_clients"; has "live.enabled = false"
expect 2 "$db4" put orders 4 - <<<'{"n": 1e400}'; has "a number is out of range"; has "byte offset 10"; lacks "not valid JSON"
expect 2 "$db4" import orders - <<<'{"id": 7, "n": 1e400}'; has "number is out of range"
expect 2 "$db4" import orders - <<<'{"id": 7, "n": }'; has "no valid JSON at byte 15"

# Help says what is so, and is not broken in the middle of a sentence.
expect 0 "$db4" rm --help; has "Only if it stands at this version"; lacks "it is new"
expect 0 "$db4" put --help; has "0: only if it is new"; has "--json, --quiet, --set"
for command in import export; do
  short=$("$db4" $command --help | awk -v RS= 'NR == 3' | sed '$d' | grep -E '^.{0,60}$' || true)
  [ -z "$short" ] || fail "the help of $command breaks off in '$short'"
done

# One is one.
expect 0 "$db4" import plural - <<<'{"id":1}'; has "imported 1 document"; lacks documents
expect 0 "$db4" import plural --on-conflict skip - <<<'{"id":1}'; has "imported 0 documents, left 1 that was there"
expect 0 "$db4" export plural -o plural.jsonl; has "exported 1 document of"

# A pin overrules what would be due; an interrupted run is not told to be asked for less.
expect 0 "$db4" explain orders 1; has "  due  "
"$db4" pin orders 1 --tier hot >/dev/null
expect 0 "$db4" explain orders 1; has "pinned"; lacks "  due  "

# An import ends at the line that ends it, also where a batch has several collections.
lines() { printf '{"kind":"%s","id":"%s"}\n' "$@"; }
"$db4" import z - <<<'{"id":"taken"}' >/dev/null
lines b 1 z free z taken a behind b behind >mixed.jsonl
expect 3 "$db4" import --collection-field kind --on-conflict fail mixed.jsonl; has "line 3"; has "2 documents were imported"
expect 0 "$db4" get b 1
expect 0 "$db4" get z free
for key in "a behind" "b behind"; do
  # shellcheck disable=SC2086
  expect 4 "$db4" get $key
done
{ lines b 2; lines a "$(head -c 2000 /dev/zero | tr '\0' x)"; lines a late b 2; } >mixed2.jsonl
expect 2 "$db4" import --collection-field kind mixed2.jsonl; has "line 2"; has "1 document was imported"
expect 0 "$db4" get b 2; [ "$out" = '{"kind":"b","id":"2"}' ] || fail "the line before is not there: $out"
expect 4 "$db4" get a late
expect 0 "$db4" import --collection-field kind mixed2.jsonl --skip-bad; has "skipped 1 bad record"
expect 0 "$db4" get a late

# An export into a folder that was killed: it is no export yet, and the same command begins it anew.
seq 20000 | sed 's/.*/{"id":&}/' | "$db4" import many >/dev/null
"$db4" export many --folder out >/dev/null 2>&1 &
export=$!
until_true [ -d out/documents/many ]
kill -KILL "$export"
wait "$export" 2>/dev/null && fail "the export was over before it was killed"
[ ! -e out/index.jsonl ] || fail "the export was over before it was killed: this tests nothing"
expect 2 "$db4" import copy out; has "an export that was not finished"
expect 2 "$db4" import out; has "an export that was not finished"
expect 0 "$db4" export many --folder out; has "exported 20,000 documents"
[ "$(ls -A out | xargs)" = "documents index.jsonl" ] || fail "left over: $(ls -A out)"
expect 0 "$db4" import copy out; has "imported 20,000"
mkdir mine && echo precious >mine/export.unfinished && mkdir mine/documents
expect 3 "$db4" export many --folder mine; has "no empty folder"
[ -d mine/documents ] || fail "a folder that is nobody's export was emptied"

# What may not be read is named.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
  chmod 755 "$work"
  someone() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
  if someone test -x "$db4"; then
    mkdir theirs && chown 65534:65534 theirs
    someone "$db4" init theirs >/dev/null
    chmod 000 theirs/db4.toml
    expect 1 someone "$db4" --store theirs ls; has "cannot read theirs/db4.toml: Permission denied"
    chmod 600 theirs/db4.toml; chmod 000 theirs/hot
    expect 1 someone "$db4" --store theirs ls; has "theirs/hot: Permission denied"; lacks live.sock
  else
    echo "skipped: files that may not be read, another user cannot run db4 where it is"
  fi
elif [ "$(id -u)" -ne 0 ]; then
  chmod 000 other/db4.toml
  expect 1 "$db4" --store other ls; has "cannot read other/db4.toml: Permission denied"
  chmod 600 other/db4.toml; chmod 000 other/hot
  expect 1 "$db4" --store other ls; has "other/hot: Permission denied"; lacks live.sock
  chmod 700 other/hot
else
  echo "skipped: files that may not be read, there is no setpriv to become another user"
fi
echo "mistakes are told"
