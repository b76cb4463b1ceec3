#!/usr/bin/env bash
# Runs one example in a folder of its own and compares what it prints with the comment at the end of its source.
#
#     examples/run.sh PROGRAM        PROGRAM is build/release/bin/db4_example_NAME
set -euo pipefail

program=$(realpath "$1")
source="$(dirname "$(realpath "$0")")/$(basename "${program#*db4_example_}").cpp"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sed -n '/^\/\/ Output:$/,$p' "$source" | tail -n +2 | sed -E 's/^\/\/( {3})?//' >"$work/expected"
[ -s "$work/expected" ] || { echo "$source has no '// Output:' at its end" >&2; exit 1; }
(cd "$work" && "$program" data) >"$work/printed"
diff "$work/expected" "$work/printed" || { echo "$(basename "$source") printed something else, see above" >&2; exit 1; }
