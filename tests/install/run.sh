#!/usr/bin/env bash
# Installs a built db4 into a temporary prefix, moves that prefix (what is installed must not know where it
# was), and builds and runs a stranger's program against it: once by find_package, once by pkg-config.
#
#   tests/install/run.sh BUILD_FOLDER
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
build="$(cd "${1:?usage: tests/install/run.sh BUILD_FOLDER}" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/first" >"$work/install.log" || { cat "$work/install.log"; exit 1; }
mv "$work/first" "$work/prefix"
prefix="$work/prefix"
if grep -rIl --include='*.cmake' --include='*.pc' --include='*.hpp' -e "$work" -e "$build" "$prefix"; then
  echo "error: the files above name the folder they were built or installed in" >&2
  exit 1
fi
pc="$(find "$prefix" -name db4.pc)"
library_folder="$(dirname "$(dirname "$pc")")"

run() {
  mkdir -p "$work/store-$1"
  LD_LIBRARY_PATH="$library_folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" "$2" "$work/store-$1"
}

echo "-- find_package(db4)"
cmake -S "$here" -B "$work/by-cmake" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" >"$work/configure.log" ||
  { cat "$work/configure.log"; exit 1; }
cmake --build "$work/by-cmake"
run cmake "$work/by-cmake/stranger"

for static in "" --static; do
  echo "-- pkg-config $static db4"
  export PKG_CONFIG_PATH="${pc%/*}"
  # shellcheck disable=SC2046,SC2086  # these are lists of words
  "${CXX:-g++}" -std=c++20 "$here/main.cpp" $(pkg-config $static --cflags --libs db4) -o "$work/by-pkg-config$static"
  run "pkg-config$static" "$work/by-pkg-config$static"
done
