#!/usr/bin/env bash
# The README's tour stands, line by line, in examples/quickstart.cpp, which is compiled and run: so it is true.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tour=$(awk '/^```cpp$/ { inside = 1; next } /^```$/ && inside { exit } inside' README.md)
[ -n "$tour" ] || { echo "README.md has no C++ tour" >&2; exit 1; }
program=$(sed -E 's/^  //' examples/quickstart.cpp)
[[ "$program" == *"$tour"* ]] && exit 0
echo "README.md's tour differs from examples/quickstart.cpp: make them the same" >&2
diff <(echo "$tour") <(echo "$program") >&2 || true
exit 1
