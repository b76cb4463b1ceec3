#!/usr/bin/env bash
# Large documents and the cold tier: uploads that go on after Ctrl-C and kills, downloads, garbage, the doctor, and a hot
# folder that is made anew.
#
#     tests/cli/large.sh PATH_OF_DB4
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$db4" init s --set hot.durability=process >/dev/null
export DB4_STORE=s
{ printf v; head -c 19999999 /dev/urandom; } >video.mp4  # another first byte than other.mp4 gets
echo '{"n": 1}' >one.json

# Whole, and in ranges.
expect 0 "$db4" upload videos v video.mp4; has "uploaded videos/v version 1, 19.1 MiB in 3 parts"
expect 0 "$db4" stat videos v; has "video/mp4"; has cold
expect 0 "$db4" download videos v got.mp4; has "downloaded videos/v version 1, 19.1 MiB"
cmp got.mp4 video.mp4
"$db4" download videos v - | cmp - video.mp4
"$db4" upload videos small one.json --content-type application/json --quiet >/dev/null
expect 0 "$db4" download videos small -; [ "$out" = '{"n": 1}' ] || fail "a small one is $out"
expect 0 "$db4" put hot 1 one.json
expect 0 "$db4" download hot 1 -; [ "$out" = '{"n": 1}' ] || fail "a hot one is $out"
ranged() { # RANGE FIRST COUNT
  "$db4" download videos v - --range "$1" | cmp - <(tail -c "+$(($2 + 1))" video.mp4 | head -c "$3") || fail "range $1"
}
ranged 0-99 0 100
ranged 8388600-8388700 8388600 101
ranged 19999900- 19999900 100
ranged -100 19999900 100
ranged 5-5 5 1
expect 0 "$db4" download videos v part.mp4 --range 0-1048575; has "1.0 MiB of 19.1 MiB"
for range in 5-1 x - 1-x 7; do expect 2 "$db4" download videos v - --range "$range"; has "is no range"; done
expect 2 "$db4" download videos v nothing.mp4 --range 20000001-; [ ! -e nothing.mp4 ] || fail "a file of nothing"
expect 4 "$db4" download videos nobody nothing.mp4; [ ! -e nothing.mp4 ] || fail "a file of nobody"
expect 2 "$db4" upload videos v - <video.mp4; has "standard input cannot be uploaded"; has "db4 put"
expect 2 "$db4" upload videos v no.mp4; has "there is no file no.mp4"
expect 2 "$db4" upload videos v video.mp4 --part-size much; has "is no size"
expect 3 "$db4" upload videos v video.mp4 --if-version 0; has "has version 1, not 0"; lacks "uploads resume"
expect 2 "$db4" upload videos v video.mp4 --concurrency 0
expect 0 "$db4" upload videos small one.json --upload-id twice
expect 3 "$db4" upload videos small one.json --upload-id twice; has "twice"
expect 0 "$db4" uploads list; has completed
expect 4 "$db4" uploads resume twiec video.mp4; has "did you mean twice?"
expect 4 "$db4" uploads abort nobody; has "no upload nobody"
expect 2 "$db4" uploads; has "needs a command"

# slowly ID: an upload of some seconds, in parts of 5 MiB; it has sent some of them when this returns.
parts_of() { "$db4" uploads list --json | tr -d ' \n' | sed -nE "s/.*\"parts_done\":([0-9]+)[^}]*\"upload_id\":\"$1\".*/\1/p"; }
sent_some() { [ "$(parts_of "$1")" -ge 1 ]; }
slowly() {
  "$db4" --set cold.max_writes_per_second=1 upload videos "$1" video.mp4 --part-size 5MiB --concurrency 1 --upload-id "$1" \
    >said 2>&1 &
  uploader=$!
  started+=("$uploader")
  until_true sent_some "$1"
}
ended() { # CODE
  local code=0
  wait "$uploader" || code=$?
  out=$(cat said)
  [ "$code" -eq "$1" ] || fail "the upload ended with $code instead of $1: $out"
}

# Ctrl-C leaves it to be resumed; while it runs, others look on, read, and are told what they cannot do.
slowly stopped
expect 0 "$db4" uploads list; has in_progress
expect 0 "$db4" download videos v through.mp4; cmp through.mp4 video.mp4
"$db4" download videos v - --range 10-12 | cmp - <(tail -c +11 video.mp4 | head -c 3)
expect 4 "$db4" download videos nobody nothing.mp4
expect 5 "$db4" upload videos other video.mp4; has "process $uploader holds the store"; has "does not go through its socket"
expect 5 "$db4" gc --list; has "does not go through its socket"
expect 0 "$db4" gc; has "deleted 0 objects"
expect 0 "$db4" doctor --no-uploads; has "does what db4 depends on"
kill -INT "$uploader"
ended 130; has 'interrupted; `db4 uploads resume stopped video.mp4` goes on from there'
expect 0 "$db4" uploads list; has failed; has "goes on with one that broke off"
expect 4 "$db4" download videos stopped nothing.mp4
cp video.mp4 other.mp4; printf x | dd of=other.mp4 bs=1 conv=notrunc 2>/dev/null; touch -r video.mp4 other.mp4
expect 2 "$db4" uploads resume stopped other.mp4; has "not the one"
expect 0 "$db4" uploads resume stopped video.mp4; has "uploaded videos/stopped version 1"
"$db4" download videos stopped - | cmp - video.mp4

