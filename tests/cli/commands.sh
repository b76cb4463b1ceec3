#!/usr/bin/env bash
# Runs the real db4 through its commands and checks what they print and the codes they end with.
#
#     tests/cli/commands.sh PATH_OF_DB4
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
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
expect 0 "$db4" get users 1 --meta; has '"body": {'; has '"served_from": "hot"'
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
expect 2 "$db4" import things lines; has "line 3 (from byte 34)"; has "valid JSON at byte 35"; has "2 documents were"
expect 0 "$db4" import things lines --skip-bad; has "skipped 1 bad record"
expect 0 "$db4" get things z; has '"n":3'
expect 2 "$db4" import things <<<'{"n":1}'; has "--id-field"
expect 2 "$db4" import things <<<'{"id":[1]}'; has "neither text nor"
# What the store itself refuses costs its own line alone, not its batch.
printf '{"id":"k1"}\n{"id":"%s"}\n{"id":"k2"}\n' "$(head -c 2000 /dev/zero | tr '\0' x)" >long
expect 2 "$db4" import kept long; has "line 2"; has "1 document was"
expect 0 "$db4" import kept long --skip-bad --json; has '"imported":2'; has '"skipped":1'
expect 0 "$db4" get kept k2
printf '{"kind":"cats","id":7}\n{"kind":"a/b","id":"8"}\r\n' >mixed
expect 0 "$db4" import --collection-field kind mixed; has "imported 2"
expect 0 "$db4" get a/b 8; [[ "$out" != *$'\r'* ]] || fail "the line's end was stored"
expect 0 "$db4" get cats 7
expect 2 "$db4" import; has "COLLECTION"
expect 0 "$db4" ls; has things

expect 0 "$db4" demote users 1; has "moved to cold"
expect 0 "$db4" stat users 1; has "cold"
expect 0 "$db4" tier users 1; [ "$out" = cold ] || fail "tier gave $out"
expect 4 "$db4" tier users nobody
expect 2 "$db4" tier; has "run"
expect 4 "$db4" demote users nobody
expect 0 "$db4" explain users 1; has "by hand"
expect 2 "$db4" demote users 1 --to hot
expect 0 "$db4" promote users 1; has "moved to hot"
expect 0 "$db4" tier run --dry-run; has "would demote 0"
expect 0 "$db4" tier run --max-operations 5 --max-bytes 1MiB --json; has '"demoted": 0'
expect 0 "$db4" tier plan --json; has '"dry_run": true'
expect 0 "$db4" stat; has "cold"; has 'a month: $0.0'
expect 0 "$db4" put blobs b --bytes --content-type image/x-none s/db4.toml
"$db4" get blobs b | cmp - s/db4.toml || fail "bytes read back changed"
if [ -w /dev/full ]; then
  expect 1 bash -c '"$0" get blobs b >/dev/full' "$db4"; has "standard output"
fi
# Devices, pipes and links are written to, never replaced; who may read a file stays as it was.
mkfifo out.pipe
cat out.pipe >out.read &
reader=$!
expect 0 "$db4" get blobs b --output out.pipe
wait "$reader"
[ -p out.pipe ] && cmp -s out.read s/db4.toml || fail "a pipe was replaced, or got something else"
: >private; chmod 600 private; ln -s private link
expect 0 "$db4" get blobs b --output link
[ -L link ] && cmp -s private s/db4.toml && [ "$(stat -c %a private)" = 600 ] || fail "a link or a mode was replaced"
if [ -w /dev/full ]; then
  expect 1 "$db4" get blobs b --output /dev/full; has "No space left"
  [ -c /dev/full ] || fail "a device was replaced"
fi
# Waiting for standard input, it heeds a signal.
mkfifo in.pipe
"$db4" put users waits <in.pipe >/dev/null 2>&1 &
waiting=$!
exec 3>in.pipe
for _ in $(seq 100); do grep -q ' db4$\|^db4' "/proc/$waiting/comm" && break; read -rt 0.1 <> <(:) || true; done
read -rt 0.3 <> <(:) || true
kill -TERM "$waiting"
code=0; wait "$waiting" || code=$?
exec 3>&-
# 143: the signal came before the program had begun.
[ "$code" -eq 130 ] || [ "$code" -eq 143 ] || fail "put ended with $code on a signal"
expect 0 "$db4" put users text --content-type text/plain <<<"no JSON"
expect 2 "$db4" put users 1 --if-version -1 <<<'{}'; has "no version"
expect 2 "$db4" import lines.jsonl </dev/null; has "no collection is named"
expect 0 "$db4" rm users 1
expect 4 "$db4" rm users 1

