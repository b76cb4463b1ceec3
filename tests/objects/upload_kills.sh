#!/usr/bin/env bash
# An upload to Ceph's gateway that is killed again and again, at random points, and resumed each time: what arrives is the
# file, little is sent twice, and nothing is left behind. What was sent is counted on its way, by a proxy.
#
#     upload_kills.sh DB4 [SIZE_MB [KILLS [PART_SIZE [CONCURRENCY]]]]
#
# A kill loses what is under way, a part for each that is sent at once at most, and half of it on average. S3 takes no part
# under 5 MiB: so ten kills of 600 MB cannot reach the bound of 1.1, ten of 300 MB go over it in about one run of ten, and
# the default of four parts of 8 MiB at once does so always. DB4_TEST_SEED draws other points. Exit 77 and the reason where
# there is no Ceph.
seed=${DB4_TEST_SEED:-7}
source "$(dirname "${BASH_SOURCE[0]}")/../support/counted_ceph.sh"
size=$((${2:-300} * 1000000)) kills=${3:-10} part_size=${4:-5MiB} concurrency=${5:-1}
max_ratio=1.1
RANDOM=$((seed % 32768))

# at_store TARGET: what the gateway says to a GET.
at_store() {
  python3 "$support/servers/s3_request.py" "$DB4_TEST_S3_ENDPOINT" "$DB4_TEST_S3_REGION" "$DB4_TEST_S3_ACCESS_KEY" \
    "$DB4_TEST_S3_SECRET_KEY" GET "$1"
}
# holds COUNT TAG TARGET: so many of them are in what it says.
holds() {
  local said
  said=$(at_store "$3") || fail "the gateway does not tell what it has"
  [ "$(grep -o "<$2>" <<<"$said" | wc -l)" -eq "$1" ] || fail "not $1 <$2> at the gateway: $said"
}
draw() { echo $(((RANDOM << 15 | RANDOM) % $1)); }

head -c "$size" /dev/urandom >video
holds 0 Key "/$DB4_TEST_S3_BUCKET"

# go_on: sends it in the background, from its beginning or from where it was.
go_on() {
  local command=(uploads resume v video)
  [ -n "${begun:-}" ] || command=(upload videos v video --part-size "$part_size" --upload-id v)
  begun=yes
  send "${command[@]}" --concurrency "$concurrency"
}

# The points, counted in bytes that the proxy saw; none in the last twentieth, where an upload may be over already.
mapfile -t points < <(for _ in $(seq "$kills"); do draw $((size - size / 20)); done | sort -n)
echo "seed $seed: $kills kills of $((size / 1000000)) MB in parts of $part_size, $concurrency at once"
begun_at=$SECONDS sent=0
# First when the gateway has begun an upload, and db4 was not told which.
[ "$(ask kill_on "POST uploads=" "$work/pid")" = armed ] || fail "no kill"
go_on
killed "when it was answered POST uploads"
for point in "${points[@]}"; do
  # What a killed process had sent is still counted: that may have been more than was left to this point.
  [ "$point" -gt "$sent" ] || point=$((sent + 1000000 + $(draw 4000000)))
  [ "$(ask kill_at "$point" "$work/pid")" = armed ] || fail "no kill"
  go_on
  killed "at byte $point"
  sent=$(ask total)
  echo "  at byte $point; $sent when it was gone"
done
# And where it hurts most: a part has arrived, and the object is complete, but db4 was not told.
for request in "PUT partNumber" "POST uploadId"; do
  [ "$(ask kill_on "$request" "$work/pid")" = armed ] || fail "no kill"
  go_on
  killed "when it was answered $request"
done
go_on
wait "$!" || fail "the last part of it: $(cat said)"
sent=$(ask total)
[ "$(ask killed)" -eq $((kills + 3)) ] || fail "it was killed $(ask killed) times"
seconds=$((SECONDS - begun_at))

# It is the file.
"$db4" download videos v - | cmp - video
# What arrived is not sent again, and of the rest no more is lost than was under way.
twice=$(awk '$1 == "PUT" && $3 == $4 { print $2 }' requests | sort | uniq -d)
[ -z "$twice" ] || fail "these parts arrived twice: $twice"
cut=$(awk '$1 == "PUT" && $3 != $4' requests | wc -l)
[ "$cut" -le $((kills * concurrency)) ] || fail "$cut parts were cut off"
# Nothing is left behind: one object, no upload at the gateway, none in the store, nothing that no document names.
holds 0 UploadId "/$DB4_TEST_S3_BUCKET?uploads"
holds 1 Key "/$DB4_TEST_S3_BUCKET"
expect 0 "$db4" uploads list; has completed; lacks "broken off"
expect 0 "$db4" gc --list; has "0 of 0 B that nothing names"
expect 0 "$db4" uploads clean --older-than 0s; has "forgot 1 ended upload, aborted 0"; lacks unknown
expect 0 "$db4" uploads list; lacks videos

ratio=$(awk -v sent="$sent" -v size="$size" 'BEGIN { printf "%.4f", sent / size }')
echo "sent $sent bytes for $size: $ratio of the file, in $seconds s"
awk -v ratio="$ratio" -v most="$max_ratio" 'BEGIN { exit !(ratio <= most) }' || fail "more than $max_ratio of the file"