# So does a kill.
slowly killed
kill -KILL "$uploader"
ended 137
expect 0 "$db4" uploads list; has "broken off"
expect 0 "$db4" uploads resume killed video.mp4 --json; has '"upload_id": "killed"'
"$db4" download videos killed - | cmp - video.mp4

# It tells how far it is.
slowly told
ended 0; has '"operation":"upload"'; has '"upload_id":"told"'; has '"total_bytes":20000000'; has '"rate_bytes_per_s"'
lacks '"documents"'

# Given up, by somebody else too.
slowly given-up
expect 0 "$db4" uploads abort given-up; has "aborted given-up"
ended 130; has "was aborted"; lacks "uploads resume"
expect 0 "$db4" uploads abort given-up; has "nothing to abort"
expect 0 "$db4" uploads clean --older-than 0s; has "forgot 7 ended uploads"
expect 0 "$db4" uploads list; lacks given-up

# Copies of any size go from cold to cold; nothing of one that fails is left.
head -c 67108865 /dev/zero | tr '\0' x >huge.bin
"$db4" upload videos huge huge.bin --content-type video/mp4 --quiet >/dev/null
expect 0 "$db4" cp videos huge copies; has "copied videos/huge to copies/huge, version 1 in cold"
"$db4" download copies huge - | cmp - huge.bin
expect 0 "$db4" stat copies huge; has video/mp4
expect 3 "$db4" cp videos huge copies --if-version 0; has "has version 1, not 0"
expect 2 "$db4" cp videos huge copies --tier hot; has "lives in cold alone"
"$db4" init other-store --set hot.durability=process >/dev/null
expect 0 "$db4" cp videos huge copies moved --to-store other-store --json; has '"tier": "cold"'
"$db4" --store other-store download copies moved - | cmp - huge.bin
rm -r other-store huge.bin
for key in videos copies; do "$db4" --set cold.garbage_grace=0ms rm $key huge >/dev/null; done
"$db4" gc >/dev/null
"$db4" uploads clean --older-than 0s >/dev/null

# Garbage.
expect 0 "$db4" --set cold.garbage_grace=0ms rm videos told
expect 0 "$db4" gc; has "deleted 1 object of"
expect 0 "$db4" gc; has "deleted 0 objects"
expect 0 "$db4" compact; has "rewrote 0 segments"
expect 0 "$db4" gc --list; has "0 of 0 B that nothing names"
cp -r s/hot before
"$db4" upload videos unknown video.mp4 >/dev/null
rm -r s/hot && mv before s/hot
expect 0 "$db4" gc --list; has "left alone: 1 younger object"
find s/cold -type f -exec touch -d '10 days ago' {} +
expect 0 "$db4" gc --list; has "1 of 19.1 MiB that nothing names and that are older than 7d"; has "gc --list --delete"
expect 1 "$db4" gc --list --delete; has "nothing is deleted"; has "--max-share"
expect 0 "$db4" gc --list --delete --max-share 60; has "deleted 1 object"
expect 0 "$db4" gc --list; has "0 of 0 B"
"$db4" download videos v - | cmp - video.mp4
expect 2 "$db4" gc --delete; has "--delete needs --list too"
expect 2 "$db4" gc --list --min-age 1h; has "less than a day"

# The doctor leaves the place as it was.
before=$(find s/cold -type f | sort)
expect 0 "$db4" doctor; has "put only if absent"; has "uploads in parts"; has "clock"; lacks unsound
[ "$(find s/cold -type f | sort)" = "$before" ] || fail "the doctor left something: $(find s/cold -type f)"

# A hot folder that is lost is made anew from cold.
expect 0 "$db4" demote hot 1
expect 2 "$db4" rebuild; has "is not empty"; has "move it away"
mv s/hot lost
expect 0 "$db4" rebuild; has "rebuilt 5 documents"
expect 0 "$db4" get hot 1; has '{"n": 1}'
"$db4" download videos killed - | cmp - video.mp4
rm -r s/hot
file=$(find s/cold -type f -size +100c -size -1000c | sort | head -n 1)
printf damage | dd of="$file" bs=1 seek=$(($(stat -c %s "$file") - 8)) conv=notrunc status=none
expect 1 "$db4" rebuild --json; has '"damaged": '; lacks '"damaged": 0'
echo "large documents come and go"
