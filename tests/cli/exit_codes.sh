#!/usr/bin/env bash
# Every exit code of docs/cli-json.md is what a command ends with when that happens.
#
#     tests/cli/exit_codes.sh PATH_OF_DB4
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$db4" init --store s >/dev/null
export DB4_STORE=s
echo '{}' >one.json

# 0: done.
expect 0 "$db4" put users 1 one.json
expect 0 "$db4" get users 1
# 1: failed.
if [ -w /dev/full ]; then
  expect 1 bash -c '"$0" get users 1 >/dev/full' "$db4"; has "standard output"
  # What was asked for is done, and it is said that it may be.
  expect 1 bash -c '"$0" put users full one.json >/dev/full' "$db4"; has "What was asked for may be done"
  expect 0 "$db4" get users full
  expect 1 bash -c '"$0" rm users full >/dev/full' "$db4"; has "look first"
  expect 4 "$db4" get users full
else
  echo "skipped: code 1 by a full disk, there is no /dev/full"
fi
# 2: wrong usage, a wrong setting, a wrong document; with --json the error is JSON.
expect 2 "$db4" get users
expect 2 "$db4" --set hot.max_size=much ls
expect 2 "$db4" put users 2 - <<<'{"a":'
expect 2 "$db4" --json put users 2 - <<<'{"a":'; has '"code":"invalid_argument"'; has '"advice"'
# 3: another version, or there already.
expect 3 "$db4" put users 1 one.json --if-version 7
expect 3 "$db4" put users 1 one.json --if-version 0
expect 3 "$db4" init --store s
# 4: no such document, no such pin.
for command in get stat tier explain rm promote demote; do expect 4 "$db4" "$command" users nobody; done
for command in ls du export; do expect 4 "$db4" "$command" nothing; done
expect 4 "$db4" cp users nobody other
expect 4 "$db4" unpin users 1

# 5: locked, by a process that does not listen.
"$db4" init --store held --set live.enabled=false >/dev/null
mkfifo pipe
start "$db4" --store held import things pipe --id-field id --batch 1
exec 3>pipe
printf '{"id":"1"}\n' >&3
until_true [ -s held/hot/LOCK ]
expect 5 "$db4" --store held --wait 0s ls; has "$started_pid"
exec 3>&-
wait "$started_pid"

# 130: stopped while it waits, by Ctrl-C or by SIGTERM.
"$db4" --store held --set live.enabled=false import things pipe --id-field id >/dev/null &
holder=$!
started+=("$holder")
exec 3>pipe
printf '{"id":"2"}\n' >&3
until_true bash -c '! "$0" --store held --wait 0s ls >/dev/null 2>&1' "$db4"
for signal in INT TERM; do
  "$db4" --store held --wait 1h ls >waiting.txt 2>&1 3>&- &
  waiting=$!
  started+=("$waiting")
  # Signals are its business once it has blocked them to take them itself.
  until_true grep -qE '^SigBlk:[[:space:]]*0*[1-9a-f]' "/proc/$waiting/status"
  kill -$signal "$waiting"
  code=0
  wait "$waiting" || code=$?
  [ "$code" -eq 130 ] || fail "a command that got SIG$signal ended with $code: $(cat waiting.txt)"
  grep -q "interrupted" waiting.txt || fail "it does not say so: $(cat waiting.txt)"
done
exec 3>&-
wait "$holder"

# The document and the help list these codes, and no others.
listed=$(sed -nE 's/^\| ([0-9]+) \|.*/\1/p' "$source_folder/docs/cli-json.md" | xargs)
[ "$listed" = "0 1 2 3 4 5 130" ] || fail "docs/cli-json.md lists the exit codes $listed"
listed=$("$db4" --help | sed -nE '/^Exit codes:$/,/^$/s/^  ([0-9]+) .*/\1/p' | xargs)
[ "$listed" = "0 1 2 3 4 5 130" ] || fail "--help lists the exit codes $listed"
echo "every exit code means what is said"
