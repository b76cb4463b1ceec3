#!/usr/bin/env bash
# Two machines' command lines on one store in PostgreSQL: two folders with settings of their own, one cold folder.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
source "$source_folder/tests/support/servers/postgres.sh"

postgres_start "$work/postgres" || exit $?
trap 'postgres_stop "$work/postgres"; finish' EXIT

# Mistakes first: nothing is left behind by them.
expect 2 "$db4" init one --set hot.type=postgres
has "hot.url"
expect 2 "$db4" init one --set hot.type=postgres --set "hot.url=postgresql://db4:swordfish@127.0.0.1/postgres"
has "hot.password"
lacks "swordfish"
[ ! -e one/db4.toml ] || fail "a store that could not be made left its settings"

init() {
  expect 0 "$db4" init "$1" --set hot.type=postgres --set "hot.url=$postgres_url" --set tiering.hot_threshold=1s \
    --set tiering.warm_threshold=2s --set tiering.promote_on_read=never
  rm -rf "$1/cold"
  ln -s "$work/objects" "$1/cold"
}
mkdir objects
init one
has "Made a store"
init two

expect 0 "$db4" --store one put users ada <<<'{"name": "Ada"}'
expect 0 "$db4" --store two get users ada
has '"name": "Ada"'
expect 0 "$db4" --store two put users ada --if-version 1 <<<'{"name": "Ada L."}'
expect 3 "$db4" --store one put users ada --if-version 1 <<<'{"name": "Eve"}'
expect 0 "$db4" --store one get users ada
has "Ada L."

# A document goes to cold by one, and is read by the other.
expect 0 "$db4" --store one demote users ada --to cold
expect 0 "$db4" --store two explain users ada
has "cold"
expect 0 "$db4" --store two get users ada
has "Ada L."

# While one has it open, the other opens it too; through the socket, and beside it.
mkfifo keeps_open
start bash -c 'exec "$1" --store one import notes - <keeps_open >import.out 2>&1' import "$db4"
exec 9>keeps_open
echo '{"id": "first"}' >&9
until_true test -S one/hot/live.sock
expect 0 "$db4" --store one put notes beside <<<'{}'
expect 0 "$db4" --store two put notes elsewhere <<<'{}'
expect 0 "$db4" --store two stats --json
has '"claims"'
exec 9>&-
wait "$started_pid" || fail "the import: $(cat import.out)"
expect 0 "$db4" --store two ls notes
for id in first beside elsewhere; do has "$id"; done

# An upload is the one's that sends it, and anybody's when it broke off.
head -c 60000000 /dev/zero >video.mp4
start bash -c 'exec "$1" --store one --set cold.max_writes_per_second=1 upload videos v video.mp4 --part-size 5MiB \
  --concurrency 1 --upload-id slow >upload.out 2>&1' upload "$db4"
sent_some() { "$db4" --store two uploads list --json | tr -d ' \n' | grep -q '"parts_done":[1-9]'; }
until_true sent_some
expect 0 "$db4" --store two uploads list
has "in_progress"
has "slow is being sent by node"
expect 3 "$db4" --store two uploads resume slow video.mp4
has "is being sent by node"
expect 3 "$db4" --store two uploads abort slow
has "stop it there"
kill -INT "$started_pid"
wait "$started_pid" && fail "the upload was not interrupted: $(cat upload.out)"
expect 0 "$db4" --store two uploads list
has "failed"
lacks "is being sent by node"
expect 0 "$db4" --store two uploads resume slow video.mp4
has "uploaded videos/v version 1"
expect 0 "$db4" --store one download videos v copy.mp4
cmp copy.mp4 video.mp4

expect 0 "$db4" --store two config explain
has "$postgres_url"
expect 0 "$db4" --store two rm users ada
expect 4 "$db4" --store one get users ada

# A store whose settings were lost is found again in its schema.
rm -r two
init two
has "There was a store"
has "the schema db4"

# One watches what the other does.
start bash -c 'exec "$1" --store two --set consistency.broadcast=postgres watch notes --json --count 2 >watch.out' watch "$db4"
watcher=$started_pid
# It hears what comes once it listens: said again until it does.
heard() { "$db4" --store one --set consistency.broadcast=postgres put notes watched <<<'{}' && [ -s watch.out ]; }
until_true heard
"$db4" --store one --set consistency.broadcast=postgres put notes watched <<<'{}' >put.out
wait "$watcher" || fail "db4 watch ended with $?"
out=$(cat watch.out)
has '"id":"watched"'
has '"collection":"notes"'

# The server is away: said at once, and what to look at.
postgres_stop "$work/postgres"
expect 5 "$db4" --store one get notes first --set hot.timeout=200ms
has "hot.url"
