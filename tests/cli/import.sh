#!/usr/bin/env bash
# db4 import: every form, every rule, bad input, and imports that are broken off.
#
#     tests/cli/import.sh PATH_OF_DB4
#
# DB4_TEST_IMPORT: documents in the import that is killed (500000).
source "$(dirname "$0")/common.sh"

"$db4" init s --set hot.durability=process >/dev/null
export DB4_STORE=s
body() { "$db4" get "$1" "$2"; }

# journal_has PATTERN: in what is kept of an import under way.
journal_has() { grep -qsE "$1" s/imports/*.json; }

# Forms.
printf '{"id":"a","n":1}\n\n  {"id":2} \r\n' >lines.jsonl
expect 0 "$db4" import l lines.jsonl --json; has '"imported":2'; has '"resumed_at":null'
[ "$(body l 2)" = '  {"id":2} ' ] || fail "the line is not the body"
printf ' [ {"id": "a,]", "x": [1, "]"]} ,\n{"id":"b"},{"id":3}\n]\n' >array
expect 0 "$db4" import j array; has "imported 3"
[ "$(body j 'a,]')" = '{"id": "a,]", "x": [1, "]"]}' ] || fail "an element changed"
printf '[]' | "$db4" import j >/dev/null || fail "an empty array"
expect 0 "$db4" import w --format json --generate-ids <<<'[1, "two", null, [3]]'; has "imported 4"
[ "$("$db4" ls w --ids | tr '\0' '\n' | while read -r id; do body w "$id"; echo; done)" = $'1\n"two"\nnull\n[3]' ] ||
  fail "generated ids are not in the order of the records"
[[ "$("$db4" ls w --ids --limit 1 | tr -d '\0')" =~ ^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$ ]] ||
  fail "a generated id is no UUID of version 7"
printf 'id,name,n\r\n1,"Ann ""A"" Lee",1.50\r\n2,"two\nlines, one field",7\r\n' >t.csv
expect 0 "$db4" import c t.csv; has "imported 2"
[ "$(body c 1)" = '{"id":"1","name":"Ann \"A\" Lee","n":"1.50"}' ] || fail "CSV gave $(body c 1)"
[ "$(body c 2)" = '{"id":"2","name":"two\nlines, one field","n":"7"}' ] || fail "CSV gave $(body c 2)"
printf 'id;a;b;c;d;e\n007;100000;-0.5;1e400;1.50;\n' >n.txt
expect 0 "$db4" import c n.txt --format csv --csv-numbers --csv-separator ';'
[ "$(body c 007)" = '{"id":"007","a":100000,"b":-0.5,"c":"1e400","d":"1.50","e":""}' ] || fail "CSV gave $(body c 007)"
mkdir -p folder/sub
printf 'PNG\0\377' >folder/sub/cat.PNG
printf '{"x": 1}' >folder/.hidden.json
ln -s /etc folder/elsewhere
expect 0 "$db4" import f folder; has "imported 2"
"$db4" get f sub/cat.PNG | cmp - folder/sub/cat.PNG
expect 0 "$db4" stat f sub/cat.PNG; has image/png
expect 0 "$db4" import one --format files folder/sub/cat.PNG; expect 0 "$db4" stat one cat.PNG
expect 0 "$db4" import l lines.jsonl array --json; has '"imported":5'
expect 0 "$db4" import --collection-field kind <<<'{"kind":"by-field","id":1,"id":2}'
expect 0 "$db4" get by-field 2
expect 0 "$db4" import tiers --tier cold <<<'{"id":1}'
expect 0 "$db4" tier tiers 1; has cold

# Rules for ids that are taken.
printf '{"id":1,"v":"old"}\n{"id":2,"v":"old"}\n' | "$db4" import r >/dev/null
printf '{"id":0,"v":"new"}\n{"id":1,"v":"new"}\n{"id":3,"v":"new"}\n{"id":3,"v":"newer"}\n' >taken.jsonl
expect 0 "$db4" import r taken.jsonl --on-conflict skip --json; has '"imported":2'; has '"conflicts":2'
[ "$(body r 1)$(body r 3)" = '{"id":1,"v":"old"}{"id":3,"v":"new"}' ] || fail "skip wrote over something"
"$db4" rm r 0 >/dev/null; "$db4" rm r 3 >/dev/null
expect 3 "$db4" import r taken.jsonl --on-conflict fail; has "line 2 (from byte 19)"; has "1 document was"
expect 4 "$db4" get r 3
expect 0 "$db4" import r taken.jsonl --json --restart; has '"imported":4'; has '"conflicts":0'
[ "$(body r 3)" = '{"id":3,"v":"newer"}' ] || fail "the later of two lines does not hold"
expect 2 "$db4" import r taken.jsonl --on-conflict ask

# Bad input: where it is, and what was imported before.
printf '{"id":1}\n{"id":2,}\n{"id":3}\n' >bad.jsonl
expect 2 "$db4" import b bad.jsonl; has "line 2 (from byte 9)"; has "no valid JSON at byte 17"; has "1 document was"
expect 0 "$db4" import b bad.jsonl --skip-bad --json; has '"imported":2'; has '"skipped":1'
bad() { # TEXT WHAT-IS-SAID FLAGS...
  local text=$1 said=$2
  shift 2
  expect 2 "$db4" import b --restart "$@" < <(printf "$text")
  has "$said"
}
bad '{"id":"nul\\0"}' "line 1 (from byte 0)"
bad '{"id":"a","t":"\xff"}' "line 1 (from byte 0)"
bad '{"id":"a","t":'"$(printf '[%.0s' $(seq 129))$(printf ']%.0s' $(seq 129))"'}' "deep"
bad '{"id":{}}' "neither text nor"
bad '{"id":""}' "the id is empty"
bad '[{"id":1} {"id":2}]' "element 2 (from byte 10): ',' or ']'"
bad '[{"id":1},]' "an element of the array is expected"
bad '[{"id":1}' "element 2 (from byte 9)"
bad '[{"id":1}] 5' "behind the end"
bad '[{"id":1},{"id":' "ends inside"
bad 'id,x\n1,"open\n2,3\n' "line 2 (from byte 5): a quoted field" --format csv
bad 'id,x\n1,a\n2\n' "line 3 (from byte 9): it has 1 fields" --format csv
bad 'id,x\n1,a"b\n' "a quote stands inside" --format csv
bad 'id,id\n' "comes twice" --format csv
bad '{"db4_export":2}\n' "newer"
bad '{"db4_export":1}\n{"collection":"b","id":"x"}\n' "content_type is missing"
expect 0 "$db4" import b --skip-bad --format csv --json < <(printf 'id\n1\n2,3\n4\n'); has '"imported":2'; has '"skipped":1'
{ printf '{"id":1,"t":"'; head -c 70000000 /dev/zero | tr '\0' x; printf '"}\n{"id":9}\n'; } >huge.jsonl
expect 2 "$db4" import b huge.jsonl; has "line 1"
expect 0 "$db4" import b huge.jsonl --skip-bad --json; has '"imported":1'; has '"skipped":1'
rm huge.jsonl
expect 2 "$db4" import b nowhere.jsonl; has "cannot read"
expect 2 "$db4" import --generate-ids </dev/null; has "no collection"
rm -r s/imports  # of what could not be imported
expect 2 "$db4" import b folder --format csv; has "is a folder"

# Broken off by a kill: the same command goes on, nothing is missing and nothing is there twice.
count=${DB4_TEST_IMPORT:-500000}
seq "$count" | sed 's/.*/{"number":&,"text":"a small document of its own"}/' >many.jsonl
for rule in overwrite fail; do
  command=("$db4" import "k-$rule" many.jsonl --generate-ids --on-conflict "$rule" --json)
  "${command[@]}" >/dev/null 2>&1 &
  import=$!
  until_true journal_has '"records":[0-9]{4}'
  kill -KILL "$import"
  wait "$import" 2>/dev/null && fail "the import was over before it was killed"
  expect 0 "${command[@]}"; has "goes on behind record"; has "\"imported\":$count"; has '"conflicts":0'
  [ "$(documents s "k-$rule")" = "$count" ] || fail "$(documents s "k-$rule") documents instead of $count"
  [ ! -e s/imports ] || fail "the journal is left over"
  count=$((count < 20000 ? count : 20000))
  head -n "$count" many.jsonl >fewer.jsonl && mv fewer.jsonl many.jsonl
done

# By Ctrl-C; and an input that is another one then.
mkfifo pipe
"$db4" import i pipe --batch 10 --json >summary 2>said &
import=$!
exec 3>pipe
seq 25 | sed 's/.*/{"id":&}/' >&3
until_true journal_has '"records":20'
kill -INT "$import"
code=0; wait "$import" || code=$?
exec 3>&-
[ "$code" -eq 130 ] || fail "an interrupted import ended with $code"
# The last five may not have been read yet: two batches of ten were.
out=$(cat summary said); has '"imported":2'; has '"interrupted":true'; has "with --resume, and it goes on from here"
# What comes out of a pipe the next time is something else.
"$db4" import i pipe --json >summary 2>said &
import=$!
echo '{"id":"other"}' >pipe
wait "$import" || fail "an import from a pipe after one that was broken off"
out=$(cat summary said); has '"imported":1,'; has '"resumed_at":null'
expect 0 "$db4" get i other
seq 40 | sed 's/.*/{"id":&}/' >numbers
expect 0 "$db4" import i --resume numbers; has "imported 40"
"$db4" import i --batch 10 --json < <(cat numbers; echo '{bad') >summary 2>said && fail "bad line"
expect 0 bash -c 'cat numbers | "$0" import i --batch 10 --resume' "$db4"; has "goes on behind record 40"; has "imported 40"
printf '{"id":1}\n{bad\n' >mended.jsonl
expect 2 "$db4" import m mended.jsonl
expect 2 "$db4" import m mended.jsonl; has "goes on behind record 1"; has "line 2 (from byte 9)"
printf '{"id":1}\n{"id":22}\n' >mended.jsonl
expect 0 "$db4" import m mended.jsonl; has "what it reads has changed"; has "imported 2"
# What the run before has written itself is no conflict.
printf '{"id":2}\n' | "$db4" import own >/dev/null
printf '{"id":1}\n{"id":2,"v":2}\n{"id":3}\n' >own.jsonl
expect 3 "$db4" import own own.jsonl --on-conflict fail; has "line 2"; has "1 document was"
expect 0 "$db4" import own own.jsonl --on-conflict skip --json; has '"imported":2'; has '"conflicts":1'

# Through the process that holds the store, which goes on listening.
"$db4" import held pipe --batch 1 >/dev/null &
holder=$!
exec 3>pipe
until_true [ -S s/hot/live.sock ]
expect 0 "$db4" import through numbers --json; has '"imported":40'
expect 0 "$db4" import through numbers --on-conflict skip --json; has '"conflicts":40'
exec 3>&-
wait "$holder"
[ "$(documents s through)" = 40 ] || fail "the import through the live store lost documents"

# Progress is JSON where nobody looks on, and can be switched off.
slowly() { # FLAGS...: an import that takes more than two seconds
  "$db4" import p pipe --batch 1 "$@" >/dev/null 2>said &
  import=$!
  exec 3>pipe
  for i in $(seq 50); do echo "{\"id\":$i}" >&3; read -rt 0.05 <> <(:) || true; done
  exec 3>&-
  wait "$import"
}
slowly
out=$(cat said); has '{"bytes":'; has '"event":"progress"'; has '"operation":"import"'
slowly --quiet
[ ! -s said ] || fail "--quiet says $(cat said)"
echo "imports do what they say"
