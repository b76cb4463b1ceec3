#!/usr/bin/env bash
# db4 export: what it writes is imported byte for byte, whatever the ids and bodies are.
#
#     tests/cli/export.sh PATH_OF_DB4
document=$(realpath "$(dirname "$0")/../../docs/import-export.md")
source "$(dirname "$0")/common.sh"

"$db4" init s --set hot.durability=process >/dev/null
export DB4_STORE=s
n=0
put() { # ID BODY FLAGS...: in collection c
  local id=$1
  printf '%s' "$2" >"body.$n"
  shift 2
  "$db4" put c "$id" "body.$n" "$@" >/dev/null
  ids[n]=$id
  n=$((n + 1))
}
long=$(head -c 1024 /dev/zero | tr '\0' x)
wide=$(for _ in $(seq 256); do printf '🦆'; done)
for id in ../up .. . .hidden a/b %2e %2F $'line\nbreak' $'\t\x01' '🦆' $'\u202eltr' 'שלום' "$long" "$wide" ' ' A a 'a.json' \
  '"' '\' 'a:b*c?'; do
  put "$id" '{"id": 1}'
done
for body in '{}' '[]' '""' 'null' ' {"a":1}' '{"a":1} ' '{ "a" :	1 }' $'{\n  "a": 1\r\n}\n' '{"a":1.0}' '{"a":-0}' \
  '{"a":1e300,"a":2}' '{"\u00e9":"\ud83e\udd86 \u0000"}' '{"body":1,"id":"x"}'; do
  put "body $n" "$body"
done
put broken-json '{nope' --bytes --content-type application/json
put text $'plain\ntext' --bytes --content-type text/plain
put empty '' --bytes
printf 'bin\0ary\377\n' >blob
"$db4" put c blob blob --bytes --content-type image/png >/dev/null
head -c 300000 /dev/urandom >blob2
"$db4" put 'other/../é' big blob2 --bytes --tier cold >/dev/null

# same STORE: it has the documents of s, byte for byte.
same() {
  local i
  for ((i = 0; i < n; ++i)); do
    "$db4" --store "$1" get c "${ids[i]}" | cmp - "body.$i" || fail "$1: the body of ${ids[i]} changed"
  done
  "$db4" --store "$1" get c blob | cmp - blob || fail "$1: blob changed"
  "$db4" --store "$1" get 'other/../é' big | cmp - blob2 || fail "$1: big changed"
  [ "$("$db4" --store "$1" ls c --json --limit 1000 | grep content_type)" = \
    "$("$db4" ls c --json --limit 1000 | grep content_type)" ] || fail "$1: types changed"
  [ "$(documents "$1" c)" = $((n + 1)) ] || fail "$1: there are other documents"
}
fresh() { rm -rf t && "$db4" init t >/dev/null; }

"$db4" tier run >/dev/null
before=$("$db4" ls c --json --limit 1000)
expect 0 "$db4" export --all -o all.jsonl --json; has "\"exported\":$((n + 2))"; has '"collections":2'
[ "$(head -1 all.jsonl)" = '{"db4_export":1}' ] || fail "no mark"
[ "$("$db4" ls c --json --limit 1000)" = "$before" ] || fail "an export counts as a use"
expect 0 "$db4" tier 'other/../é' big; has cold
fresh; expect 0 "$db4" import --store t all.jsonl; has "imported $((n + 2))"; same t
fresh; "$db4" export --all | "$db4" import --store t >/dev/null; same t
expect 0 "$db4" import --store t everything all.jsonl; expect 0 "$db4" --store t get everything big
expect 0 "$db4" export --all --folder out; has "exported $((n + 2))"
fresh; expect 0 "$db4" import --store t out; has "imported $((n + 2))"; same t
[ -z "$(find . -newer all.jsonl -type f -not -path './out/*' -not -path './s/*' -not -path './t/*')" ] ||
  fail "an export wrote outside its folder"
expect 3 "$db4" export --all --folder out; has "no empty folder"
cmp <("$db4" export --all) all.jsonl || fail "two exports differ"

# A folder's index may name nothing outside of it.
mkdir evil && ln -s / evil/root
for file in ../all.jsonl /etc/passwd root/etc/passwd a/../../all.jsonl; do
  printf '{"db4_export_folder":1}\n{"collection":"x","id":"y","content_type":"text/plain","file":"%s"}\n' "$file" \
    >evil/index.jsonl
  expect 2 "$db4" import evil; has "not in the folder"
done

