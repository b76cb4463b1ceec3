#!/usr/bin/env bash
# Commands on a store that another process holds and works on.
#
#     tests/cli/live.sh PATH_OF_DB4
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

"$db4" init --store s --set hot.durability=process >/dev/null
export DB4_STORE=s
mkfifo pipe

# hold: an import that writes all the time, until `let_go`.
hold() {
  start "$db4" import orders pipe --batch 1 >/dev/null
  holder=$started_pid
  start bash -c 'exec seq -f "{\"id\":\"order-%.0f\",\"total\":12}" 1000000000 2>/dev/null >pipe'
  loader=$started_pid
  until_true [ -S s/hot/live.sock ]
  until_true "$db4" stat orders order-20 >/dev/null
}
let_go() {
  # Where the holder was killed, the load has mostly ended of its own: nobody reads its pipe.
  kill "$loader" 2>/dev/null || true
  wait "$loader" 2>/dev/null || true
  # A line that the load did not end is no document.
  wait "$holder" || true
}

hold
[ "$(stat -c %a s/hot/live.sock)" = 600 ] || fail "others may use the socket: $(stat -c %A s/hot/live.sock)"
expect 0 "$db4" stat orders order-1; has "tier"
expect 0 "$db4" stat; has "held by process $holder"
expect 0 "$db4" stats; has "$holder"; lacks "Nobody holds"
expect 0 "$db4" explain orders order-1; has "outlook"
expect 0 "$db4" top --once --interval 300ms; has "held by process $holder"
expect 0 "$db4" top --json --count 1 --interval 300ms; has '"live":true'
writes=$(sed -nE 's/.*"rates":\{[^}]*\}[^}]*"writes":([0-9]+).*/\1/p' <<<"$out")
[ "${writes:-0}" -gt 0 ] || fail "top sees no writes: $out"
expect 0 "$db4" tier orders order-1; [ "$out" = hot ] || fail "the tier is $out"
expect 0 "$db4" ls orders --limit 3; has "order-1"
expect 0 "$db4" get orders order-1; [ "$out" = '{"id":"order-1","total":12}' ] || fail "get gave $out"
expect 0 "$db4" put orders mine - <<<'{"mine":1}'; has "version 1 in hot"
expect 0 "$db4" get orders mine; has mine
expect 0 "$db4" pin orders mine --tier cold; has "pinned"
expect 0 "$db4" pins; has "orders/mine"
expect 0 "$db4" tier run --max-operations 10
expect 0 "$db4" tier orders mine; [ "$out" = cold ] || fail "the pinned document is in $out"
expect 0 "$db4" __complete collections; has orders
expect 4 "$db4" get orders nobody
kill -0 "$holder" || fail "the process that holds the store ended"

# A holder that hangs does not hold those who ask it.
kill -STOP "$holder"
start "$db4" get orders order-1 >/dev/null
asker=$started_pid
read -rt 0.5 <> <(:) || true
kill -TERM "$asker"
code=0
wait "$asker" || code=$?
# 143: the signal came before the program had begun.
[ "$code" -eq 130 ] || [ "$code" -eq 143 ] || fail "who asked a holder that hangs ended with $code"
kill -CONT "$holder"

# The store goes while somebody watches it.
"$db4" top --json --interval 100ms >watched.txt 2>&1 &
watcher=$!
started+=("$watcher")
until_true [ -s watched.txt ]
let_go
code=0
wait "$watcher" || code=$?
[ "$code" -eq 5 ] || fail "top ended with $code: $(tail -n 1 watched.txt)"
grep -q "has closed it" watched.txt || fail "top does not say so: $(tail -n 1 watched.txt)"
expect 0 "$db4" get orders mine; has mine

# Killed, it leaves a socket that nobody listens on: the next command goes past it.
hold
kill -9 "$holder"
let_go
[ -S s/hot/live.sock ] || fail "a killed process leaves no socket: this tests nothing"
expect 0 "$db4" get orders mine; has mine
expect 0 "$db4" get orders order-1; has order-1

# Who does not listen is waited for.
"$db4" --set live.enabled=false import orders pipe --batch 1 >/dev/null &
holder=$!
started+=("$holder")
exec 3>pipe
printf '{"id":"last"}\n' >&3
until_true bash -c '! "$0" --wait 0s ls >/dev/null 2>&1' "$db4"
expect 5 "$db4" --wait 0s ls; has "$holder"
start "$db4" --wait 60s get orders last >waited.txt 3>&-
exec 3>&-
wait "$started_pid" || fail "waiting for the store failed"
grep -q last waited.txt || fail "waited for: $(cat waited.txt)"
wait "$holder"
echo "a store that is held answers"
