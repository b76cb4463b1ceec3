#!/usr/bin/env bash
# Whether a shared db4 shows exactly its public names: what the headers mark with DB4_API, and nothing else.
#
#     tests/install/exported_symbols.sh LIBRARY HEADER_FOLDER
set -euo pipefail
library=${1:?usage: tests/install/exported_symbols.sh LIBRARY HEADER_FOLDER}
headers=${2:?usage: tests/install/exported_symbols.sh LIBRARY HEADER_FOLDER}

# The names that are marked: classes, and functions (detail:: is what inline functions of the headers call).
marked=$(cat "$headers"/*.hpp | sed -nE 's/.*(class|struct) DB4_API ([A-Za-z0-9_]+).*/\2/p
  s/^ *(\[\[nodiscard\]\] )?DB4_API [^(]*[ &*]([a-z0-9_]+)\(.*/\2/p
  s/^ *friend DB4_API [^(]* (operator)[^a-z(]+\(.*/\1/p' | sort -u)
[ "$(wc -l <<<"$marked")" -ge 15 ] || { echo "error: too few marked names in $headers: $marked" >&2; exit 1; }
for word in $(cat "$headers"/*.hpp | sed -nE 's/.*DB4_INTERNAL ([A-Za-z0-9_]+).*/\1/p' | sort -u); do
  inside="${inside:-}${inside:+|}$word"
done

nm -D --defined-only -C "$library" | cut -d ' ' -f 3- | sort -u | awk -v inside="::(${inside:-none})(::|\$)" '
  function complain(text) { print "error: " text > "/dev/stderr"; failed = 1 }
  NR == FNR { marked[$0] = 0; next }
  # One for each process: see cmake/db4_exports.map.
  $0 == "std::__detail::__waiter_pool_base::_S_for(void const*)::__w" { next }
  {
    symbols++
    plain = $0
    sub(/^(typeinfo|typeinfo name|vtable|VTT|guard variable|non-virtual thunk|virtual thunk) (for|to) /, "", plain)
    name = plain
    if (!sub(/^db4::(detail::)?/, "", name)) { complain("shown, but not of db4: " $0); next }
    sub(/[^A-Za-z0-9_].*/, "", name)
    if (!(name in marked) || plain ~ inside) { complain("shown, but no public name: " $0); next }
    marked[name]++
  }
  END {
    for (name in marked) if (marked[name] == 0) complain("marked DB4_API, but not shown: " name)
    if (failed) exit 1
    print symbols " symbols, of " length(marked) " public classes and functions"
  }' <(echo "$marked") -
