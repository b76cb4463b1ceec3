# What the scripts share. Source it; it moves to the project's folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Builds of one tree share what they compile: the same source in another build folder, or in another clone, is the same.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$PWD} CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-1}

say() { printf '\n== %s\n' "$*"; }

# build PRESET [CMAKE ARGUMENTS] -- TARGETS: configures and builds, quietly unless it fails.
build() {
  local preset=$1 log="build/$1.log" arguments=()
  shift
  while [ $# -gt 0 ] && [ "$1" != "--" ]; do arguments+=("$1"); shift; done
  [ $# -eq 0 ] || shift
  mkdir -p build
  if ! { cmake --preset "$preset" "${arguments[@]}" && cmake --build "build/$preset" --target "$@"; } >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    echo "The build failed; the whole log is $log" >&2
    return 1
  fi
}
