#!/usr/bin/env bash
# Uses the Debian packages: unpacked into a folder, and then, as root and where no db4 is installed, installed by dpkg and
# removed again.
#
#     tests/install/deb.sh FOLDER_OF_PACKAGES
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

packages="$(realpath "${1:?usage: tests/install/deb.sh FOLDER_OF_PACKAGES}")"
here="$PWD/tests/install"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
step() { printf -- '-- %s\n' "$*"; }
fail() { echo "error: $*" >&2; exit 1; }

names=()
for file in "$packages"/*.deb; do names+=("$(dpkg-deb -f "$file" Package)"); done
expected="db4-tools libdb4-storage-dev libdb4-storage$(sed -nE 's/^#define DB4_VERSION_(MAJOR|MINOR) //p' \
  include/db4/version.hpp | paste -sd .)"
[ "${names[*]}" = "$expected" ] || fail "the packages are ${names[*]}, not $expected"

# depends PACKAGE PATTERN...: it names each of these among its dependencies.
depends() {
  local package=$1 pattern list
  shift
  list=$(dpkg-deb -f "$packages/$package"_*.deb Depends)
  for pattern in "$@"; do
    [[ ", $list" =~ ", "$pattern ]] || fail "$package does not depend on $pattern: $list"
  done
}
library=${names[2]}
depends "$library" librocksdb libsqlite3-0 libzstd1 libdeflate0 libssl3 libsimdjson libcurl4 libpugixml1v5 \
  libhiredis0.14 libpq5 libsodium23 libc6
depends libdb4-storage-dev "$library \(= " nlohmann-json3-dev
depends db4-tools "$library \(= " "libstdc\+\+6"
for file in "$packages"/*.deb; do
  package=$(dpkg-deb -f "$file" Package)
  listing=$(dpkg-deb -c "$file")
  grep -q " root/root .* \./usr/share/doc/$package/copyright$" <<<"$listing" || fail "$package has no copyright file"
  if grep -vE ' root/root ' <<<"$listing"; then fail "$package has files of others than root"; fi
  [[ "$(dpkg-deb -f "$file" Maintainer)" == *"<db4@example.invalid>" ]] || fail "$package names no maintainer"
done

# smoke ROOT: the command line and a stranger's program, with the packages under that root.
smoke() {
  local root=$1 store="$work/store" library_folder said
  library_folder=$(dirname "$(find "$root/usr/lib" -name libdb4-storage.so 2>/dev/null)")
  if [ -n "$root" ]; then
    export LD_LIBRARY_PATH="$library_folder" PKG_CONFIG_PATH="$library_folder/pkgconfig"
    export CMAKE_PREFIX_PATH="$root/usr"
  fi
  rm -rf "$work/build" "$store"
  said=$("$root/usr/bin/db4" --version)
  [[ "$said" == "db4 "*"shared library"* ]] || fail "db4 --version says: $said"
  "$root/usr/bin/db4" init --store "$store" >/dev/null
  echo '{"n": 1}' | "$root/usr/bin/db4" --store "$store" put things one >/dev/null
  [ "$("$root/usr/bin/db4" --store "$store" get things one)" = '{"n": 1}' ] || fail "db4 get did not give what was put"

  { cmake -S "$here/find_package" -B "$work/build" -G Ninja && cmake --build "$work/build"; } >"$work/log" 2>&1 ||
    { tail -n 40 "$work/log" >&2; fail "the stranger's project does not build against the development package"; }
  grep -q "^db4_DIR:PATH=$library_folder/cmake/db4$" "$work/build/CMakeCache.txt" ||
    fail "the stranger's project found another db4 than the package's"
  mkdir "$work/folder"
  "$work/build/stranger" "$work/folder" >/dev/null || fail "the stranger's program failed"
  rm -rf "$work/folder"
  pkg-config --exists --print-errors "db4 = $(dpkg-deb -f "$packages/db4-tools"_*.deb Version | sed 's/-.*//')"
}

step "Debian packages, unpacked"
for file in "$packages"/*.deb; do dpkg-deb -x "$file" "$work/root"; done
(smoke "$work/root")

# locked COMMAND...: again for a minute while another program holds dpkg's lock.
locked() {
  for _ in {1..12}; do
    "$@" >"$work/log" 2>&1 && return
    grep -q "lock" "$work/log" || break
    sleep 5
  done
  cat "$work/log" >&2
  return 1
}
remove() { locked dpkg --purge "${names[@]}"; }

if [ "$(id -u)" -ne 0 ]; then
  echo "   skipped: not root, so not installed by dpkg"
elif dpkg-query -W -f '${db:Status-Status}\n' "${names[@]}" 2>/dev/null | grep -qv not-installed; then
  echo "   skipped: db4's packages are installed on this machine, and the test would replace them"
else
  step "Debian packages, installed"
  trap 'remove || true; rm -rf "$work"' EXIT
  locked dpkg -i "$packages"/*.deb
  (smoke "")
  remove
  trap 'rm -rf "$work"' EXIT
  [ ! -e /usr/bin/db4 ] || fail "db4 is still there after its packages were removed"
fi
