#!/usr/bin/env bash
# On a terminal: colours, widths, and a live view that gives the screen back.
#
#     tests/cli/terminal.sh PATH_OF_DB4
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

if ! command -v python3 >/dev/null; then
  echo "skipped: there is no python3 to make a terminal"
  exit 77
fi
on_terminal() { python3 "$source_folder/tests/cli/terminal.py" "$@"; }
escape=$'\033'
export TERM=xterm DB4_HOT_DURABILITY=none
"$db4" init --store s >/dev/null
export DB4_STORE=s
echo '{}' | "$db4" put users 1 >/dev/null

# Colours on a terminal alone, unless somebody says otherwise.
expect 0 on_terminal -- "$db4" ls; has "$escape["
expect 0 "$db4" ls; lacks "$escape"
expect 0 "$db4" ls --color always; has "$escape["
expect 0 on_terminal -- "$db4" ls --color never; lacks "$escape"
NO_COLOR=1 expect 0 on_terminal -- "$db4" ls; lacks "$escape"
NO_COLOR=1 expect 0 on_terminal -- "$db4" ls --color always; has "$escape["
TERM=dumb expect 0 on_terminal -- "$db4" ls; lacks "$escape"
expect 0 on_terminal -- "$db4" ls --json; lacks "$escape"
expect 0 on_terminal -- "$db4" get users 1; has "{}"

# Help is as wide as the terminal, and never wider than can be read.
expect 0 on_terminal --size 24x60 -- "$db4" put --help --color never
[ -z "$(grep -E '^  [^d].{60}' <<<"$out")" ] || fail "lines over 60 columns: $out"
expect 0 on_terminal --size 24x300 -- "$db4" help --color never
[ -z "$(grep -E '.{102}' <<<"$out")" ] || fail "lines over 100 columns: $out"

# The live view: on the other screen, redrawn, cut to the size, and left by q, by Ctrl-C, and by --count.
enter="$escape[?1049h" leave="$escape[?1049l" home="$escape[H"
redraws() { grep -oF "$home" <<<"$out" | wc -l; }
expect 0 on_terminal --after "q ends it:key=x" --after "q ends it:key=q" -- "$db4" top --interval 100ms
has "$enter"; has "$leave"; has "nobody holds the store"
[ "$(redraws)" -ge 2 ] || fail "it is not redrawn: $out"
[[ "$out" == *"$leave" ]] || fail "something was written after the screen was left"
expect 0 on_terminal --after "q ends it:int" -- "$db4" top --interval 5s; has "$leave"
expect 0 on_terminal -- "$db4" top --interval 100ms --count 2; has "$leave"
expect 0 on_terminal --size 12x40 --after "db4 top:size=40x120" --after "q ends it:key=q" -- "$db4" top --interval 5s
has "this process only"
expect 0 on_terminal --size 5x30 --after "db4 top:key=q" -- "$db4" top --interval 100ms --color never
lacks "this process only"; lacks "q ends it"
expect 0 on_terminal -- "$db4" top --once --interval 100ms; lacks "$enter"; has "documents"
expect 0 "$db4" top --count 2 --interval 100ms; lacks "$escape"
[ "$(grep -c '^db4 top' <<<"$out")" -eq 2 ] || fail "not two tables: $out"
expect 2 "$db4" top --interval 1ms; has "100ms"

# The manual is shown by man, where it is.
if command -v man >/dev/null; then
  expect 0 env MANPAGER=cat PAGER=cat MANWIDTH=80 python3 "$source_folder/tests/cli/terminal.py" -- "$db4" man put
  has "DB4-PUT(1)"; has "db4 manual"
else
  echo "skipped: the manual on a terminal, there is no man"
fi
echo "the terminal is treated well"
