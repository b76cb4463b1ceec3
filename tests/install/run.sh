#!/usr/bin/env bash
# Uses db4 as a stranger would, in every way docs/installing.md names, with a static and a shared library: find_package,
# pkg-config, add_subdirectory, FetchContent, Debian packages. Builds only the shared library anew, from what ccache has.
#
#     tests/install/run.sh BUILD_FOLDER      the folder of a static build
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

here=tests/install
static_build="$(realpath "${1:?usage: tests/install/run.sh BUILD_FOLDER}")"
work="$PWD/build/stranger"
rm -rf "$work" "$work"-*
mkdir -p "$work"
trap 'rm -rf "$work" "$work"-*' EXIT
version=$("$static_build/bin/db4" --version | sed -n '1s/^db4 //p')
strict=(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Werror)
step() { printf -- '-- %s\n' "$*"; }
fail() { echo "error: $*" >&2; exit 1; }
if command -v ccache >/dev/null; then export CMAKE_CXX_COMPILER_LAUNCHER=ccache; fi

# quietly COMMAND...: prints what it says only where it fails.
quietly() { "$@" >"$work/log" 2>&1 || { tail -n 60 "$work/log" >&2; fail "failed: $*"; }; }

# run KIND PROGRAM: the stranger's program works, and with the library that was meant.
run() {
  rm -rf "$work/store"
  mkdir "$work/store"
  local said
  said=$("$2" "$work/store") || fail "$2 failed"
  [ "$said" = "db4 $version, $1, works for a stranger" ] || fail "$2 said: $said"
}

# stranger WAY KIND ARGUMENTS...: configures, builds and runs the project of that way. The build folder stands as deep
# as that of db4 itself, for ccache.
stranger() {
  local way=$1 kind=$2 folder="$work-$1-$2"
  shift 2
  step "$way, $kind"
  quietly cmake -S "$here/$way" -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O2 -g1" "$@"
  quietly cmake --build "$folder"
  run "$kind" "$(find "$folder" -type f -name stranger -perm -u+x)"
}

# install KIND BUILD_FOLDER: to the prefix $work/KIND, which was moved there: what is installed must not know where it
# was.
install() {
  local prefix="$work/$1"
  quietly cmake --install "$2" --prefix "$work/first"
  mv "$work/first" "$prefix"
  if grep -rIl --include='*.cmake' --include='*.pc' --include='*.hpp' -e "$work" -e "$PWD" "$prefix"; then
    fail "the files above name the folder they were built or installed in"
  fi
  pc="$(find "$prefix" -name db4.pc)"
  library_folder="$(dirname "$(dirname "$pc")")"
  # Every place that says the version says the same.
  [ "$(PKG_CONFIG_PATH="${pc%/*}" pkg-config --modversion db4)" = "$version" ] || fail "db4.pc is not of $version"
  grep -q "set(PACKAGE_VERSION \"$version\")" "$library_folder/cmake/db4/db4-config-version.cmake" ||
    fail "db4-config-version.cmake is not of $version"
}

# installed KIND: the stranger against the prefix of that kind.
installed() {
  local kind=$1 static
  stranger find_package "$kind" -DCMAKE_PREFIX_PATH="$work/$kind"
  for static in "" --static; do
    step "pkg-config $static, $kind"
    # shellcheck disable=SC2046,SC2086  # these are lists of words
    quietly ${CMAKE_CXX_COMPILER_LAUNCHER:-} "${CXX:-g++}" -std=c++20 -O2 "${strict[@]}" \
      $(PKG_CONFIG_PATH="${pc%/*}" pkg-config $static --cflags db4) -c $here/main.cpp -o "$work/main.o"
    # shellcheck disable=SC2046,SC2086
    quietly "${CXX:-g++}" "$work/main.o" $(PKG_CONFIG_PATH="${pc%/*}" pkg-config $static --libs db4) \
      -o "$work/by-pkg-config"
    LD_LIBRARY_PATH="$library_folder" run "$kind" "$work/by-pkg-config"
  done
}

# headers COMPILER: every public header compiles by itself, and so does the program, without a warning. (Under the
# compiler that builds the strangers, their projects have shown the same of all headers together.)
headers() {
  command -v "$1" >/dev/null || fail "$1 is not installed: run scripts/packages.sh test"
  step "public headers, $1"
  local include="$work/static/include"
  find "$include/db4" -name '*.hpp' -printf '%P\n' | sed 's/.*/#include <db4\/&>/' >"$work/headers"
  split -l 1 -d --additional-suffix=.cpp "$work/headers" "$work/header-"
  { ls "$work"/header-*.cpp; echo $here/main.cpp; } |
    xargs -n 4 -P "$(nproc)" "$1" -std=c++20 -fsyntax-only "${strict[@]}" -I"$include" ||
    fail "a public header does not compile by itself, or warns"
}

step "what packages say of db4"
quietly cmake -DVERSION="$version" -P $here/packaging.cmake
if command -v python3 >/dev/null; then
  find packaging -name '*.py' -print0 |
    quietly xargs -0 -n 1 python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())'
fi

step "docs/installing.md shows what is tested"
# block FILE: the block of the document that is marked as standing in that file.
block() {
  awk -v mark="<!-- test: from $1 -->" \
    '$0 == mark { on = 1; next } on && /^```$/ { exit } on && !/^```/' docs/installing.md
}
for way in find_package add_subdirectory fetch_content; do
  shown=$(block "$here/$way/CMakeLists.txt")
  [ -n "$shown" ] && [[ "$(<"$here/$way/CMakeLists.txt")" == *"$shown"* ]] ||
    fail "docs/installing.md shows another project than $here/$way"
done

install static "$static_build"
installed static
headers clang++-14

step "a dependency that is missing is named"
mkdir "$work/lacking"
find $(pkg-config --variable pc_path pkg-config | tr : ' ') -name '*.pc' ! -name rocksdb.pc \
  -exec ln -sf -t "$work/lacking" {} + 2>/dev/null || true
if PKG_CONFIG_LIBDIR="$work/lacking" cmake -S $here/find_package -B "$work-lacking" -G Ninja \
  -DCMAKE_PREFIX_PATH="$work/static" >"$work/log" 2>&1; then fail "find_package(db4) does without RocksDB"; fi
tr -s ' \n' ' ' <"$work/log" | grep -q "db4 needs rocksdb >= [0-9.]*, and pkg-config finds none" ||
  { cat "$work/log"; fail "find_package(db4) does not say that RocksDB is missing"; }

step "Debian packages: building"
quietly scripts/package.sh -DDB4_WERROR=ON
install shared "$PWD/build/package"
installed shared
step "exported symbols"
$here/exported_symbols.sh "$library_folder/libdb4-storage.so" include/db4

for kind in static shared; do
  shared=OFF
  [ $kind = static ] || shared=ON
  stranger add_subdirectory $kind -DDB4_SOURCE="$PWD" -DBUILD_SHARED_LIBS=$shared -DDB4_WERROR=ON
  stranger fetch_content $kind -DFETCHCONTENT_SOURCE_DIR_DB4="$PWD" -DBUILD_SHARED_LIBS=$shared -DDB4_WERROR=ON \
    -DDB4_REPOSITORY=https://example.invalid/db4.git
  quietly cmake --install "$work-add_subdirectory-$kind" --prefix "$work/nothing"
  [ -z "$(find "$work/nothing" -type f 2>/dev/null)" ] || fail "db4 installs itself with a project that only uses it"
done

$here/deb.sh build/package/packages
