#!/usr/bin/env bash
# Every command explains itself: in --help, in the manual and in docs/reference, which are all made of the same pages. The
# examples in the help are run.
#
#     tests/cli/reference.sh PATH_OF_DB4
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

mapfile -t all < <(commands)
[ "${#all[@]}" -ge 20 ] || fail "only ${#all[@]} commands are found in the help: ${all[*]}"

for command in "" "${all[@]}"; do
  # shellcheck disable=SC2086 # the words of a command
  expect 0 "$db4" $command --help
  help=$out
  grep -q '^Usage: db4' <<<"$help" || fail "db4 $command --help has no usage"
  grep -q '^Examples:$' <<<"$help" || fail "db4 $command --help has no examples"
  grep -q 'Show this help' <<<"$help" || fail "db4 $command --help does not name --help"
  long=$(grep -E '.{101}' <<<"$help" | grep -vE '^  db4 |^  echo |^Usage' || true)
  [ -z "$long" ] || fail "db4 $command --help has long lines: $long"
  [ -z "$(grep -E '.{111}' <<<"$help" || true)" ] || fail "db4 $command --help has a line over 110 columns"
  [ "$(head -n 1 <<<"$help")" != "" ] || fail "db4 $command has no summary"
  if grep -qE '^Usage: .*\b[a-z]+\]' <<<"$help"; then fail "an argument of db4 $command is not in upper case"; fi
  # shellcheck disable=SC2086
  expect 0 "$db4" help $command
  [ "$out" = "$help" ] || fail "db4 help $command differs from its --help"
  # shellcheck disable=SC2086
  expect 0 "$db4" man $command
  [ "$out" = "$help" ] || fail "db4 man $command differs from its --help where there is no terminal"
done

# The documents in the repository are what this program prints.
"$db4" man --markdown | diff -u "$source_folder/docs/reference/commands.md" - ||
  fail "make docs/reference/commands.md anew: db4 man --markdown > docs/reference/commands.md"
"$db4" config reference | diff -u "$source_folder/docs/reference/configuration.md" - ||
  fail "make docs/reference/configuration.md anew: db4 config reference > docs/reference/configuration.md"

