# What the tests of the command line share. Sourced with the path of db4 in $1.
set -euo pipefail

db4=$(realpath "$1")
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
# documents STORE COLLECTION: how many there are.
documents() { "$db4" --store "$1" ls --json | tr -d ' \n' | sed -nE "s/.*\"documents\":([0-9]+)[^}]*\"name\":\"$2\".*/\1/p"; }
# wait_for COMMAND...: until it succeeds, for ten seconds.
wait_for() {
  for _ in $(seq 200); do
    if "$@"; then return 0; fi
    read -rt 0.05 <> <(:) || true
  done
  fail "waited in vain for: $*"
}
