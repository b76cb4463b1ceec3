#!/usr/bin/env bash
# Whether Cloudflare R2 takes the parts that db4 makes: all but the last equal, and of 5 MiB at least. What db4 sends to
# Ceph's gateway, which has no such rule, is read off by a proxy, and put into R2 as miniflare (npm) runs it. R2 has to
# refuse what breaks the rules besides, or this shows nothing.
#
#     r2_rules.sh DB4 [FOLDER]      FOLDER: where miniflare is installed; else it is installed for this run
#
# Exit 77 and the reason where there is no Ceph, no node, or no miniflare to be had.
installed=${2:+$(realpath "$2")}
skip() { echo "skipped: $*"; exit 77; }
command -v node >/dev/null || skip "there is no node"
source "$(dirname "${BASH_SOURCE[0]}")/../support/counted_ceph.sh"

if [ -z "$installed" ]; then
  command -v npm >/dev/null || skip "there is no npm"
  installed=$work/npm
  timeout 120 npm install --prefix "$installed" --no-audit --no-fund --ignore-scripts miniflare@4.20260426.0 >npm.log 2>&1 ||
    skip "npm cannot install miniflare: $(tail -n 3 npm.log)"
fi

# parts: the sizes of those that arrived since it was asked last, in the order of their numbers. One part of each number.
seen=0
parts() {
  tail -n "+$((seen + 1))" requests | sed -nE 's/^PUT [^ ]*[?]partNumber=([0-9]+)&[^ ]* ([0-9]+) \2$/\1 \2/p' | sort -n |
    awk '$1 != NR { print "the parts are not 1, 2, 3" > "/dev/stderr"; exit 1 } { print $2 }' | paste -sd ' '
  seen=$(wc -l <requests)
}
# made SIZE PART_SIZE: a list of what db4 makes of a file.
made() {
  head -c "$1" /dev/zero >file
  "$db4" upload c "$1-$2" file --part-size "$2" --quiet >said || fail "an upload of $1 bytes: $(cat said)"
  parts >sizes || fail "$1 bytes in parts of $2"
  [ -s sizes ] || fail "no parts of $1 bytes"
  echo "accepted $(cat sizes)" >>lists
  seen=$(wc -l <requests)
}
made 1 5MiB
made 5242880 5MiB        # with the frames' checksums a little more than one part
made 12000000 5MiB
made 60000000 5MiB
made 20971520 8MiB
made 50000000 6000000    # no whole number of MiB, and no multiple of a frame
made 70000000 16MiB
# One that was killed and resumed goes on with the same parts.
[ "$(ask kill_at $(($(ask total) + 13000000)) "$work/pid")" = armed ] || fail "no kill"
head -c 30000000 /dev/zero >file
send upload c killed file --part-size 7MiB --upload-id killed
killed "in the middle"
"$db4" uploads resume killed file --quiet >said || fail "resuming: $(cat said)"
parts >sizes || fail "of one that was killed"
echo "accepted $(cat sizes)" >>lists

# The last list with another part in the middle, with a last one that is larger, and with parts that are too small.
read -ra sizes <sizes
{
  echo "10048 ${sizes[0]} $((sizes[1] + 1)) ${sizes[*]:2}"
  echo "10048 ${sizes[0]} ${sizes[0]} $((sizes[0] + 1))"
  echo "10011 5242879 5242879 1"
} >>lists
node "$source_folder/tests/objects/r2_rules.mjs" "$installed" <lists || fail "R2 takes parts otherwise"
