#!/usr/bin/env bash
# The style checks: format, warnings of both compilers, clang-tidy, and rules that a search can see.
#
#     scripts/style.sh [--fast]      --fast leaves clang-tidy out (half the time)
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

fast=no
case "${1:-}" in
  "") ;;
  --fast) fast=yes ;;
  *) echo "usage: scripts/style.sh [--fast]" >&2; exit 2 ;;
esac

say "Packages"
scripts/packages.sh build style
failed=0
complain() {
  echo "style: $1" >&2
  [ -z "${2:-}" ] || sed 's/^/    /' <<<"$2" >&2
  failed=1
}
mapfile -t sources < <(git ls-files '*.cpp' '*.hpp')

say "Format"
clang-format-14 --dry-run -Werror "${sources[@]}" || complain "run clang-format -i on the files above"

say "Rules"
# forbid PATTERN WHY FILES...: no line of the files matches.
forbid() {
  local pattern=$1 why=$2 hits
  shift 2
  hits=$(git grep -nE "$pattern" -- "$@" || true)
  [ -z "$hits" ] || complain "$why" "$hits"
}
# Benchmarks measure this machine and this moment: they alone may ask it for the time.
ours=('src/*' 'include/*' 'tests/*' 'examples/*' ':!src/base/*')
forbid 'std::chrono::(system|steady)_clock::now' 'ask a Clock: the injected one, or db4::system_clock()' "${ours[@]}"
forbid 'std::random_device|[^_a-z]s?rand\(' 'ask a RandomSource: the injected one, or db4::system_random()' "${ours[@]}"
forbid 'this_thread::sleep_|[^_a-z]u?sleep\(' 'wait on a Clock, in tests on a SimulatedClock or a sequence point' "${ours[@]}"
forbid '#include "' 'a public header includes public headers only, as <db4/...>' 'include/*'
forbid '#include <(rocksdb|sqlite3|libpq|zstd|libdeflate|openssl|sodium|curl|hiredis|pugixml|simdjson|toml|CLI)' 'no such type in a public header' 'include/*'
forbid '(^|[^a-zA-Z0-9_.}])/(w[o]rk|h[o]me|r[o]ot|t[m]p)/[a-zA-Z]' 'no path of a machine' '*'

# The floors: a part includes only what stands below it.
declare -A floor=([base]=0 [kv]=1 [codec]=1 [crypto]=1 [net]=1 [sealing]=2 [keyservice]=2 [objects]=2 [catalog]=3 [hot]=4 [warm]=4 [cold]=4 [tiering]=5 [live]=5 [invalidation]=5 [store]=6 [cli]=7)
for part in "${!floor[@]}"; do
  while IFS=: read -r file line include; do
    [ -n "$file" ] || continue
    target=$(sed -E 's/.*"([a-z]+)\/.*/\1/' <<<"$include")
    [ -n "${floor[$target]:-}" ] || continue
    if [ "$target" != "$part" ] && [ "${floor[$target]}" -ge "${floor[$part]}" ]; then
      complain "$file:$line: $part (floor ${floor[$part]}) includes $target (floor ${floor[$target]})"
    fi
  done < <(git grep -nE '#include "[a-z]+/' -- "src/$part/*" || true)
done
forbid '#include "(base|kv|codec|crypto|net|sealing|keyservice|catalog|objects|hot|warm|cold|tiering|live|invalidation|store)/' 'the command line uses public headers only' 'src/cli/*'

# What the program prints itself is as long as it has to be.
mapfile -t texts < <(git ls-files ':!tests/golden/*' ':!tests/fuzz/corpus/*' ':!docs/reference/*')
long=$(wc -l "${texts[@]}" | awk '$2 != "total" && $1 > 600 { print $2 ": " $1 " lines" }')
[ -z "$long" ] || complain "split what grew over 600 lines" "$long"

# clang-tidy reports the compiler's warnings too, so that only what it does not read is left to compile.
to_compile=('src/*.cpp' 'tests/*.cpp' 'bench/*.cpp' 'examples/*.cpp' ':!tests/install/*')
[ "$fast" = yes ] || to_compile+=(':!src/*')
say "Warnings under clang++"
flags=(-std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-qual
       -Wimplicit-fallthrough -Werror -Iinclude -Isrc -Itests -Ibench
       -isystem "$(pkg-config --variable=includedir libpq)" '-DDB4_SOURCE_DIR=""' -DDB4_BENCH_TBB -DDB4_BENCH_LEVELDB
       -DDB4_BENCH_LMDB -DDB4_BENCH_REDIS)
git ls-files -z "${to_compile[@]}" | xargs -0 -n 1 -P "$(nproc)" clang++-14 "${flags[@]}" ||
  complain "clang++ warns, see above"

if [ "$fast" = no ]; then
  say "clang-tidy"
  cmake --preset release >/dev/null  # for compile_commands.json
  # Its standard error only counts the warnings in system headers that it did not show.
  git ls-files -z 'src/*.cpp' | xargs -0 -n 4 -P "$(nproc)" clang-tidy-14 --quiet -p build/release \
    --extra-arg=-Wno-unknown-warning-option 2>/dev/null || complain "clang-tidy complains, see above"
fi

[ "$failed" -eq 0 ] || exit 1
printf '\nstyle: clean\n'
