# What the tests of the command line share; sourced with the path of db4 as first argument. They run in a folder of their
# own, which is removed at the end together with the processes that were started by `start`.
set -euo pipefail

db4=$(realpath "$1")
source_folder=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
work=$(mktemp -d)
started=()
finish() {
  local pid
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
cd "$work"
unset DB4_STORE NO_COLOR
export LC_ALL=C.UTF-8

fail() { echo "FAILED: $*" >&2; exit 1; }
# expect CODE COMMAND...: ends with that code; what it printed is in $out.
expect() {
  local wanted=$1 code=0
  shift
  out=$("$@" 2>&1) || code=$?
  [ "$code" -eq "$wanted" ] || fail "'$*' ended with $code instead of $wanted: $out"
}
has() { [[ "$out" == *"$1"* ]] || fail "no '$1' in: $out"; }
lacks() { [[ "$out" != *"$1"* ]] || fail "'$1' in: $out"; }
# until_true COMMAND...: asks again for 20 seconds at most.
until_true() {
  local _
  for _ in $(seq 200); do
    if "$@" 2>/dev/null; then return; fi
    read -rt 0.1 <> <(:) || true
  done
  fail "it never came to this: $*"
}
# documents STORE COLLECTION: how many there are.
documents() { "$db4" --store "$1" ls --json | tr -d ' \n' | sed -nE "s/.*\"documents\":([0-9]+)[^}]*\"name\":\"$2\".*/\1/p"; }
# start COMMAND...: runs in the background until the test ends; its process is $started_pid.
start() {
  "$@" &
  started_pid=$!
  started+=("$started_pid")
}
# commands [PATH]: every command that is shown, one a line, "tier run" after "tier".
commands() {
  local name
  for name in $("$db4" ${1:-} --help | sed -nE '/^(Arguments|Options|Exit codes|Examples):$/,/^$/d; s/^  ([a-z][a-z-]*)  .*/\1/p'); do
    echo "${1:+$1 }$name"
    if [ -z "${1:-}" ]; then commands "$name"; fi
  done
}
