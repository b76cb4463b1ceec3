#!/usr/bin/env bash
# What --json prints has exactly the members that docs/cli-json.md lists.
#
#     tests/cli/json.sh PATH_OF_DB4
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if ! command -v python3 >/dev/null; then
  echo "skipped: there is no python3 to read JSON"
  exit 77
fi
document=$source_folder/docs/cli-json.md
held=() wanted=0
# holds HEADING ARGUMENT...: db4 with these and --json prints what stands under that heading.
holds() {
  local heading=$1 code=0
  shift
  out=$("$db4" "$@" --json 2>&1) || code=$?
  [ "$code" -eq "$wanted" ] || fail "'$*' ended with $code: $out"
  python3 "$source_folder/tests/cli/json_members.py" "$document" "$heading" <<<"$out" || fail "'$*' printed: $out"
  held+=("### $heading")
}

seq 20 | sed 's/.*/{"id":"&","text":"some words"}/' >many.jsonl
holds "db4 init" init --store s
export DB4_STORE=s DB4_STATS_SAMPLE_INTERVAL=1ms
echo '{"n": 1}' >one.json
holds "db4 put" put users 1 one.json
"$db4" put users 2 one.json >/dev/null
"$db4" put blobs b --bytes one.json >/dev/null
for _ in 1 2 3; do "$db4" get users 1 >/dev/null; done
wanted=4
for command in get stat explain tier promote demote; do holds "db4 get of nothing" $command users nobody; done
holds "db4 get of nothing" cp users nobody others
holds "db4 get of nothing" download users nobody nothing
holds "db4 get of nothing" uploads abort nobody
holds "db4 get of nothing" uploads resume nobody one.json
holds "db4 rm of nothing" rm users nobody
holds "db4 rm of nothing" unpin users 1
wanted=0
holds "db4 import" import lines - <<<'{"id":1}'
holds "db4 export" export lines --output lines.jsonl
holds "db4 export" export lines --folder lines
(unset DB4_STORE && holds "db4 demo" demo --input many.jsonl --days 1 --reads 5 --dir demo) || exit 1
held+=("### db4 demo")
holds "db4 report" report
holds "db4 get" get users 1
holds "db4 get of bytes" get blobs b
holds "db4 cp" cp users 1 copies
holds "db4 ls" ls
holds "db4 ls COLLECTION" ls users
holds "db4 stat COLLECTION ID" stat users 1
holds "db4 stat" stat
holds "db4 stats" stats
holds "db4 stats --history" stats --history
[[ "$out" == *interval_ms* ]] || fail "there are no samples: $out"
holds "db4 du" du
holds "db4 du" du users
holds "db4 demote" demote users 1
holds "db4 promote" promote users 1
holds "db4 pin" pin users 2 --tier cold
holds "db4 pins" pins
[[ "$out" == *since* ]] || fail "there are no pins: $out"
holds "db4 tier COLLECTION ID" tier users 1
holds "db4 tier plan" tier plan
[[ "$out" == *reason* ]] || fail "nothing is due: $out"
holds "db4 tier run" tier run
holds "db4 explain" explain users 1
[[ "$out" == *reason* ]] || fail "it was never moved: $out"
holds "db4 explain" explain users 2
[[ "$out" == *scope* ]] || fail "it is not pinned: $out"
holds "db4 top" top --interval 100ms --count 1
[ "$(wc -l <<<"$out")" -eq 1 ] || fail "top prints more than a line: $out"
# Whoever watches answers on the socket; what is put through it is an event.
( until_true test -S s/hot/live.sock; until_true "$db4" put watched 1 one.json ) >/dev/null &
holds "db4 watch" watch watched --count 1
wait
holds "db4 unpin" unpin users 2
holds "db4 rm" rm users 2
holds "db4 config explain" config explain

expect 0 "$db4" keys list; has "not encrypted"
holds "db4 keys list" keys list
holds "db4 keys init" keys init
holds "db4 keys rotate" keys rotate
holds "db4 keys rotate" keys rotate --destroy-old
wanted=4
holds "db4 get of nothing" keys destroy 0123456789abcdef
holds "db4 get of nothing" keys cancel 0123456789abcdef
wanted=0
holds "db4 keys list" keys list
[[ "$out" == *destroy_after* ]] || fail "no key is to be destroyed: $out"
key=$(sed -nE 's/.*"id": "([0-9a-f]{16})".*/\1/p' <<<"$out" | head -n 1)
holds "db4 keys reencrypt COLLECTION ID" keys reencrypt users 1
holds "db4 keys reencrypt" keys reencrypt
holds "db4 keys destroy" keys destroy "$key"
holds "db4 keys cancel" keys cancel "$key"
printf 'words' >words && chmod 600 words
holds "db4 keys export-recovery" keys export-recovery saved --passphrase-file words
holds "db4 keys import-recovery" keys import-recovery saved --passphrase-file words
holds "db4 keys rewrap" keys rewrap --to "file:$work/other.key" --create
holds "db4 init" init --store sealed --encrypt
[[ "$out" == *master_key* ]] || fail "it does not say where the new master key is: $out"
holds "db4 upload" upload videos v one.json --upload-id first
holds "db4 upload" uploads resume first one.json
holds "db4 download" download videos v copy.json
holds "db4 uploads list" uploads list
[[ "$out" == *first* ]] || fail "there are no uploads: $out"
holds "db4 uploads abort" uploads abort first
holds "db4 uploads clean" uploads clean
holds "db4 gc" gc
cp -r s/hot before
"$db4" put videos stray one.json --tier cold --set cold.pack_below=0B >/dev/null
rm -r s/hot && mv before s/hot
find s/cold -type f -exec touch -d '10 days ago' {} +
holds "db4 gc --list" gc --list
[[ "$out" == *modified* ]] || fail "nothing is without a name: $out"
holds "db4 compact" compact
holds "db4 doctor" doctor
rm -r s/hot
find s/cold -type f -size +100c -not -path '*/keys/*' >files  # all of them: an older copy is not looked into
while read -r file; do
  printf 'damage' | dd of="$file" bs=1 seek=$(($(stat -c %s "$file") - 8)) conv=notrunc status=none
done <files
wanted=1
holds "db4 rebuild" rebuild
wanted=0
[[ "$out" == *what* ]] || fail "there is no doubt: $out"

# Each table was used.
while IFS= read -r heading; do
  [[ $'\n'"$(printf '%s\n' "${held[@]}")"$'\n' == *$'\n'"$heading"$'\n'* ]] || fail "no command was held to '$heading'"
done < <(grep '^### ' "$document")

# Errors are JSON too.
expect 2 "$db4" get users --json
python3 -c 'import json, sys; e = json.load(sys.stdin)["error"]; assert sorted(e) == ["advice", "code", "message", "problem"], e' \
  <<<"$out" || fail "the error is: $out"
echo "what --json prints is what is documented"