# Choices, and plain lines.
printf '{"id":"a1","n": 1}\n{"id":2}\n{"id":"a3"}\n' | "$db4" import plain >/dev/null
expect 0 "$db4" export plain --plain; [ "$out" = $'{"id":2}\n{"id":"a1","n": 1}\n{"id":"a3"}' ] || fail "plain gave $out"
expect 0 "$db4" export plain --plain --prefix a --limit 1; [ "$out" = '{"id":"a1","n": 1}' ] || fail "choices gave $out"
"$db4" demote plain a3 >/dev/null
expect 0 "$db4" export plain --plain --tier cold; [ "$out" = '{"id":"a3"}' ] || fail "--tier gave $out"
expect 2 "$db4" export c --plain; has "cannot stand as a plain line"
expect 2 "$db4" export; has "--all"
expect 4 "$db4" export c nothing; has "no collection nothing"

# What cannot be written whole is not there.
expect 2 "$db4" export c --plain -o partly.jsonl
expect 1 "$db4" export --all -o no/such/folder/file
[ ! -e partly.jsonl ] && [ ! -e partly.jsonl.part ] || fail "half an export is left"
if [ -w /dev/full ]; then
  expect 1 bash -c '"$0" export --all >/dev/full' "$db4"; has "cannot write to standard output"
fi
expect 1 bash -c '"$0" export --all | head -c 10 >/dev/null; exit "${PIPESTATUS[0]}"' "$db4"

# A page of documents and more, of which some are cold: in the order of their ids, each once.
seq 0 1499 | sed 's/.*/{"id":"n&","n":&}/' | "$db4" import many >/dev/null
"$db4" tier run >/dev/null
for i in 7 8 9 300 301 1400; do "$db4" demote many n$i >/dev/null; done
"$db4" export many --plain | cmp - <(seq 0 1499 | sed 's/.*/{"id":"n&","n":&}/' | sort -t'"' -k4,4) ||
  fail "the order is another"

# What lies together in cold is read together: one read a document would take 40 seconds.
seq 0 399 | sed 's/.*/{"id":"n&","n":&}/' | "$db4" import together >/dev/null
expect 0 "$db4" --set tiering.hot_threshold=1ms --set tiering.warm_threshold=1ms \
  --set tiering.access_count_threshold=1000 tier run --quiet
expect 0 "$db4" ls together --tier hot --ids; [ -z "$out" ] || fail "still hot: $out"
expect 0 timeout 20 "$db4" --set cold.max_reads_per_second=10 export together -o together.jsonl
[ "$(wc -l <together.jsonl)" = 401 ] || fail "not all of them"

# Any size into a folder; not on a line.
head -c 67108865 /dev/zero >huge.bin
"$db4" upload huge '../a' huge.bin --content-type image/png --quiet >/dev/null
"$db4" upload huge z huge.bin --quiet >/dev/null
echo '{}' | "$db4" put huge b >/dev/null
expect 0 "$db4" export huge --folder huge; has "exported 3 documents of 128.0 MiB"
[ "$(wc -l <huge/index.jsonl)" = 4 ] || fail "the index has $(cat huge/index.jsonl)"
grep -q '"id":"../a","content_type":"image/png"' huge/index.jsonl || fail "the index has $(cat huge/index.jsonl)"
[ "$(find huge/documents -type f | wc -l)" = 3 ] || fail "there is $(find huge)"
for file in huge/documents/huge/*a.png huge/documents/huge/z*; do cmp "$file" huge.bin; done
expect 2 "$db4" export huge; has "64 MiB"; has "--folder"
rm -r huge huge.bin
"$db4" rm huge '../a' >/dev/null; "$db4" rm huge z >/dev/null

# Out of the process that holds the store.
mkfifo pipe
"$db4" import held pipe --batch 1 >/dev/null &
holder=$!
exec 3>pipe
until_true [ -S s/hot/live.sock ]
cmp <("$db4" export c 'other/../é') all.jsonl || fail "the export of a live store differs"
exec 3>&-
wait "$holder"
# The examples of the document run, one after the other.
mkdir examples bin
ln -s "$db4" bin/db4
sed -n '/^```sh$/,/^```$/p' "$document" | grep -v '^```' >examples.sh
[ -s examples.sh ] || fail "the document has no examples"
(cd examples && unset DB4_STORE && PATH="$work/bin:$PATH" && expect 0 bash -eo pipefail "$work/examples.sh" &&
  has "imported 4 documents" && has "skipped 1 bad record" && has "left 1 that was there") || exit 1
echo "exports give back what was there"
