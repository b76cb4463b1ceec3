# What the scripts that start servers share. Sourced.

die() { echo "$(basename "$0"): $*" >&2; exit 1; }
skip() { echo "skipped: $*" >&2; exit 77; }

# free_port: a port that nobody listens at, on the loopback, below those that the system gives to outgoing connections.
# Taken at random; who starts a server tries again.
free_port() {
  python3 -c 'import random, socket
while True:
    s = socket.socket()
    try:
        s.bind(("127.0.0.1", random.SystemRandom().randrange(12000, 30000)))
        break
    except OSError:
        s.close()
print(s.getsockname()[1])'
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
  local until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.1
  done
}

# stop_pid FILE: ends the process whose id stands in the file, if it is there, and waits for it.
stop_pid() {
  local pid
  [ -s "$1" ] || return 0
  pid=$(cat "$1")
  kill "$pid" 2>/dev/null || { rm -f "$1"; return 0; }
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || { rm -f "$1"; return 0; }
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$1"
}