# The manual: a page for each, without a complaint.
"$db4" man --output-folder pages
for command in "" "${all[@]}"; do
  name=db4${command:+-${command// /-}}
  [ -s "pages/$name.1" ] || fail "there is no page $name.1"
done
[ "$(find pages -type f | wc -l)" -eq $((${#all[@]} + 1)) ] || fail "pages of other than the commands: $(ls pages)"
if command -v groff >/dev/null; then
  for page in pages/*.1; do
    complaints=$(groff -man -ww -T utf8 "$page" 2>&1 >/dev/null)
    [ -z "$complaints" ] || fail "groff complains of $page: $complaints"
  done
  expect 0 groff -man -T ascii -P -cbou pages/db4-put.1; has 'db4 put COLLECTION ID [FILE] [OPTIONS]'
else
  echo "skipped: the manual is not formatted, there is no groff"
fi

# What is mistyped gets a hint.
expect 2 "$db4" pt; has "did you mean put?"
expect 2 "$db4" config expain; has "'expain' is no command of db4 config; did you mean explain?"
expect 2 "$db4" config; has "db4 config needs a command"
expect 2 "$db4" tier rnu; has "did you mean db4 tier run?"
expect 2 "$db4" help pt; has "did you mean put?"
expect 2 "$db4" put a b --tire cold; has "did you mean --tier?"
expect 2 "$db4" put a b --tier clod; has "did you mean cold?"
expect 2 "$db4" ls --collour never; has "did you mean --color?"
expect 2 "$db4" ls --color nevver; has "none of auto, always, never"; has "did you mean never?"
expect 2 "$db4" get; has "COLLECTION and ID are missing"; has "db4 get COLLECTION ID"
expect 2 "$db4" get a; has "ID is missing"
expect 2 "$db4" get a b c; has "'c' is one argument too many"
expect 2 "$db4" pin a; has "--tier is missing"
expect 2 "$db4" pin a b --prefix c --tier hot; has "ID does not go with --prefix"
expect 2 "$db4" ls a --limit; has "--limit needs a value"
expect 2 "$db4" ls a --limit many; has "'many' is no number"
expect 2 "$db4" ls a --limit 0; has "'0' is not above 0"
expect 2 "$db4" stats --lines 5; has "--lines needs --history too"
expect 2 "$db4" pt --json; has '"code":"invalid_argument"'

# Settings are called in the documents what they are called: a name of a section that is neither a setting nor a figure of
# `db4 stat --json` is another face's.
if command -v python3 >/dev/null; then
  "$db4" init named >/dev/null
  "$db4" --store named stat --json >figures.json
  "$db4" config reference >settings.md
  python3 - "$source_folder" <<'END' || fail "documents name settings that there are not"
import json, pathlib, re, sys
settings = set(re.findall(r"`([a-z]+\.[a-z_]+)`", pathlib.Path("settings.md").read_text()))
sections = {name.split(".")[0] for name in settings}
figures = {f"{a}.{b}" for a, under in json.load(open("figures.json")).items() if isinstance(under, dict) for b in under}
root, wrong = pathlib.Path(sys.argv[1]), []
for page in [root / "README.md", root / "ARCHITECTURE.md", *sorted((root / "docs").glob("*.md"))]:
    for line in page.read_text().splitlines():
        if line.startswith("#"):
            continue  # the words of an error
        for name in re.findall(r"`([a-z]+\.[a-z_]+)`", line):
            if name.split(".")[0] in sections and name not in settings | figures | {"live.sock"}:
                wrong.append(f"{page.name}: {name}")
sys.exit("\n".join(wrong) or 0)
END
else
  echo "skipped: names of settings in the documents, there is no python3"
fi

# The examples run, in a store that has what they speak of.
mkdir bin examples other
printf '#!/bin/sh\nexec "%s" "$@"\n' "$db4" >bin/db4
chmod +x bin/db4
"$db4" init shop >/dev/null
"$db4" init other >/dev/null
SHOP_MASTER_KEY=$(head -c 32 /dev/urandom | base64)
export SHOP_MASTER_KEY PATH="$work/bin:$PATH" HOME=$work DB4_HOT_DURABILITY=none
cd examples
echo '{"name": "Alice"}' >alice.json
head -c 300 /dev/urandom >cat.png
printf 'id,total\n1003,4\n' >orders.csv
mkdir pictures && cp cat.png pictures
head -c 9000000 /dev/zero >intro.mp4
echo '{"kind": "cats", "id": "7"}' >everything.jsonl
fill() {
  export DB4_STORE
  echo '{"total": 12}' | db4 put orders 1001 >/dev/null
  echo '{"total": 12}' | db4 put orders 2024-1 >/dev/null
  echo '{"line": 1}' | db4 put logs 2019-04 >/dev/null
  echo '{"name": "Alice"}' | db4 put users 1 >/dev/null
  echo '{"n": 1}' | db4 put run 1 >/dev/null
  db4 put photos cat cat.png --bytes >/dev/null
}
DB4_STORE=$work/shop fill
db4 --store "$work/shop" export --all --output "$work/filled.jsonl" >/dev/null
skipped() { echo "skipped: the example '$1': $2"; }
# prepare COMMAND LINE: what has to be so for an example to run; its line is then in $line.
prepare() {
  export DB4_STORE=$work/shop
  db4 import --restart "$work/filled.jsonl" >/dev/null
  echo '{"id": "1002", "total": 3}' >orders.jsonl
  rm -rf man1 photos orders-demo shop shop.master-key shop.recovery new.key
  case $1 in init | demo) unset DB4_STORE ;; esac
  case $line in
    *"put users 1"*"--if-version 3"*) for _ in 1 2; do db4 put users 1 alice.json >/dev/null; done ;;
    *"rm users 1 --if-version 3"*) db4 rm users 1 >/dev/null; line="! $line" ;;
    *"rm users 1 --tier warm"*) db4 demote users 1 --to warm --keep >/dev/null ;;
    *unpin*2019*) db4 pin logs --prefix 2019- --tier cold >/dev/null ;;
    *unpin*) db4 pin orders 1001 --tier hot >/dev/null ;;
    *"promote"*) db4 demote orders 1001 >/dev/null ;;
    *"users 2 --if-version 0"*) db4 rm users 2 >/dev/null 2>&1 || true ;;
    "db4 export orders --plain"*) db4 rm orders 1001 >/dev/null; db4 rm orders 2024-1 >/dev/null
      db4 import orders orders.jsonl >/dev/null ;;
    *"videos new"*) db4 rm videos new >/dev/null 2>&1 || true ;;
    *"download"* | *"intro-1"* | *"intro-2"*)
      for id in intro-1 intro-2; do db4 upload videos intro intro.mp4 --upload-id $id >/dev/null 2>&1 || true; done ;;
    "db4 rebuild"*)
      db4 demote orders 1001 >/dev/null
      rm -rf "$work/lost" && cp -r "$work/shop" "$work/lost" && rm -r "$work/lost/hot"
      export DB4_STORE=$work/lost ;;
    "db4 keys"*)
      # A store of its own for each, and no folder of somebody's machine.
      rm -rf sealed sealed.master-key safe && mkdir safe
      if [ "$1" = "keys init" ] || [ "$1" = keys ]; then
        db4 init --store sealed >/dev/null
      else
        db4 init --store sealed --encrypt >/dev/null
      fi
      export DB4_STORE=$PWD/sealed
      case $line in
        *"keys init"*) ;;
        *"keys list" | *"keys rotate") db4 keys init >/dev/null 2>&1 || true ;;
      esac
      echo '{"total": 12}' | db4 put orders 1001 >/dev/null
      echo '{"total": 12}' | db4 put orders 2024-1 >/dev/null
      case $line in
        *destroy* | *cancel*)
          key=$(db4 keys rotate --json | sed -nE 's/.*"old_key_id": "([0-9a-f]+)".*/\1/p')
          db4 keys reencrypt >/dev/null
          case $line in *cancel*) db4 keys destroy "$key" >/dev/null ;; esac
          line=${line/4f8a1c92e07b35d6/$key}
          line=${line/4f8a/$key} ;;
        *recovery*)
          printf 'correct horse' >recovery-passphrase && cp recovery-passphrase safe/passphrase
          head -c 32 /dev/urandom | base64 >recovery.key && cp recovery.key safe
          chmod 600 recovery-passphrase recovery.key safe/*
          case $line in
            *import*recovery.key*) db4 keys export-recovery shop.recovery --to file:recovery.key >/dev/null
              rm sealed.master-key ;;
            *import*) db4 keys export-recovery shop.recovery --passphrase-file recovery-passphrase >/dev/null ;;
          esac ;;
        *passphrase-file:*) printf 'correct horse' >safe/passphrase && chmod 600 safe/passphrase ;;
      esac
      line=${line//\/media\/safe/$PWD/safe}
      line=${line//\/etc\/db4/$PWD/safe} ;;
    "db4 top") line="timeout --foreground --preserve-status -s INT 3 db4 top" ;;
    "db4 watch"*) line="timeout --foreground --preserve-status -s INT 2 $line" ;;
    *"--interval 10s"*) line=${line/10s/100ms} ;;
  esac
}
ran=0
for command in "${all[@]}"; do
  # shellcheck disable=SC2086
  while IFS= read -r line; do
    line=${line%%  # *}
    case $line in
      *jq*) command -v jq >/dev/null || { skipped "$line" "there is no jq"; continue; } ;;
      *groff*) command -v groff >/dev/null || { skipped "$line" "there is no groff"; continue; } ;;
      *' > ~/'*) skipped "$line" "it writes into folders of somebody's shell"; continue ;;
      "db4 demo") skipped "$line" "it takes a minute; scripts/quickstart.sh runs it"; continue ;;
    esac
    prepare "$command" "$line"
    code=0
    said=$(bash -c "set -o pipefail; $line" 2>&1 </dev/null) || code=$?
    # A version that somebody else's example left: what it stands for is tested elsewhere.
    if [[ $line == *--if-version\ 3* && $code -eq 3 ]]; then code=0; fi
    [ "$code" -eq 0 ] || fail "the example '$line' of db4 $command ended with $code: $said"
    ran=$((ran + 1))
  done < <("$db4" $command --help | sed -n '/^Examples:$/,$p' | sed '1d; s/^  //')
done
[ "$ran" -ge 90 ] || fail "only $ran examples ran"
echo "${#all[@]} commands explain themselves, $ran examples run"