# settings LINE...: a db4.toml of these lines.
cp s/db4.toml kept.toml
settings() { printf '%s\n' "$@" >s/db4.toml; }
settings '[hot]' 'max_sise = "1MiB"'
expect 2 "$db4" ls; has "db4.toml:2: there is no setting hot.max_sise; did you mean hot.max_size?"
settings '[hot]' '' 'max_size = "1e400MiB"'
expect 2 "$db4" ls; has "db4.toml:3: hot.max_size"
settings '[tiering]' 'warm_threshold = "1e9d"'
expect 2 "$db4" ls; has "too much"
settings '[tiering]' 'access_count_threshold = "many"'
expect 2 "$db4" ls; has "no number"
settings '[hot]' 'max_size = 1048576' '[cost]' 'hot_per_gb_month = 0.2'
expect 0 "$db4" ls
cp kept.toml s/db4.toml
(cd s && unset DB4_STORE && expect 0 "$db4" ls && has things)
(export DB4_STORE=made && expect 0 "$db4" init && [ -s made/db4.toml ]) || fail "init does not use DB4_STORE"
expect 2 "$db4" ls --store elsewhere; has "no db4.toml"

# Another process holds the store: it is asked; where it does not listen, told who it is.
"$db4" init --store held --set live.enabled=false >/dev/null
mkfifo pipe
"$db4" --store held import things pipe --batch 1 >/dev/null &
holder=$!
exec 3>pipe
printf '{"id":"1"}\n' >&3
for _ in $(seq 100); do [ -s held/hot/LOCK ] && break; read -rt 0.1 <> <(:) || true; done
expect 5 "$db4" --store held --wait 0s ls; has "$holder"
exec 3>&-
wait "$holder"
sed -i 's/^enabled = .*/enabled = true/' held/db4.toml
"$db4" --store held import things pipe --batch 1 >/dev/null &
holder=$!
exec 3>pipe
for _ in $(seq 100); do [ -S held/hot/live.sock ] && break; read -rt 0.1 <> <(:) || true; done
expect 0 "$db4" --store held get things 1; has '{"id":"1"}'
expect 0 "$db4" --store held stat; has "held by process $holder"
expect 0 "$db4" --store held report --output held.html; grep -q "<h1>.*held" held.html || fail "no report of a held store"
exec 3>&-
wait "$holder"

printf '{"id":"%s","text":"some text that is read now and then"}\n' $(seq 300) >corpus.jsonl
demo=("$db4" demo --input corpus.jsonl --days 2 --reads 20 --writes 2)
expect 0 "${demo[@]}" --dir demo --json
has '"read_back": 300'
expect 3 "${demo[@]}" --dir demo
expect 0 "${demo[@]}" --dir demo --replace --documents 100; has "100 of 100 documents read back byte for byte"
expect 0 "$db4" --store demo stat; has "objects"
expect 0 "$db4" --store demo ls corpus --limit 1000 --json
[ "$(grep -c '"version"' <<<"$out")" -eq 100 ] || fail "the demo's store has other documents"
# Two days of 20 reads an hour: the demo's check is no use of the documents, but for the one there is room to track.
reads=$(sed -nE 's/.*"access_count": ([0-9]+).*/\1/p' <<<"$out" | awk '{ sum += $1 } END { print sum }')
[ "$reads" -ge 960 ] && [ "$reads" -le 961 ] || fail "$reads reads are remembered"
expect 0 "$db4" --store demo report --output demo/again.html; has "demo/again.html"
grep -q "<h1>.*demo" demo/again.html && [ -s demo/report.html ] || fail "no report, or not of this store"
expect 0 "$db4" --store demo report --output - --json; has "</html>"
expect 1 "$db4" --store demo report --output no/such/folder.html; has "check its folder"
expect 3 "${demo[@]}" --dir s --replace; has "was not made by a demo"
expect 0 "$db4" ls; has things
echo "the commands do what they say"
